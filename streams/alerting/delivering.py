"""From the outbox to the receivers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from inferwatch.schemas.alerts import Notification
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import DeliveryError
from inferwatch.streams.alerting import breaker, outbox
from inferwatch.streams.alerting.breaker import Breakers
from inferwatch.streams.alerting.outbox import Delivery, Parcel, Status, Waits
from inferwatch.streams.alerting.route.dedup import News
from inferwatch.streams.ports import Notifier, Store
from inferwatch.streams.rows import ids_digest
from inferwatch.streams.telemetry import DELIVERIES, EVENT_TO_ALERT, Recorder

logger = logging.getLogger(__name__)

PER_PASS = 20
"""Most notifications tried per receiver in one pass."""
PASS_SECONDS = 10.0
"""After this long a receiver gets nothing more in one pass: the others wait for the slowest."""
ANSWER_SECONDS = 20.0
"""A notifier that has not returned by then is cut off: longer than its own timeout, shorter than the lease."""

LOOK_SECONDS = 15.0
"""An outbox in which nothing was open is looked into after this long at the latest, in case a row came while the engine
merged two others into one."""


class Deliverer:
    """Tries what is in the outbox until each receiver has taken it, or it is given up.

    Args:
        store: where outbox and deliveries are kept.
        notifiers: receiver name -> how to reach it.
        clock: for due times.
        recorder: is told of deliveries and how long an alert took.
    """

    def __init__(self, store: Store, notifiers: Mapping[str, Notifier], clock: Clock, recorder: Recorder) -> None:
        self._store = store
        self._notifiers = notifiers
        self._clock = clock
        self._recorder = recorder
        self._owner = uuid4().hex
        self._unrecorded: list[Delivery] = []
        self._waits = Waits(clock)
        self._breakers = Breakers(clock)
        self._horizon: datetime | None = None
        # How many rows the outbox had when nothing in it was open, and when that was.
        self._empty_at: int | None = None
        self._looked = 0.0

    async def deliver(self) -> int:
        """Try what is due, all receivers at once, at most 20 messages or 10 s each; return how many were accepted.

        Per receiver, messages of one group go out in order. A message that fails waits 2 s, then twice as long each
        time, up to 15 minutes or what the receiver asks for, and so does its receiver; after 24 hours and ten attempts,
        or when the receiver says that it never will take it, it is recorded as failed and logged. A message older than
        that which was tried less often, because no process ran, is given up only once its receiver has refused ten
        times in a row. Waits are measured by the monotonic timer, so that no wrong clock holds up a message. No
        receiver holds up another for longer than 30 seconds. One process at a time should deliver; two at once are kept
        apart by a lease of 30 seconds.

        Raises:
            StoreUnavailable: call again; what was accepted and could not be recorded is recorded first then.
        """
        await self._record()
        written = await asyncio.to_thread(outbox.rows_written, self._store)
        if written == self._empty_at and self._clock.monotonic() - self._looked < LOOK_SECONDS:
            return 0
        now, self._looked = self._clock.now(), self._clock.monotonic()
        parcels = await asyncio.to_thread(outbox.open_parcels, self._store, self._horizon)
        self._empty_at = None if parcels else written
        if outbox.all_listed(parcels):
            self._horizon = min([now, *(parcel.created_at for parcel in parcels)]) - outbox.OVERLAP
        self._waits.look(parcels)
        queues: dict[str, list[Parcel]] = {}
        for parcel in parcels:
            hopeless = parcel.receiver not in self._notifiers or self._breakers.is_dead(parcel.receiver)
            if now - parcel.created_at >= outbox.GIVE_UP and (parcel.attempts >= breaker.DEAD_AFTER or hopeless):
                self._result(parcel, max(parcel.attempts, 1), Status.FAILED, "gave up after 24 h")
            else:
                queues.setdefault(parcel.receiver, []).append(parcel)
        await self._record()
        due = {
            receiver: outbox.next_due(queue, self._waits.over, PER_PASS)
            for receiver, queue in queues.items()
            if receiver in self._notifiers and not self._breakers.is_open(receiver)
        }
        if not any(due.values()):
            return 0
        chosen = [parcel for own in due.values() for parcel in own]
        notes = await asyncio.to_thread(outbox.payloads, self._store, chosen)
        results = await asyncio.gather(
            *(self._send_all(receiver, own, notes) for receiver, own in due.items()), return_exceptions=True
        )
        await self._record()
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return sum(result for result in results if isinstance(result, int))

    async def _send_all(
        self, receiver: str, parcels: Sequence[Parcel], notes: Mapping[tuple[str, str], Notification]
    ) -> int:
        """Send to one receiver, in order, until it does not take one for now or its time is up."""
        sent = 0
        started = self._clock.monotonic()
        for parcel in parcels:
            if self._clock.monotonic() - started >= PASS_SECONDS:
                break
            status = await self._send(parcel, notes[parcel.id, receiver])
            sent += status is Status.SENT
            if status in (Status.RETRYING, Status.ATTEMPTING):
                break
        return sent

    async def _send(self, parcel: Parcel, note: Notification) -> Status:
        """Try once; return what came of it, ATTEMPTING where it was left to another process or to later."""
        attempt = parcel.attempts + 1
        now, started = self._clock.now(), self._clock.monotonic()
        begun = Delivery(
            parcel.id, parcel.receiver, attempt, Status.ATTEMPTING, "", now + outbox.LEASE, now, self._owner
        )
        await self._insert([begun])
        if await asyncio.to_thread(outbox.taken, self._store, begun):
            logger.info("message %s for receiver %s is another process's", parcel.id, parcel.receiver)
            return Status.ATTEMPTING
        if (overtaken := await asyncio.to_thread(outbox.rival, self._store, parcel)) is not None:
            if overtaken is Status.SUPERSEDED:
                self._result(parcel, attempt, overtaken, "another process has told of the group")
                await self._record()
            return overtaken
        # The last thing before sending: this process may have been stopped since, and at the lease's end another sends.
        if self._clock.monotonic() - started > outbox.LEASE.total_seconds() - ANSWER_SECONDS:
            logger.warning("message %s: too late to send it under its lease; it is tried again", parcel.id)
            return Status.ATTEMPTING
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._notifiers[parcel.receiver].notify(note)
        except DeliveryError as error:
            status, reason, retry_after = _verdict(error)
        except TimeoutError:
            status, reason, retry_after = Status.RETRYING, f"receiver {parcel.receiver!r}: no answer in time", None
        except Exception as error:
            # A fault of ours must not stop the other pages; its text may hold a secret, its type cannot.
            status, reason, retry_after = Status.RETRYING, f"unexpected {type(error).__name__}", None
        else:
            self._breakers.taken(parcel.receiver)
            if parcel.reason != News.REPEAT:
                waited = (self._clock.now() - note.at).total_seconds()
                self._recorder.observe(EVENT_TO_ALERT, [waited], parcel.receiver)
            self._result(parcel, attempt, Status.SENT, "")
            await self._record()
            return Status.SENT
        wait = timedelta(0)
        if status is Status.RETRYING:
            wait = outbox.delay(parcel.id, attempt, retry_after)
            self._breakers.refused(parcel.receiver, retry_after)
        self._result(parcel, attempt, status, reason, wait)
        await self._record()
        return status

    def _result(self, parcel: Parcel, attempt: int, status: Status, error: str, wait: timedelta = timedelta(0)) -> None:
        now = self._clock.now()
        if status is Status.FAILED:
            logger.error(
                "%s: message %s will not reach receiver %s: %s", parcel.group, parcel.id, parcel.receiver, error
            )
        elif status is Status.RETRYING:
            logger.warning("%s: %s; again in %.0f s", parcel.group, error, wait.total_seconds())
        self._recorder.add(DELIVERIES, 1, parcel.receiver, status)
        self._unrecorded.append(
            Delivery(parcel.id, parcel.receiver, attempt, status, error, now + wait, now, self._owner)
        )

    async def _record(self) -> None:
        """Write what happened; what cannot be written now is kept and written first next time."""
        if not self._unrecorded:
            return
        pending, self._unrecorded = self._unrecorded, []
        try:
            await self._insert(pending)
        except BaseException:
            self._unrecorded = pending + self._unrecorded
            raise

    async def _insert(self, deliveries: Sequence[Delivery]) -> None:
        token = ids_digest(
            f"{one.id}/{one.receiver}/{one.attempt}/{one.status}/{one.at}/{one.owner}" for one in deliveries
        )
        rows = outbox.delivery_table(deliveries)
        await asyncio.to_thread(self._store.insert, "deliveries_raw", rows, token=f"deliveries/{token}")


def _verdict(error: DeliveryError) -> tuple[Status, str, float | None]:
    return (Status.RETRYING if error.retryable else Status.FAILED), str(error), error.retry_after
