"""What somebody acknowledges here is acknowledged in PagerDuty, so that it escalates no further there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from inferwatch.infra.notifiers import AnyNotifier
from inferwatch.infra.notifiers.pagerduty import PagerDuty
from inferwatch.infra.repeating import REACH, last_messages
from inferwatch.schemas.alerts import Notification, State
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import DeliveryError
from inferwatch.streams.alerting.standing import read_acknowledged
from inferwatch.streams.ports import Store

logger = logging.getLogger(__name__)

EVERY = 10.0
"""Seconds between two looks."""


class Acknowledging:
    """Acknowledges at every PagerDuty receiver. PagerDuty takes an acknowledgement twice as once.

    Call it from where deliveries are made, between two of them.

    Args:
        store: with acknowledgements, outbox and deliveries.
        notifiers: receiver name -> how to reach it.
        clock: for when it is time, and for how old a message is.
    """

    def __init__(self, store: Store, notifiers: Mapping[str, AnyNotifier], clock: Clock) -> None:
        self._store = store
        self._receivers = [one for one in notifiers.values() if isinstance(one, PagerDuty)]
        self._clock = clock
        self._due = clock.monotonic()
        self._done: set[tuple[str, str, frozenset[str]]] = set()

    async def acknowledge_if_due(self) -> int:
        """Acknowledge what is due if it is time; return how many. A failure is logged, and tried again next time.

        Raises:
            StoreUnavailable: call again.
        """
        if not self._receivers or self._clock.monotonic() < self._due:
            return 0
        self._due = self._clock.monotonic() + EVERY
        acknowledged = await asyncio.to_thread(read_acknowledged, self._store)
        if not acknowledged:
            return 0
        found: set[tuple[str, str, frozenset[str]]] = set()
        for receiver in self._receivers:
            for note in await asyncio.to_thread(self._told, receiver):
                active = _active(note)
                key = (receiver.name, note.dedup_key, active)
                if not active or not active <= acknowledged:
                    continue
                if key not in self._done:
                    try:
                        await receiver.acknowledge(note)
                    except DeliveryError as error:
                        logger.warning("acknowledging %s: %s", note.alert_id, error)
                        continue
                found.add(key)
        new = found - self._done
        self._done = found
        return len(new)

    def _told(self, receiver: PagerDuty) -> list[Notification]:
        """Return the last message of every incident that the receiver has taken: it knows no others."""
        since = self._clock.now() - REACH
        return [note for note, _ in last_messages(self._store, receiver.name, since, sent=True)]


def _active(note: Notification) -> frozenset[str]:
    """Return the alerts that keep the incident open: of a group all of them must be acknowledged."""
    if not note.alerts:
        return frozenset() if note.status is State.RESOLVED else frozenset({note.alert_id})
    return frozenset(one.alert_id for one in note.alerts if one.status is not State.RESOLVED)
