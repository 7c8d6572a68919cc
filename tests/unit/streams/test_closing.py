"""A window's numbers are a function of its rows, however and how often it is closed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import numpy as np
import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.schemas.clock import ManualClock, SystemClock
from inferwatch.schemas.errors import StoreUnavailable
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import Window
from inferwatch.streams.closing import Closer

DAY = datetime(2026, 3, 1, tzinfo=UTC)
WINDOWS = {"size": "10m", "allowed_lateness": "30s", "idle_timeout": "60s"}
DRIFT = {"min_rows": 10, "reference_rows": 100}


class Recorder:
    """Keeps what it was asked to decide."""

    def __init__(self) -> None:
        self.windows: list[Window] = []
        self.passed: list[tuple[datetime, datetime]] = []

    def decide(self, window: Window, metrics: Sequence[WindowMetric], passed: object) -> None:
        assert all(metric.window == window for metric in metrics)
        self.windows.append(window)

    def let_pass(self, began: datetime, until: datetime) -> None:
        self.passed.append((began, until))


def closer(store: Any, clock: Any = None, decider: Any = None, **settings: Any) -> Closer:
    tree = {"windows": WINDOWS, "drift": DRIFT} | settings
    return Closer(
        Settings.model_validate(tree),
        store,
        clock or SystemClock(),
        decider or Recorder(),
        "hashed-words-1",
        {"length": 0.25},
    )


def metrics(store: ClickHouseStore, **where: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Everything published, NaN made comparable, without revision and time of publication."""
    rows = store.query(
        "SELECT window_start, application, segment_dimension, segment_value, metric, value, n, total, ci_low, ci_high "
        "FROM window_metrics"
    ).to_pylist()

    def plain(value: Any) -> Any:
        return "nan" if isinstance(value, float) and isnan(value) else value

    keys = ("window_start", "application", "segment_dimension", "segment_value", "metric")
    return {
        tuple(row[key] for key in keys): tuple(plain(value) for key, value in row.items() if key not in keys)
        for row in rows
        if all(row[key] == value for key, value in where.items())
    }


def put(pipeline: Any, records: Sequence[Any], size: int = 64) -> None:
    for start in range(0, len(records), size):
        pipeline.commit(pipeline.prepare(records[start : start + size]))


def test_a_window_closes_when_the_watermark_has_passed_it(store: ClickHouseStore, build: Any, record: Any) -> None:
    recorder = Recorder()
    closing = closer(store, decider=recorder)
    pipeline = build(store)
    put(pipeline, [record(n, minute=n) for n in range(11)])
    assert closing.tick() == []  # the latest event is at 10:00, less 30 s of lateness
    put(pipeline, [record(11, minute=10.6)])
    assert closing.tick() == [Window(DAY, DAY + timedelta(minutes=10))]
    assert closing.tick() == []
    assert recorder.windows == [Window(DAY, DAY + timedelta(minutes=10))]
    assert metrics(store, metric="inferences")[DAY, "shop", "__all__", "__all__", "inferences"][:3] == (10.0, 10, 10)


def test_windows_without_rows_are_told_once_they_are_complete(store: ClickHouseStore, build: Any, record: Any) -> None:
    def at(minute: float) -> datetime:
        return DAY + timedelta(minutes=minute)

    recorder = Recorder()
    closing, pipeline = closer(store, decider=recorder), build(store)
    put(pipeline, [record(0, minute=5), record(1, minute=10.6)])
    closing.tick()
    assert recorder.passed == [], "before the first window nothing is known to be silent"
    put(pipeline, [record(2, minute=40.6)])
    closing.tick()
    assert recorder.passed == [(at(20), at(40))]
    put(pipeline, [record(3, minute=75)])
    closing.tick()
    closing.tick()
    assert recorder.passed[1:] == [(at(50), at(70))]
    assert closer(store, decider=recorder).tick() == []
    assert recorder.passed[2:] == [(at(50), at(70))], "another process starts from the last window closed"
    assert store.query("SELECT passed FROM windows_raw ORDER BY window_start")["passed"].to_pylist()[1:] == [
        at(10), at(40),
    ]  # fmt: skip


def test_the_numbers_are_those_of_the_rows(store: ClickHouseStore, build: Any, record: Any) -> None:
    rows = [
        record(
            n, minute=n / 10, output="x" * n, model="a" if n % 4 else "b", latency_ms=n, error="down" if n == 3 else ""
        )
        for n in range(40)
    ]
    put(build(store), rows)
    closer(store).flush()
    found = metrics(store)
    whole = {key[4]: value for key, value in found.items() if key[2] == "__all__"}
    scored = [n / 100 for n in range(1, 40)]
    assert whole["length.coverage"][:3] == (39 / 40, 40, 40)
    assert whole["length.rate"][:3] == (sum(score >= 0.25 for score in scored) / 39, 39, 40)
    assert whole["length.mean"][0] == pytest.approx(np.mean(scored), abs=1e-7)
    assert whole["error.rate"][0] == 1 / 40
    assert whole["latency_ms.p50"][0] == pytest.approx(20, abs=1)
    low, high = whole["length.rate"][3:]
    assert low < whole["length.rate"][0] < high
    models = {key[3]: value[0] for key, value in found.items() if key[2] == "model" and key[4] == "inferences"}
    assert models == {"a": 30.0, "b": 10.0}


