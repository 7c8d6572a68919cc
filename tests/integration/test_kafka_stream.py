"""The stream on a real broker: what reaches the handler, and what faults may and may not do."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer

from inferwatch.infra.local.broker import LocalKafka
from inferwatch.infra.topics import ensure_topics
from inferwatch.schemas.errors import Permanent, StoreUnavailable
from inferwatch.schemas.settings import KafkaSettings
from inferwatch.streams.consuming import KafkaStream
from inferwatch.streams.ports import DeadLetter, RawRecord

pytestmark = pytest.mark.kafka

Produce = Callable[[KafkaSettings, Iterable[tuple[bytes | None, bytes | None]]], None]
Address = tuple[int, int]


class Ledger:
    """A handler that keeps what it is given: the store of these tests. ``seen`` survives its stream."""

    def __init__(self) -> None:
        self.seen: dict[Address, RawRecord] = {}
        self.commits = 0
        self.error: Exception | None = None
        self.order: list[Address] = []

    def prepare(self, records: Sequence[RawRecord]) -> tuple[RawRecord, ...]:
        return tuple(records)

    def commit(self, prepared: tuple[RawRecord, ...]) -> list[DeadLetter]:
        if self.error is not None:
            raise self.error
        self.commits += 1
        for record in prepared:
            self.order.append((record.partition, record.offset))
            self.seen[record.partition, record.offset] = record
        return [DeadLetter(record, "bad", "nö") for record in prepared if record.value in (None, b"\xff")]


class Slow(Ledger):
    """Takes its time, so that much is waiting whenever its worker leaves."""

    def commit(self, prepared: tuple[RawRecord, ...]) -> list[DeadLetter]:
        time.sleep(0.05)
        return super().commit(prepared)

    def holds(self, n: int) -> bool:
        return len(self.seen) >= n


@asynccontextmanager
async def consuming(settings: KafkaSettings, ledger: Ledger) -> AsyncIterator[KafkaStream[Any]]:
    """Run a stream; leave the block in the orderly way."""
    stream = KafkaStream(settings, ledger, version="1.2.3")
    stop = asyncio.Event()
    task = asyncio.create_task(stream.run(stop))
    try:
        yield stream
    finally:
        stop.set()
        await task


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Return as soon as ``condition`` holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def committed(settings: KafkaSettings) -> int:
    """Return the sum of the group's committed offsets: how many records it has behind it."""
    new: Any = KafkaAdminClient
    with new(bootstrap_servers=settings.bootstrap_servers) as admin:
        offsets = admin.list_group_offsets([settings.group_id])[settings.group_id]
    return sum(max(place.offset, 0) for place in offsets.values())


def numbered(n: int, size: int = 0) -> list[tuple[bytes | None, bytes | None]]:
    return [(str(i).encode(), str(i).encode().ljust(size, b".")) for i in range(n)]


async def test_every_kind_of_record_reaches_the_handler_unchanged(source: KafkaSettings, produce: Produce) -> None:
    huge = b"\xfe" * 5_000_000
    before = datetime.now(UTC) - timedelta(seconds=1)  # noqa: TID251
    produce(source, [(b"a", b"{}"), (b"a", None), (b"a", b"\xff"), (None, b"no key"), (b"\xff\x00", huge)])
    ledger = Ledger()
    async with consuming(source, ledger) as stream:
        await until(lambda: len(ledger.seen) == 5)
        assert stream.partitions() == frozenset(range(source.partitions))
        await until(lambda: stream.counters.stored == 3)
        assert stream.counters.received == 5
        assert stream.counters.dead_letters == Counter({"bad": 2})
    assert stream.partitions() == frozenset()
    found = {(record.key, record.value) for record in ledger.seen.values()}
    assert found == {(b"a", b"{}"), (b"a", None), (b"a", b"\xff"), (None, b"no key"), (b"\xff\x00", huge)}
    for record in ledger.seen.values():
        assert before <= record.timestamp <= before + timedelta(minutes=1)
    assert committed(source) == 5


