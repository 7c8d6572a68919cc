"""A drifted window says what is new in it, from what is stored, and reads no text that must not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.errors import NotFound
from inferwatch.schemas.explanation import Brief
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import Window
from inferwatch.streams.alerting.engine import Alerting
from inferwatch.streams.closing import Closer
from inferwatch.streams.explained_alerts import explain, find
from inferwatch.streams.explaining import TEXTS_OFF

DAY = datetime(2026, 3, 1, tzinfo=UTC)
RULE = {"name": "drift", "metric": "drift.input.p_value", "when": "<= 0.01", "min_events": 10}
TREE: dict[str, Any] = {
    "windows": {"size": "10m", "allowed_lateness": "30s", "idle_timeout": "60s"},
    "drift": {"fields": ["input"], "min_rows": 10, "reference_rows": 200},
    "segments": {"dimensions": ["prompt_version"]},
    "rules": [RULE],
}
WORDS = ("tea", "milk", "bread", "jam", "soup", "rice")
TEXTS = ("is the broken heater part of the recall", "recall of my broken heater", "which broken heater has a recall")


def fill(store: ClickHouseStore, build: Any, record: Any, **settings: Any) -> Settings:
    """Five windows of 80 rows; half of the last one, nearly all of them of prompt 8, is about a recall."""
    tree = TREE | settings
    rng = np.random.default_rng(1)
    records = []
    for n in range(400):
        recalled = n >= 320 and n % 2 == 0
        text = f"{TEXTS[n % 3]} {WORDS[n % 6]}" if recalled else " ".join(rng.choice(WORDS, 3))
        version = "8" if recalled and n % 20 else "7"
        records.append(record(n, minute=n / 8, input=text, prompt_version=version))
    pipeline = build(store, privacy=tree.get("privacy", {}))
    for start in range(0, len(records), 100):
        pipeline.commit(pipeline.prepare(records[start : start + 100]))
    made = Settings.model_validate(tree)
    alerting = Alerting(made, store, {}, SystemClock())
    Closer(made, store, SystemClock(), alerting, "hashed-words-1", {"length": 0.25}).flush()
    return made


def details(store: ClickHouseStore) -> dict[datetime, dict[str, Any]]:
    rows = store.query(
        "SELECT window_start, detail FROM window_metrics WHERE metric = 'drift.input.p_value'"
    ).to_pylist()
    return {row["window_start"]: orjson.loads(row["detail"]) for row in rows}


def ids(examples: Sequence[str]) -> list[int]:
    return [int(one.rpartition("-")[2]) for one in examples]


def test_a_drifted_window_carries_words_share_segment_and_examples_and_its_alert_is_explained(
    store: ClickHouseStore, build: Any, record: Any
) -> None:
    with pytest.raises(NotFound, match="there is no drift alert 'x'; name one of: none"):
        find(store, "x")
    settings = fill(store, build, record)
    found = details(store)
    assert "explanation" not in found[DAY + timedelta(minutes=30)]  # no drift there, no work
    said = found[DAY + timedelta(minutes=40)]
    brief = Brief.of(said["explanation"])
    assert {"broken heater", "recall"} <= set(brief.keywords)
    assert brief.new.proven
    assert brief.new.value == pytest.approx(0.5, abs=0.12)
    [segment] = brief.segments
    assert (segment.dimension, segment.value) == ("prompt_version", "8")
    assert segment.share > 0.8 > 0.4 > segment.elsewhere
    assert 3 <= len(said["examples"]) <= 5
    assert all(n >= 320 and n % 2 == 0 for n in ids(said["examples"])[:3])
    assert brief.note == ""

    [row] = store.query("SELECT alert_id, fingerprint FROM alerts WHERE to_state = 'firing'").to_pylist()
    names = ("latest", row["alert_id"], f"inferwatch/{row['alert_id']}", row["fingerprint"])
    alerts = [find(store, name) for name in names]
    assert set(alerts) == {alerts[0]}
    assert alerts[0].window == Window(DAY + timedelta(minutes=40), DAY + timedelta(minutes=50))
    again = explain(store, settings, alerts[0])
    assert again.explanation.brief == brief
    assert [one.id for one in again.explanation.examples] == said["examples"]
    assert all("recall" in one.text for one in again.explanation.examples[:3])
    assert again.witness.window.shape == (80,)

    forbidden = Settings.model_validate(TREE | {"privacy": {"store_text": False}})
    silent = explain(store, forbidden, alerts[0]).explanation
    assert {one.text for one in (*silent.examples, *silent.gone)} == {""}
    assert (silent.brief.keywords, silent.brief.note) == ((), TEXTS_OFF)

    with pytest.raises(NotFound, match=rf"name one of: {row['alert_id']} \(drift\)"):
        find(store, "x")
    with pytest.raises(NotFound, match="its window's metric, and so its reference, is not in the store"):
        explain(store, settings, replace(alerts[0], metric="drift.output.p_value"))


def test_without_stored_texts_there_is_no_word_and_that_is_said(
    store: ClickHouseStore, build: Any, record: Any
) -> None:
    settings = fill(store, build, record, privacy={"store_text": False})
    brief = Brief.of(details(store)[DAY + timedelta(minutes=40)]["explanation"])
    assert (brief.keywords, brief.gone_keywords, brief.note) == ((), (), TEXTS_OFF)
    assert brief.new.proven
    found = explain(store, settings, find(store, "latest")).explanation
    assert found.examples
    assert {one.text for one in found.examples} == {""}