def test_segments_beyond_the_cap_are_one(store: ClickHouseStore, build: Any, record: Any) -> None:
    rows = [record(n, minute=0.001 * n, model=f"m{n % 1000:04}") for n in range(1500)]
    put(build(store), rows, size=500)
    closer(store, segments={"dimensions": ["model"], "max_values": 20}).flush()
    counts = {key[3]: value[0] for key, value in metrics(store, segment_dimension="model", metric="inferences").items()}
    assert len(counts) == 21
    assert counts["__other__"] == 1500 - 40
    assert sum(counts.values()) == 1500
    assert set(counts) - {"__other__"} == {f"m{n:04}" for n in range(20)}


def test_order_batches_and_repetition_change_no_number(store: ClickHouseStore, build: Any, record: Any) -> None:
    rows = [record(n, minute=n / 10, model=f"m{n % 3}", cost_usd=0.1 * n) for n in range(400)]
    pipeline = build(store)
    put(pipeline, rows)
    closing = closer(store)
    closing.flush()
    first = metrics(store)
    put(pipeline, rows, size=37)
    closing.flush()
    assert metrics(store) == first
    assert store.query("SELECT max(revision) AS r FROM windows").to_pylist() == [{"r": 0}]


def test_late_rows_publish_a_higher_revision_and_are_decided(store: ClickHouseStore, build: Any, record: Any) -> None:
    recorder = Recorder()
    clock = ManualClock(datetime.now(UTC))  # noqa: TID251
    closing = closer(store, clock, recorder)
    pipeline = build(store)
    put(pipeline, [record(n, minute=n) for n in range(25)])
    assert len(closing.tick()) == 2
    put(pipeline, [record(100, minute=3.5), record(101, minute=23)])
    assert closing.tick() == []  # looked for late rows a moment ago
    clock.advance(timedelta(seconds=15))
    assert closing.tick() == [Window(DAY, DAY + timedelta(minutes=10))]
    windows = store.query("SELECT revision, rows FROM windows ORDER BY window_start").to_pylist()
    assert windows == [{"revision": 1, "rows": 11}, {"revision": 0, "rows": 10}]
    assert metrics(store, metric="inferences")[DAY, "shop", "__all__", "__all__", "inferences"][0] == 11
    first, second = (Window(DAY + n * timedelta(minutes=10), DAY + (n + 1) * timedelta(minutes=10)) for n in (0, 1))
    assert recorder.windows == [first, second, first]


def test_a_crash_at_any_insert_changes_no_number(
    store: ClickHouseStore, failing_at: Any, another: Any, build: Any, record: Any
) -> None:
    words = ["tea", "milk", "bread", "jam", "soup", "rice"]
    rows = [record(n, minute=n / 8, input=f"{words[n % 5]} {words[n * n % 6]} {n % 7}") for n in range(400)]
    put(build(store), rows)
    counting = failing_at(store, 0, after=False)
    closer(counting).flush()
    expected = metrics(store)
    assert any(key[4] == "drift.input.p_value" and value[0] != "nan" for key, value in expected.items())
    for k in range(1, counting.calls + 1, 3):
        for after in (False, True):
            with open_store(another(f"crash_{k}_{after:d}")) as crashing:
                put(build(crashing), rows)
                with pytest.raises(StoreUnavailable):
                    closer(failing_at(crashing, k, after=after)).flush()
                closer(crashing).flush()
                assert metrics(crashing) == expected


@pytest.mark.parametrize("table", ["references_raw", "promotions_raw"])
def test_a_reference_whose_insert_was_not_answered_is_not_frozen_twice(
    store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch, build: Any, record: Any, table: str
) -> None:
    put(build(store), [record(n, minute=n / 8, input=f"tea {n % 7} milk") for n in range(250)])
    unanswered: list[str] = []
    insert = store.insert

    def too_late(name: str, rows: Any, *, token: str) -> None:
        insert(name, rows, token=token)
        if name == table and not unanswered:
            unanswered.append(token)
            raise StoreUnavailable("answered too late")

    monkeypatch.setattr(store, "insert", too_late)
    with pytest.raises(StoreUnavailable):
        closer(store).flush()
    closer(store).flush()
    versions = store.query("SELECT DISTINCT application, field, name, version FROM references ORDER BY field")
    assert versions["version"].to_pylist() == [1, 1]


def test_drift_is_told_from_no_drift(store: ClickHouseStore, build: Any, record: Any) -> None:
    words = ["tea", "milk", "bread", "jam", "soup", "rice"]
    rows = [record(n, minute=n / 8, input=f"{words[n % 6]} {words[n * n % 5]}") for n in range(320)]
    rows += [record(n, minute=n / 8, input=f"recall of the broken heater {n % 3}") for n in range(320, 400)]
    put(build(store), rows)
    closer(store).flush()
    values = {key[0]: value[0] for key, value in metrics(store, metric="drift.input.p_value").items()}
    assert [values[DAY + timedelta(minutes=10 * n)] for n in (0, 1)] == ["nan", "nan"]  # no reference yet
    assert values[DAY + timedelta(minutes=20)] > 0.01
    assert values[DAY + timedelta(minutes=40)] < 1e-4