async def test_dead_letters_carry_the_raw_bytes_and_their_address(source: KafkaSettings, produce: Produce) -> None:
    produce(source, [(b"a", b"fine"), (b"k", b"\xff"), (b"k", None)])
    ledger = Ledger()
    async with consuming(source, ledger) as stream:
        await until(lambda: stream.counters.dead_letters.total() == 2)
    new: Any = KafkaConsumer
    consumer = new(
        source.dead_letter_topic,
        bootstrap_servers=source.bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=3000,
    )
    letters = list(consumer)
    consumer.close()
    bad = [record for record in ledger.seen.values() if record.key == b"k"]
    assert sorted((letter.key, letter.value or b"") for letter in letters) == [(b"k", b""), (b"k", b"\xff")]
    for letter in letters:
        headers = dict(letter.headers)
        assert headers["reason"] == b"bad"
        assert headers["detail"].decode() == "nö"
        assert headers["inferwatch-version"] == b"1.2.3"
        address = (headers["topic"].decode(), int(headers["partition"]), int(headers["offset"]))
        assert address in {(record.topic, record.partition, record.offset) for record in bad}


async def test_a_failure_that_is_not_retryable_stops_with_it_and_acknowledges_nothing(
    source: KafkaSettings, produce: Produce
) -> None:
    produce(source, numbered(100))
    ledger = Ledger()
    ledger.error = ZeroDivisionError("a bug")
    stream = KafkaStream(source, ledger, version="0")
    with pytest.raises(ZeroDivisionError, match="a bug"):
        async with asyncio.timeout(60):
            await stream.run(asyncio.Event())
    assert committed(source) == 0
    ledger.error = None
    async with consuming(source, ledger):
        await until(lambda: len(ledger.seen) == 100)


async def test_scoring_that_hangs_ends_the_stream_with_the_reason(source: KafkaSettings, produce: Produce) -> None:
    class Slow(Ledger):
        def prepare(self, records: Sequence[RawRecord]) -> tuple[RawRecord, ...]:
            released.wait(30)
            return super().prepare(records)

    released = Event()
    produce(source, numbered(10))
    settings = source.model_copy(update={"max_poll_interval": timedelta(seconds=1)})
    stream = KafkaStream(settings, Slow(), version="0")
    try:
        with pytest.raises(Permanent, match=r"max_poll_interval \(1 s\).*batch_records"):
            async with asyncio.timeout(60):
                await stream.run(asyncio.Event())
    finally:
        released.set()
    assert committed(source) == 0


async def test_an_orderly_stop_commits_and_the_successor_starts_at_once(
    source: KafkaSettings, produce: Produce
) -> None:
    produce(source, numbered(3000))
    ledger = Ledger()
    async with consuming(source, ledger) as stream:
        await until(lambda: ledger.commits >= 2)
    # What was taken is stored and acknowledged; what was not taken is left to the successor.
    assert stream.counters.stored == len(ledger.seen) == committed(source)
    left = len(ledger.seen)
    assert source.session_timeout > timedelta(seconds=30)
    async with consuming(source, ledger):
        await until(lambda: len(ledger.seen) == 3000, seconds=20)
    assert len(ledger.order) == 3000, f"delivered again after {left}"


async def test_two_workers_share_the_partitions_and_lose_nothing(source: KafkaSettings, produce: Produce) -> None:
    settings = source.model_copy(update={"batch_records": 50})
    one, two = Ledger(), Ledger()
    enough = asyncio.Event()

    async def feed() -> int:
        sent = 0
        while not enough.is_set():
            await asyncio.to_thread(produce, source, numbered(500))
            sent += 500
        return sent

    feeding = asyncio.create_task(feed())
    async with consuming(settings, one) as first:
        await until(lambda: one.commits >= 3)
        async with consuming(settings, two) as second:
            await until(lambda: len(second.partitions()) == 2 and len(first.partitions()) == 2)
            assert not first.partitions() & second.partitions()
            took = one.commits
            await until(lambda: two.commits >= 3 and one.commits >= took + 3)
        await until(lambda: len(first.partitions()) == 4)
        enough.set()
        sent = await feeding
        await until(lambda: len(one.seen.keys() | two.seen.keys()) == sent)
    again = len(one.order) + len(two.order) - sent
    print(f"two rebalances: {again} of {sent} delivered again")
    assert committed(source) == sent


