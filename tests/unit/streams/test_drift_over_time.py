"""What closed windows leave behind, and what later windows make of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isnan, nan
from typing import Any

import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.closing import Closer
from inferwatch.streams.multiplicity import shared
from inferwatch.streams.publication import published
from inferwatch.streams.references import References

DAY = datetime(2026, 3, 1, tzinfo=UTC)
MINUTES = timedelta(minutes=10)
WORDS = ["tea", "milk", "bread", "jam", "soup", "rice"]


class Silent:
    def decide(self, window: Window, metrics: Any, passed: Any) -> None:
        pass

    def let_pass(self, *_: object) -> None: ...


def closer(store: Any) -> Closer:
    tree = {
        "windows": {"size": "10m"},
        "drift": {"fields": ["input"], "min_rows": 30, "reference_rows": 100, "scales": 4},
    }
    return Closer(Settings.model_validate(tree), store, SystemClock(), Silent(), "hashed-words-1", {})


def put(pipeline: Any, records: list[Any]) -> None:
    for start in range(0, len(records), 64):
        pipeline.commit(pipeline.prepare(records[start : start + 64]))


def calm(record: Any, n: int, **fields: Any) -> Any:
    """Row n, 20 to a window."""
    return record(n, minute=n / 2, input=f"{WORDS[n % 5]} {WORDS[n * n % 6]} {n % 7}", **fields)


def number(store: ClickHouseStore, place: int, kind: str) -> WindowMetric:
    window = Window(DAY + place * MINUTES, DAY + (place + 1) * MINUTES)
    return next(one for one in published(store, window) if one.metric == f"drift.input.{kind}")


def test_windows_too_small_to_judge_are_judged_together(store: ClickHouseStore, build: Any, record: Any) -> None:
    """20 rows a window, 30 needed: no p-value of one, a recurrence of several. The reference is the first five."""
    pipeline = build(store)
    put(pipeline, [calm(record, n) for n in range(200)])
    put(pipeline, [record(n, minute=n / 2, input=f"recall of the heater {n % 7}") for n in range(200, 280)])
    closer(store).flush()
    assert isnan(number(store, 9, "p_value").value)
    assert number(store, 9, "p_value").detail["abstained"] == "too few rows in the window"
    quiet, loud = number(store, 9, "recurrence"), number(store, 13, "recurrence")
    assert quiet.n in (40, 80, 100)
    assert quiet.value < 1
    assert loud.value > 365
    assert datetime.fromisoformat(loud.detail["since"]) <= DAY + 12 * MINUTES
    left = store.query("SELECT sampled, length(total) AS columns FROM drift_windows").to_pylist()
    assert [row["sampled"] for row in left] == [20] * 9
    assert {row["columns"] for row in left} == {160}


def test_window_by_window_and_at_once_another_closer_finds_the_same(
    store: ClickHouseStore, build: Any, record: Any
) -> None:
    """Each window closed by a closer of its own, which knows only what is stored, and one window closed twice."""
    pipeline = build(store)
    for place in range(9):
        put(pipeline, [calm(record, n) for n in range(20 * place, 20 * place + 20)])
        closer(store).flush()
    found = {place: number(store, place, "recurrence") for place in range(5, 9)}
    put(pipeline, [calm(record, n, partition=1) for n in range(160, 162)])
    closer(store).flush()
    again = number(store, 8, "recurrence")
    assert again.revision == 1
    assert again.n >= found[8].n
    rows = [row["sampled"] for row in store.query("SELECT sampled FROM drift_windows ORDER BY window_end").to_pylist()]
    assert rows == [20, 20, 20, 22]
    put(pipeline, [calm(record, n) for n in range(180, 200)])
    closer(store).flush()
    # What came late is in its own window's numbers; those of later windows do not depend on when it came.
    assert number(store, 9, "recurrence").n in (40, 80, 100)


def test_windows_are_not_pooled_across_a_change_of_reference(store: ClickHouseStore, build: Any, record: Any) -> None:
    pipeline = build(store)
    put(pipeline, [calm(record, n) for n in range(160)])
    closer(store).flush()
    references = References(store, SystemClock())
    built = references.build("shop", "input", DAY, DAY + 8 * MINUTES, rows=100)
    references.promote("shop", "input", built.name, built.version)
    put(pipeline, [calm(record, n) for n in range(160, 200)])
    closer(store).flush()
    assert isnan(number(store, 8, "recurrence").value)
    assert number(store, 9, "recurrence").n == 40


def test_one_row_of_a_conversation_is_compared(store: ClickHouseStore, build: Any, record: Any) -> None:
    put(build(store), [calm(record, n) for n in range(100)])
    talk = [record(n, minute=50 + n / 100, input=f"{WORDS[n % 6]}", conversation_id="c-1") for n in range(100, 200)]
    alone = [record(n, minute=50 + n / 100, input=f"{WORDS[n % 6]} {n}") for n in range(200, 240)]
    put(build(store), talk + alone)
    closer(store).flush()
    found = number(store, 5, "p_value")
    assert (found.n, found.total) == (41, 140)


def test_the_budget_of_a_rule_is_shared_by_the_series_it_looks_at() -> None:
    window = Window(DAY, DAY + MINUTES)

    def metric(application: str, kind: str, value: float, field: str = "input") -> WindowMetric:
        return WindowMetric(window, SeriesKey(application), f"drift.{field}.{kind}", value, 100, 100)

    found = shared(
        [
            metric("shop", "recurrence", 60.0),
            metric("bank", "recurrence", 2.0),
            metric("post", "recurrence", nan),
            metric("shop", "recurrence", 8.0, "output"),
            metric("shop", "p_value", 0.01),
            metric("bank", "p_value", 0.04),
            metric("post", "p_value", nan),
        ]
    )
    values = {(one.series.application, one.metric): one.value for one in found}
    assert values["shop", "drift.input.recurrence"] == 30
    assert values["bank", "drift.input.recurrence"] == 1
    assert values["shop", "drift.output.recurrence"] == 8
    assert values["shop", "drift.input.q_value"] == pytest.approx(0.02)
    assert values["bank", "drift.input.q_value"] == pytest.approx(0.04)
    assert isnan(values["post", "drift.input.q_value"])
    assert isnan(values["post", "drift.input.recurrence"])
