"""When a window is complete: what is known of the source decides, not silence."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import Window
from inferwatch.streams.closing import Closer
from inferwatch.streams.ports import Extent
from tests.support.stepping import Stepping

DAY = datetime(2026, 3, 1, tzinfo=UTC)
FIRST = Window(DAY, DAY + timedelta(minutes=10))
MILLIS = pa.timestamp("ms", "UTC")


@dataclass
class Topic:
    """A source that reaches as far as the test says."""

    topic: str = "logs"
    ends: dict[int, int] = field(default_factory=dict)
    firsts: dict[int, int] = field(default_factory=dict)

    def extents(self) -> Mapping[int, Extent]:
        return {number: Extent(self.firsts.get(number, 0), end) for number, end in self.ends.items()}


class Silent:
    """Decides nothing."""

    def decide(self, window: Window, metrics: object, passed: object) -> None: ...

    def let_pass(self, *_: object) -> None: ...


def closing(store: Any, clock: ManualClock, source: Topic, **windows: str) -> Closer:
    tree = {"windows": {"size": "10m", "allowed_lateness": "30s", "idle_timeout": "60s", **windows}}
    return Closer(Settings.model_validate(tree), store, clock, Silent(), "r", {"length": 0.25}, source)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))  # noqa: TID251


def put(pipeline: Any, *records: Any) -> None:
    pipeline.commit(pipeline.prepare(records))


def test_a_partition_that_was_never_stored_holds_every_window(
    store: ClickHouseStore, build: Any, record: Any, clock: ManualClock
) -> None:
    topic = Topic(ends={0: 12, 1: 3})
    closer = closing(store, clock, topic)
    pipeline = build(store)
    put(pipeline, *(record(n, minute=n) for n in range(12)))
    clock.advance(timedelta(minutes=5))
    assert closer.tick() == []
    assert closer.watermark is None
    put(pipeline, *(record(n, minute=4 * n, partition=1) for n in range(3)))
    assert closer.tick() == []  # the other one's latest event is at 8:00, and it may go on
    clock.advance(timedelta(seconds=60))
    assert closer.tick() == [FIRST]  # it has nothing more
    assert store.query("SELECT rows, revision FROM windows").to_pylist() == [{"rows": 13, "revision": 0}]


def test_a_silent_partition_is_waited_for_while_records_of_it_are_not_stored(
    store: ClickHouseStore, build: Any, record: Any, clock: ManualClock
) -> None:
    topic = Topic(ends={0: 12, 1: 2})
    closer = closing(store, clock, topic)
    pipeline = build(store)
    put(pipeline, *(record(n, minute=n) for n in range(12)), record(0, minute=4, partition=1))
    for _ in range(9):
        assert closer.tick() == []
        clock.advance(timedelta(seconds=60))
    put(pipeline, record(1, minute=5, partition=1))
    assert closer.tick() == []
    clock.advance(timedelta(seconds=60))
    assert closer.tick() == [FIRST]
    assert store.query("SELECT rows, revision FROM windows").to_pylist() == [{"rows": 12, "revision": 0}]


def test_a_partition_that_nobody_stores_is_given_up_in_the_end_and_its_rows_are_revisions(
    store: ClickHouseStore, build: Any, record: Any, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    topic = Topic(ends={0: 12, 1: 1})
    closer = closing(store, clock, topic, stall_timeout="3m")
    pipeline = build(store)
    put(pipeline, *(record(n, minute=n) for n in range(12)))
    for _ in range(3):
        assert closer.tick() == []
        clock.advance(timedelta(minutes=1))
    with caplog.at_level(logging.WARNING):
        assert closer.tick() == [FIRST]
        closer.tick()
    assert closer.stalls == 1
    assert caplog.text.count("partition 1 of logs holds records that nobody has stored") == 1
    put(pipeline, record(0, minute=3, partition=1))
    clock.advance(timedelta(seconds=15))
    assert closer.tick() == [FIRST]
    assert store.query("SELECT rows, revision FROM windows").to_pylist() == [{"rows": 11, "revision": 1}]


def test_a_restart_gives_a_backlog_its_time_again(
    store: ClickHouseStore, build: Any, record: Any, clock: ManualClock
) -> None:
    topic = Topic(ends={0: 12, 1: 2})
    pipeline = build(store)
    put(pipeline, *(record(n, minute=n) for n in range(12)), record(0, minute=1, partition=1))
    clock.advance(timedelta(hours=5))  # nobody worked
    closer = closing(store, clock, topic)
    assert closer.tick() == []
    clock.advance(timedelta(minutes=9))
    assert closer.tick() == []


def test_what_the_source_has_dropped_is_not_waited_for(
    store: ClickHouseStore, build: Any, record: Any, clock: ManualClock
) -> None:
    topic = Topic(ends={0: 12, 1: 500}, firsts={1: 500})
    put(build(store), *(record(n, minute=n) for n in range(12)))
    assert closing(store, clock, topic).tick() == [FIRST]


def test_a_record_that_comes_between_the_two_readings_counts_as_a_backlog(
    store: ClickHouseStore, build: Any, record: Any, clock: ManualClock
) -> None:
    class Busy(Topic):
        def extents(self) -> Mapping[int, Extent]:
            self.ends[1] += 1
            return super().extents()

    topic = Busy(ends={0: 12, 1: 1})
    put(build(store), *(record(n, minute=n) for n in range(12)), record(0, minute=4, partition=1))
    clock.advance(timedelta(seconds=90))
    assert closing(store, clock, topic).tick() == []


def test_a_step_of_the_wall_clock_makes_nobody_idle(store: ClickHouseStore, build: Any, record: Any) -> None:
    clock = Stepping(datetime.now(UTC))  # noqa: TID251
    topic = Topic(ends={0: 12, 1: 1})
    put(build(store), *(record(n, minute=n) for n in range(12)), record(0, minute=4, partition=1))
    closer = closing(store, clock, topic)
    assert closer.tick() == []
    clock.step(timedelta(hours=1))
    assert closer.tick() == []
    clock.step(timedelta(hours=-2))
    assert closer.tick() == []
    clock.advance(timedelta(seconds=60))
    assert closer.tick() == [FIRST]


MOVES = st.one_of(
    st.tuples(st.just("produce"), st.integers(0, 2), st.integers(1, 5)),
    st.tuples(st.just("store"), st.integers(0, 2), st.integers(-30, 30)),
    st.tuples(st.just("wait"), st.just(0), st.integers(1, 400)),
    st.tuples(st.just("restart"), st.just(0), st.just(0)),
)
TOPICS = iter(range(1_000_000))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(MOVES, min_size=1, max_size=25))
def test_the_watermark_never_goes_back(store: ClickHouseStore, moves: list[tuple[str, int, int]]) -> None:
    clock = ManualClock(DAY)
    topic = Topic(f"t{next(TOPICS)}", dict.fromkeys(range(3), 0))
    stored = dict.fromkeys(range(3), 0)
    closer = closing(store, clock, topic, stall_timeout="5m")
    before: datetime | None = None
    for place, (move, partition, amount) in enumerate(moves):
        if move == "produce":
            topic.ends[partition] += amount
        elif move == "wait":
            clock.advance(timedelta(seconds=amount))
        elif move == "restart":
            closer.release()
        else:
            stored[partition] = max(stored[partition], topic.ends[partition] - abs(amount) % 3)
            row = {
                "topic": [topic.topic],
                "partition": pa.array([partition], pa.uint32()),
                "next_offset": pa.array([stored[partition]], pa.uint64()),
                "max_timestamp": pa.array([DAY + timedelta(minutes=amount)], MILLIS),
                "updated_at": pa.array([clock.now()], MILLIS),
            }
            store.insert("progress_raw", pa.table(row), token=f"{topic.topic}/{place}")
        closer.tick()
        assert before is None or (closer.watermark is not None and closer.watermark >= before)
        before = closer.watermark
