"""What has been told to an Alertmanager is told again every minute: it keeps alerts in memory and forgets them.

What is repeated is the last message of each group, read from the store, so that nothing depends on who sent it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from inferwatch.infra.notifiers import AnyNotifier
from inferwatch.infra.notifiers.alertmanager import Alertmanager
from inferwatch.schemas.alerts import Notification, State
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import DeliveryError
from inferwatch.streams.alerting import outbox
from inferwatch.streams.ports import Store

logger = logging.getLogger(__name__)

EVERY = 60.0
"""Seconds between two repetitions."""
REACH = timedelta(days=30)
"""How old the last message of a group may be; a group that nothing has been said of for longer is left to expire."""
RESOLVED_FOR = timedelta(minutes=15)
"""So long the end of an alert is repeated, too: one that a worker on its way out sent too late must not stand."""


class Repeating:
    """Repeats for every Alertmanager there is.

    Call it from where deliveries are made, between two of them, so that it never overtakes one.

    Args:
        store: with the outbox.
        notifiers: receiver name -> how to reach it.
        clock: for when it is time, and for how old a message is.
    """

    def __init__(self, store: Store, notifiers: Mapping[str, AnyNotifier], clock: Clock) -> None:
        self._store = store
        self._receivers = [one for one in notifiers.values() if isinstance(one, Alertmanager)]
        self._clock = clock
        self._due = clock.monotonic()

    async def repeat_if_due(self) -> int:
        """Repeat if a minute has passed; return how many messages. One receiver's failure is logged and left to later.

        Raises:
            StoreUnavailable: call again.
        """
        if not self._receivers or self._clock.monotonic() < self._due:
            return 0
        self._due = self._clock.monotonic() + EVERY
        told = 0
        for receiver in self._receivers:
            notes = await asyncio.to_thread(self._standing, receiver)
            try:
                await receiver.repeat(notes)
            except DeliveryError as error:
                logger.warning("repeating %d messages: %s", len(notes), error)
            else:
                told += len(notes)
        return told

    def _standing(self, receiver: Alertmanager) -> list[Notification]:
        """Return the last message of every group of alerts that may be active still, or was until now."""
        now = self._clock.now()
        found = last_messages(self._store, receiver.name, now - REACH)
        return [note for note, at in found if note.status is not State.RESOLVED or now - at <= RESOLVED_FOR]


def last_messages(
    store: Store, receiver: str, since: datetime, *, sent: bool = False
) -> list[tuple[Notification, datetime]]:
    """Return the last message to ``receiver`` of every group, and when it was written, newest first.

    Args:
        store: with the outbox.
        receiver: its name.
        since: older messages are not looked at.
        sent: only what it has accepted.
    """
    accepted = "AND id IN (SELECT id FROM deliveries_raw WHERE receiver = {receiver:String} AND status = 'sent') "
    rows = store.query(
        "SELECT payload, o.created_at AS created FROM outbox AS o WHERE receiver = {receiver:String} "
        f"AND o.created_at >= {{since:DateTime64(3, 'UTC')}} {accepted if sent else ''}"
        "ORDER BY created DESC, o.at DESC LIMIT 1 BY JSONExtractString(payload, 'dedup_key')",
        {"receiver": receiver, "since": since},
    ).to_pylist()
    return [(outbox.decode(row["payload"]), row["created"]) for row in rows]
