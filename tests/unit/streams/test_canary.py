"""A canary is compared with the control of the same window."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import numpy as np
import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.alerts import State
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.alerting.evaluation import Memory
from inferwatch.streams.canary import CanaryWatch
from inferwatch.streams.closing import Closer

START = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(minutes=10))
TEA = ["tea", "milk", "bread", "jam", "soup", "rice"]


def watch(store: Any, canary: dict[str, Any] | None, **drift: Any) -> CanaryWatch:
    own = {"min_rows": 20, "fields": ["output"], "canary": canary} | drift
    return CanaryWatch(store, Settings.model_validate({"drift": own}), "hashed-words-1")


def fill(store: Any, build: Any, record: Any, canary: str, control: str, *, share: int = 3, n: int = 300) -> None:
    rng = np.random.default_rng(1)
    rows = []
    for place in range(n):
        new = place % share == 0
        said = canary if new else control
        words = " ".join([*rng.choice(TEA, 3), said])
        rows.append(record(place, minute=place / n * 9, output=words, model="m-2" if new else "m-1"))
    pipeline = build(store)
    pipeline.commit(pipeline.prepare(rows))


@pytest.mark.parametrize("canary", [{"dimension": "model", "control": "m-1", "canary": "m-2"}, {"dimension": "model"}])
def test_a_canary_that_says_other_things_is_found(
    store: ClickHouseStore, build: Any, record: Any, canary: dict[str, Any]
) -> None:
    fill(store, build, record, "sorry cannot help", "here you are")
    found = watch(store, canary).measure(WINDOW, "shop")
    assert [metric.metric for metric in found] == ["canary.output.p_value", "canary.output.effect"]
    assert {metric.series for metric in found} == {SeriesKey("shop", "model", "m-2")}
    p_value, effect = found
    assert (p_value.n, p_value.total) == (100, 100)
    assert p_value.value <= 0.001
    assert effect.value > 0.2
    assert p_value.detail["reference"] == "model m-1"
    ids = store.query("SELECT id FROM inferences WHERE model = 'm-2'")["id"].to_pylist()
    assert set(p_value.detail["examples"]) <= set(ids)
    assert watch(store, canary).measure(WINDOW, "shop") == found


def test_what_changes_for_both_is_nothing_to_a_canary(store: ClickHouseStore, build: Any, record: Any) -> None:
    fill(store, build, record, "recall of the heater", "recall of the heater")
    [p_value, effect] = watch(store, {"dimension": "model"}).measure(WINDOW, "shop")
    assert p_value.value > 0.05
    assert effect.value < 0.2


def test_too_few_rows_on_either_side_are_no_number(store: ClickHouseStore, build: Any, record: Any) -> None:
    fill(store, build, record, "sorry", "here", share=30)
    [p_value, _] = watch(store, {"dimension": "model"}).measure(WINDOW, "shop")
    assert isnan(p_value.value)
    assert (p_value.n, p_value.detail["abstained"]) == (10, "too few rows in the window")
    [p_value, _] = watch(store, {"dimension": "model", "control": "m-2"}).measure(WINDOW, "shop")
    assert p_value.detail["abstained"] == "too few rows in the reference"


def test_without_a_control_or_a_canary_there_is_nothing(store: ClickHouseStore, build: Any, record: Any) -> None:
    fill(store, build, record, "sorry", "here")
    assert watch(store, None).measure(WINDOW, "shop") == []
    assert watch(store, {"dimension": "model", "control": "m-9"}).measure(WINDOW, "shop") == []
    assert watch(store, {"dimension": "model", "canary": "m-9"}).measure(WINDOW, "shop") == []
    assert watch(store, {"dimension": "model"}).measure(WINDOW, "another") == []


def test_a_rule_on_a_canary_has_to_be_by_its_dimension() -> None:
    rule = {"name": "canary", "metric": "canary.output.p_value", "when": "< 0.001", "group_by": ["model"]}
    canary = {"dimension": "model"}
    Settings.model_validate({"drift": {"canary": canary}, "rules": [rule]})
    for drift, own, message in (
        ({"canary": canary}, {"group_by": []}, r"needs group_by: \[model\]"),
        ({}, {}, "needs drift.canary"),
        ({"canary": {"dimension": "tenant"}}, {}, r"drift.canary.dimension is 'tenant'|needs group_by: \[tenant\]"),
        ({"canary": canary | {"control": "a", "canary": "a"}}, {}, "must differ, got 'a' for both"),
    ):
        with pytest.raises(ValueError, match=message):
            Settings.model_validate({"drift": drift, "rules": [rule | own]})


def test_a_closed_window_has_its_canaries_and_a_rule_sees_each(store: ClickHouseStore, build: Any, record: Any) -> None:
    fill(store, build, record, "sorry cannot help", "here you are")
    rule = {"name": "canary", "metric": "canary.output.p_value", "when": "< 0.01", "group_by": ["model"]}
    drift = {"min_rows": 20, "fields": ["output"], "canary": {"dimension": "model"}, "on_deploy": "off"}
    settings = Settings.model_validate({"windows": {"size": "10m"}, "drift": drift, "rules": [rule]})
    seen: list[tuple[str, dict[str, str], bool]] = []

    class Judge:
        def decide(self, window: Window, metrics: Sequence[WindowMetric], passed: object) -> None:
            verdicts = Memory(settings.rules, window.size).feed(window, metrics)
            seen.extend((one.rule.metric, dict(one.labels), one.state.state is State.FIRING) for one in verdicts)

        def let_pass(self, *_: object) -> None: ...

    Closer(settings, store, SystemClock(), Judge(), "hashed-words-1", {}).flush()
    assert seen == [("canary.output.p_value", {"application": "shop", "model": "m-2"}, True)]
    published = store.query("SELECT segment_value FROM window_metrics WHERE metric = 'canary.output.effect'")
    assert published["segment_value"].to_pylist() == ["m-2"]
