"""Every record of the topic to a handler, in batches; acknowledged once stored, and not before.

Faust (``streams.kafka``) consumes, assigns partitions, commits offsets and keeps the group membership alive. An offset
is acknowledged when the batch it belongs to is stored and its dead letters are on their topic.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from inferwatch.schemas.errors import Permanent, Retryable
from inferwatch.schemas.settings import KafkaSettings
from inferwatch.streams.kafka import Event, Partition, app
from inferwatch.streams.ports import DeadLetter, RawRecord

logger = logging.getLogger(__name__)

FIRST_DELAY, LONGEST_DELAY = 0.5, 15.0
SCORING = 2
"""Batches scored at once."""
DRAIN_SECONDS = 25.0
"""Less than the 30 s after which Kubernetes kills."""

P = TypeVar("P")
T = TypeVar("T")


class Handler(Protocol[P]):
    """What a batch is given to; ``streams.pipeline.Pipeline`` is it.

    Both calls block, in threads. Two batches may be prepared at once; one is committed after the other, in order.
    """

    def prepare(self, records: Sequence[RawRecord]) -> P:
        """Score the records; arithmetic only."""
        ...

    def commit(self, prepared: P) -> Sequence[DeadLetter]:
        """Store a scored batch; idempotent. Raises Retryable when the same call may succeed later."""
        ...


@dataclass(slots=True)
class StreamCounters:
    """What went through since the process started."""

    received: int = 0
    stored: int = 0
    retries: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)


class KafkaStream(Generic[P]):
    """Feeds every record of the topic to ``handler``, at least once, in batches, in order within a partition.

    Three batches are in work at most, or what came in one of them where its records are large: two are being scored, so
    that one's texts are read while the other's are encoded, and the one before them is being stored. When storing
    fails with a Retryable error the same batch is tried again, with growing pauses, for as long as it takes;
    meanwhile nothing more is taken, Faust's buffer fills to its bound and fetching stops, while heartbeats go on.
    Any other error stops the stream with that error, and nothing of the batch is acknowledged.

    Args:
        settings: where and how to consume; ``bootstrap_servers`` must be set, and its topics must exist.
        handler: scores and stores.
        version: written into the headers of dead letters.
    """

    def __init__(self, settings: KafkaSettings, handler: Handler[P], *, version: str) -> None:
        self._settings = settings
        self._handler = handler
        self._version = version
        self._scoring = ThreadPoolExecutor(SCORING, thread_name_prefix="score")
        self._storing = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._last: asyncio.Task[None] | None = None
        self._stopping = False
        self._failure: Exception | None = None
        self._failed = asyncio.Event()
        self._owned: frozenset[int] = frozenset()
        self._joined = False
        self._stored_until: dict[int, int] = {}
        self.counters = StreamCounters()
        self._app = app(settings)
        self._app.on_partitions_assigned.connect(self._assigned, weak=False)
        self._app.on_partitions_revoked.connect(self._revoked, weak=False)
        self._dead_letters = self._topic(settings.dead_letter_topic)
        source = self._topic(settings.topic, settings.feedback_topic)
        self._app.agent(source, concurrency=1, name="inferwatch")(self._consume)

    def _topic(self, *names: str) -> Any:
        return self._app.topic(*names, key_serializer="raw", value_serializer="raw", value_type=bytes)

    async def start(self) -> None:
        """Join the group and begin to consume."""
        self._app.finalize()
        await self._app.start()

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until ``stop`` is set, then drain and leave.

        Raises:
            Exception: whatever made a batch fail for good; the stream is stopped and nothing of that batch is
                acknowledged.
        """
        await self.start()
        waiting = [asyncio.ensure_future(event.wait()) for event in (stop, self._failed)]
        crash = asyncio.ensure_future(self._app.wait_until_stopped())
        try:
            await asyncio.wait([*waiting, crash], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*waiting, crash):
                task.cancel()
            await self.stop()
        failure = self._failure or self._app.crash_reason
        if failure is not None:
            raise failure

    async def stop(self) -> None:
        """Finish and acknowledge what is in work (25 s at most), commit the offsets, leave the group."""
        self._stopping = True
        if self._last is not None:
            _, unfinished = await asyncio.wait({self._last}, timeout=DRAIN_SECONDS)
            for task in unfinished:
                logger.warning("stopping with a batch unfinished; it will be delivered again")
                task.cancel()
        await self._app.stop()
        self._owned, self._joined = frozenset(), False
        for threads in (self._scoring, self._storing):
            threads.shutdown(wait=False, cancel_futures=True)

    def partitions(self) -> frozenset[int]:
        """Return the source partitions this process owns now."""
        return self._owned

    @property
    def joined(self) -> bool:
        """Whether the group has told this process its partitions; with more members than partitions it may own none."""
        return self._joined

    def queued(self) -> tuple[int, int]:
        """Return how many records wait in memory, and how many are being scored or stored."""
        counters = self.counters
        work = counters.received - counters.stored - counters.dead_letters.total()
        taken = len(self._app.consumer.unacked) if self._joined else work
        return max(0, taken - work), work

    async def lag(self) -> dict[int, int]:
        """Ask the broker; return owned partition -> records it holds that are not stored yet.

        Raises:
            KafkaError: it does not answer.
        """
        owned = [Partition(self._settings.topic, partition) for partition in sorted(self._owned)]
        if not owned:
            return {}
        consumer = self._app.consumer
        ends = await consumer.highwaters(*owned)
        known = {
            place: self._stored_until.get(place.partition) or consumer._committed_offset.get(place) for place in owned
        }
        fresh = [place for place, following in known.items() if not following]
        first = await consumer.earliest_offsets(*fresh) if fresh else {}
        return {
            place.partition: max(0, ends[place] - (known[place] or first.get(place) or 0))
            for place in owned
            if place in ends and place.partition in self._owned
        }

    async def _assigned(self, app: Any, assigned: set[Any], **_: Any) -> None:
        self._joined = True
        self._owned = frozenset(part.partition for part in assigned if part.topic == self._settings.topic)

    async def _revoked(self, app: Any, revoked: set[Any], **_: Any) -> None:
        gone = {part.partition for part in revoked if part.topic == self._settings.topic}
        self._owned -= gone
        # Another worker goes on there: if the partition comes back, what is committed by then says how far it is.
        self._stored_until = {partition: at for partition, at in self._stored_until.items() if partition not in gone}

    async def _consume(self, stream: Any) -> None:
        within = self._settings.batch_wait.total_seconds()
        unfinished: list[asyncio.Task[None]] = []
        # When ``noack_take`` is closed, by us or in a rebalance, it has the stream acknowledge again as it did before;
        # what Faust still has in its buffer then counts as done, and not even ``Event`` is asked.
        stream.enable_acks = False
        async for events in stream.noack_take(self._settings.batch_records, within=within):
            if self._stopping or self._failure is not None:
                return
            # Tasks of their own, at once: Faust may cancel this loop in a rebalance, and what it took must be stored.
            for batch in cut(events, [len(event.message.value or b"") for event in events], self._settings.batch_bytes):
                self._last = asyncio.create_task(self._handle(batch, self._last))
                unfinished.append(self._last)
            while len(unfinished := [task for task in unfinished if not task.done()]) > SCORING:
                await asyncio.wait({unfinished[0]})

    async def _handle(self, events: Sequence[Event], before: asyncio.Task[None] | None) -> None:
        self.counters.received += len(events)
        loop = asyncio.get_running_loop()
        try:
            records = [_record(event) for event in events]
            prepared = await self._score(records)
            if before is not None:
                await asyncio.wait({before})
            if self._failure is not None:
                return

            def commit() -> Awaitable[Sequence[DeadLetter]]:
                return loop.run_in_executor(self._storing, self._handler.commit, prepared)

            letters = await self._persist(commit)
            await asyncio.gather(*(self._persist(partial(self._bury, letter)) for letter in letters))
        except Exception as error:
            logger.error("the stream stops: %s: %s", type(error).__name__, error)
            self._failure = error
            self._failed.set()
            return
        for event in events:
            event.stored()
        self._stored_until |= {
            record.partition: record.offset + 1
            for record in records
            if record.topic == self._settings.topic and record.partition in self._owned
        }
        self.counters.stored += len(events) - len(letters)
        self.counters.dead_letters.update(letter.reason for letter in letters)

    async def _score(self, records: Sequence[RawRecord]) -> P:
        limit = self._settings.max_poll_interval.total_seconds()
        try:
            async with asyncio.timeout(limit):
                return await asyncio.get_running_loop().run_in_executor(self._scoring, self._handler.prepare, records)
        except TimeoutError as error:
            raise Permanent(
                f"scoring {len(records)} records took longer than kafka.max_poll_interval ({limit:.0f} s): "
                f"lower kafka.batch_records (now {self._settings.batch_records}) or raise the limit"
            ) from error

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Await ``call()`` until it succeeds or fails for good."""
        delay = FIRST_DELAY
        while True:
            try:
                return await call()
            except (Retryable, KafkaError) as error:
                if isinstance(error, KafkaError) and not (error.retriable or isinstance(error, KafkaTimeoutError)):
                    raise
                self.counters.retries += 1
                pause = delay * random.uniform(0.5, 1.0)  # noqa: S311
                logger.warning("not stored yet, next attempt in %.1f s: %s", pause, error)
                await asyncio.sleep(pause)
                delay = min(2 * delay, LONGEST_DELAY)

    async def _bury(self, letter: DeadLetter) -> None:
        """Put one dead letter on its topic: the raw bytes, and in the headers where it came from and why."""
        record = letter.record
        headers = {
            "reason": letter.reason,
            "detail": letter.detail,
            "topic": record.topic,
            "partition": str(record.partition),
            "offset": str(record.offset),
            "inferwatch-version": self._version,
        }
        try:
            await self._send(record.key, record.value, headers)
        except MessageSizeTooLargeError:
            # The topic takes less than the source does. The address says where the bytes are.
            await self._send(record.key, None, headers | {"value-omitted": "too large for this topic"})

    async def _send(self, key: bytes | None, value: bytes | None, headers: dict[str, str]) -> None:
        encoded = [(name, text.encode()) for name, text in headers.items()]
        await (await self._dead_letters.send(key=key, value=value, headers=encoded))


def cut(events: Sequence[T], sizes: Sequence[int], limit: int) -> list[Sequence[T]]:
    """Return ``events`` in as few runs of about one size as keep each at ``limit`` bytes or little more.

    The encoder waits until the first batch's texts are read: of long ones, a thousand take a second.

    >>> cut("abcdef", [1, 1, 1, 1, 1, 1], 4)
    ['abc', 'def']
    """
    if sum(sizes) <= limit:
        return [events]
    share = sum(sizes) / -(-sum(sizes) // limit)
    runs: list[Sequence[T]] = []
    first, held = 0, 0
    for place, size in enumerate(sizes, 1):
        held += size
        if held >= share or place == len(sizes):
            runs.append(events[first:place])
            first, held = place, 0
    return runs


def _record(event: Event) -> RawRecord:
    message = event.message
    at = datetime.fromtimestamp(message.timestamp, UTC)
    return RawRecord(message.topic, message.partition, message.offset, at, message.value, message.key)