async def test_workers_that_leave_with_full_hands_acknowledge_only_what_they_stored(
    source: KafkaSettings, produce: Produce
) -> None:
    produce(source, numbered(4000))
    source = source.model_copy(update={"batch_records": 20})
    ledger = Slow()
    for n in range(1, 9):
        async with consuming(source, ledger):
            await until(partial(ledger.holds, n * 150))
        reached = Counter(partition for partition, _ in ledger.seen)
        assert committed(source) <= reached.total()
        assert {place for place in ledger.seen if place[1] >= reached[place[0]]} == set()


async def test_leaving_commits_what_was_stored_while_another_commit_was_under_way(
    source: KafkaSettings, produce: Produce
) -> None:
    ledger = Ledger()
    async with consuming(source, ledger) as stream:
        await until(lambda: stream.joined)
        consumer = stream._app.consumer
        commit, under_way = consumer._commit, asyncio.Event()

        async def until_it_leaves(offsets: Any) -> bool:
            under_way.set()
            await until(lambda: consumer.should_stop)
            return bool(await commit(offsets))

        consumer._commit = until_it_leaves
        await asyncio.to_thread(produce, source, numbered(1))
        await under_way.wait()
        await asyncio.to_thread(produce, source, numbered(9))
        await until(lambda: stream.counters.stored == 10)
    assert committed(source) == 10


async def test_within_a_partition_order_is_kept(source: KafkaSettings, produce: Produce) -> None:
    produce(source, numbered(5000))
    ledger = Ledger()
    async with consuming(source, ledger):
        await until(lambda: len(ledger.seen) == 5000)
    for partition in range(source.partitions):
        offsets = [offset for part, offset in ledger.order if part == partition]
        assert offsets == sorted(offsets)


async def test_a_store_that_is_down_pauses_consuming_and_memory_stays_bounded(
    source: KafkaSettings, produce: Produce
) -> None:
    outage = 10
    # Longer than max_poll_interval: waiting for the store, unlike scoring, may take any time.
    settings = source.model_copy(update={"max_poll_interval": timedelta(seconds=5)})
    ledger = Ledger()
    async with consuming(settings, ledger) as stream:
        await asyncio.to_thread(produce, source, numbered(1000, size=4000))
        await until(lambda: len(ledger.seen) == 1000)
        ledger.error = StoreUnavailable("refused")
        await asyncio.to_thread(produce, source, numbered(10_000, size=4000))
        # Faust may fill its buffers; after that nothing may grow.
        await asyncio.sleep(3)
        base, peak = rss(), 0
        over = time.monotonic() + outage  # noqa: TID251
        while time.monotonic() < over:  # noqa: TID251
            peak = max(peak, rss())
            await asyncio.sleep(0.1)
        assert len(ledger.seen) == 1000
        assert stream.counters.retries >= 3
        assert stream.counters.received <= 1000 + 3 * settings.batch_records
        ledger.error = None
        await until(lambda: len(ledger.seen) == 11_000)
    print(f"store down {outage} s: memory {base / 2**20:.0f} MB, then at most {peak / 2**20:.0f} MB")
    assert peak - base < 20 * 2**20
    assert len(ledger.order) == 11_000
    assert committed(source) == 11_000


@pytest.mark.slow
async def test_a_broker_that_restarts_in_mid_stream_loses_and_repeats_nothing(tmp_path: Path, produce: Produce) -> None:
    ledger = Ledger()
    with LocalKafka(tmp_path / "kafka") as broker:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, batch_wait=timedelta(milliseconds=100))
        ensure_topics(settings)
        produce(settings, numbered(4000))
        async with consuming(settings, ledger) as stream:
            await until(lambda: len(ledger.seen) >= 1000)
            await asyncio.to_thread(broker.pause)
            await asyncio.to_thread(broker.start)
            await asyncio.to_thread(produce, settings, numbered(4000))
            await until(lambda: len(ledger.seen) == 8000)
            await until(lambda: stream.partitions() == frozenset(range(4)))
        assert committed(settings) == 8000
    print(f"broker restart: {len(ledger.order) - 8000} of 8000 delivered again")


def rss() -> int:
    """Return this process's resident memory in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
