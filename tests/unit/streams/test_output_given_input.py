"""Outputs given their inputs, from the log to the alert's explanation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.drift_fields import GIVEN
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.alerting.engine import Alerting
from inferwatch.streams.canary import CanaryWatch
from inferwatch.streams.closing import Closer
from inferwatch.streams.explained_alerts import explain, find
from inferwatch.streams.references.files import rows_of

DAY = datetime(2026, 3, 1, tzinfo=UTC)
A_WINDOW = 80
WORDS = [f"word{place}" for place in range(60)]
OTHER_WORDS = [*WORDS[15:], *(f"thing{place}" for place in range(15))]
USUAL, OTHER = "certainly here you are", "certainly here it is"
TREE: dict[str, Any] = {
    "windows": {"size": "10m", "allowed_lateness": "30s", "idle_timeout": "60s"},
    "drift": {"fields": ["input", "output", GIVEN], "min_rows": 10, "reference_rows": 240, "columns": []},
    "rules": [{"name": "manner", "metric": f"drift.{GIVEN}.p_value", "when": "<= 0.001", "min_events": 10}],
}


def call(record: Any, n: int, window: int, words: list[str], manner: str, **fields: Any) -> Any:
    """An answer takes up the words of its question, in a manner."""
    rng = np.random.default_rng([window, n])
    question = " ".join(rng.choice(words, 4))
    minute = 10 * window + 9 * n / A_WINDOW
    return record(window * A_WINDOW + n, minute=minute, input=question, output=f"{manner} {question}", **fields)


def closed(store: ClickHouseStore, build: Any, records: list[Any]) -> Settings:
    settings = Settings.model_validate(TREE)
    pipeline = build(store, drift=TREE["drift"])
    pipeline.commit(pipeline.prepare(records))
    alerting = Alerting(settings, store, {}, SystemClock())
    Closer(settings, store, SystemClock(), alerting, "hashed-words-1", {"length": 0.25}).flush()
    return settings


def p_values(store: ClickHouseStore, window: int) -> dict[str, float]:
    rows = store.query(
        "SELECT metric, value FROM window_metrics WHERE endsWith(metric, '.p_value') "
        "AND window_start = {start:DateTime64(3, 'UTC')}",
        {"start": DAY + timedelta(minutes=10 * window)},
    ).to_pylist()
    return {row["metric"].split(".")[1]: row["value"] for row in rows}


def test_another_manner_is_found_and_explained_and_other_questions_stand_out_less(
    store: ClickHouseStore, build: Any, record: Any
) -> None:
    windows = [(WORDS, USUAL)] * 3 + [(OTHER_WORDS, USUAL), (WORDS, OTHER)]
    records = [
        call(record, n, window, words, manner)
        for window, (words, manner) in enumerate(windows)
        for n in range(A_WINDOW)
    ]
    settings = closed(store, build, records)
    asked, answered = p_values(store, 3), p_values(store, 4)
    assert asked["input"] < asked["output"] < asked[GIVEN]
    assert answered["input"] > 0.05
    assert answered[GIVEN] < 0.001

    alert = find(store, "latest")
    assert (alert.field, alert.window.start) == (GIVEN, DAY + timedelta(minutes=40))
    found = explain(store, settings, alert).explanation
    assert found.examples
    assert all(one.text.startswith(OTHER) for one in found.examples)


@pytest.mark.parametrize("missing", ["input", "output"])
def test_a_row_without_one_of_its_texts_has_no_such_vector(
    store: ClickHouseStore, build: Any, record: Any, missing: str
) -> None:
    pipeline = build(store, drift={"fields": [GIVEN]})
    pipeline.commit(pipeline.prepare([record(0, **{missing: ""}), record(1)]))
    rows = store.query("SELECT field, id FROM embeddings").to_pylist()
    assert rows == [{"field": GIVEN, "id": "id-0-1"}]


def test_a_canary_is_compared_by_how_it_answers(store: ClickHouseStore, build: Any, record: Any) -> None:
    drift = {"fields": [GIVEN], "min_rows": 20, "canary": {"dimension": "model", "control": "m-1"}}
    pipeline = build(store, drift=drift)
    records = [
        call(record, n, window, words, manner, model=model)
        for window, (words, manner, model) in enumerate(
            [(WORDS, USUAL, "m-1"), (WORDS, USUAL, "m-2"), (WORDS, OTHER, "m-3")]
        )
        for n in range(A_WINDOW)
    ]
    pipeline.commit(pipeline.prepare(records))
    watch = CanaryWatch(store, Settings.model_validate({"drift": drift}), "hashed-words-1")
    found = watch.measure(Window(DAY, DAY + timedelta(minutes=30)), "shop")
    values = {one.series: one.value for one in found if one.metric == f"canary.{GIVEN}.p_value"}
    assert values[SeriesKey("shop", "model", "m-2")] > 0.01
    assert values[SeriesKey("shop", "model", "m-3")] < 0.001


def test_log_files_give_the_vectors_that_the_stream_gives(
    store: ClickHouseStore, build: Any, record: Any, encoder: Any
) -> None:
    records = [*(call(record, n, 0, WORDS, USUAL) for n in range(60)), record(900, input=" "), record(901, output="")]
    found = rows_of(records, Settings(), encoder, "shop", GIVEN, 100)
    assert found.refused == {"no input": 1, "no output": 1}
    pipeline = build(store, drift={"fields": [GIVEN]})
    pipeline.commit(pipeline.prepare(records))
    streamed = store.query("SELECT id, vector FROM embeddings").to_pylist()
    assert sorted(found.rows.ids) == sorted(row["id"] for row in streamed)
    vectors = {row["id"]: row["vector"] for row in streamed}
    stored = np.array([vectors[one] for one in found.rows.ids])
    np.testing.assert_allclose(found.rows.vectors, stored, atol=4e-3)  # the stream's are stored as BFloat16
