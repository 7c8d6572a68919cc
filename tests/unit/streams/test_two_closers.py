"""A closer that was stopped wakes up beside its successor: what the views show is what one closer would have shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.settings import Settings
from inferwatch.streams.closing import Closer
from tests.support.interrupted import Interrupted

NOW = datetime.now(UTC)  # noqa: TID251
SETTINGS = Settings.model_validate(
    {
        "windows": {"size": "10m", "allowed_lateness": "30s"},
        "drift": {"fields": []},
        "segments": {"dimensions": ["model"]},
    }
)


class Silent:
    """Decides nothing."""

    def decide(self, window: object, metrics: object, passed: object) -> None: ...

    def let_pass(self, *_: object) -> None: ...


def closer(store: Any, clock: ManualClock) -> Closer:
    return Closer(SETTINGS, store, clock, Silent(), "r", {"length": 0.25})


def numbers(store: ClickHouseStore) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """What the views show; revisions and times of publication aside."""
    rows = store.query(
        "SELECT window_start, window_end, application, segment_dimension, segment_value, metric, value, n, total, "
        "ci_low, ci_high FROM window_metrics"
    ).to_pylist()
    found = {}
    for row in rows:
        values = [None if isinstance(value, float) and isnan(value) else value for value in row.values()]
        assert tuple(values[:6]) not in found
        found[tuple(values[:6])] = tuple(values[6:])
    for row in store.query("SELECT window_start, window_end, rows FROM windows").to_pylist():
        found[row["window_start"], row["window_end"]] = (row["rows"],)
    return found


@pytest.mark.parametrize("late", [False, True], ids=["closing", "revising"])
def test_stopped_at_any_call_it_shows_no_older_numbers(
    store: ClickHouseStore, another: Any, build: Any, record: Any, late: bool
) -> None:
    first = [record(n, minute=n, model="ab"[n % 2]) for n in range(0, 24)]
    # A new segment, so that the numbers of the two cannot fit on each other.
    between = [record(100 + n, minute=3 * n, model="bc"[n % 2], output="x" * 60) for n in range(7)]
    after = [record(200, minute=5, model="d")]

    def put(where: ClickHouseStore, records: Any) -> None:
        pipeline = build(where)
        pipeline.commit(pipeline.prepare(records))

    put(store, first + between + (after if late else []))
    closer(store, ManualClock(NOW)).flush()
    expected = numbers(store)

    k = 0
    while True:
        k += 1
        with open_store(another(f"stopped_{k}_{late:d}")) as shared:
            clock = ManualClock(NOW)
            successor = closer(shared, clock)

            def take_over(shared: Any = shared, successor: Closer = successor, clock: ManualClock = clock) -> None:
                put(shared, between)
                clock.advance(timedelta(minutes=5))
                assert successor.tick()

            put(shared, first)
            if late:
                closer(shared, clock).flush()
                put(shared, after)
            stopping = Interrupted(shared, k, take_over)
            clock.advance(timedelta(minutes=5))
            closer(stopping, clock).tick()
            if stopping.calls < k:
                break
            clock.advance(timedelta(minutes=20))
            successor.tick()
            assert numbers(shared) == expected, f"stopped before call {k}"
    assert k > 8
