"""A rule that can never come to pass is a mistake; one that can is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.drift.result import LEAST_P
from inferwatch.infra import catalogue, reach
from inferwatch.schemas.drift_fields import FIELDS
from inferwatch.schemas.rules import Condition, Rule
from inferwatch.schemas.settings import DriftSettings, WindowSettings

METRICS = [
    *catalogue.metrics(["toxicity.output", "hallucination"], FIELDS),
    *catalogue.column_metrics(["toxicity.output"], ["input"], ["latency_ms", "model", "scores"]),
]


def faults(drift: Mapping[str, Any] | None = None, **rule: Any) -> dict[str, str]:
    known = Rule.model_validate({"name": "r", "metric": "error.rate", "when": "> 0.5"} | rule)
    return dict(reach.faults(known, DriftSettings.model_validate(drift or {}), WindowSettings()))


def test_the_smallest_p_value_is_the_detectors() -> None:
    assert reach.LEAST_P == LEAST_P


@given(
    st.sampled_from(METRICS),
    st.sampled_from(["<", "<=", ">", ">="]),
    st.floats(-2, 2) | st.sampled_from([0.0, 1.0]),
    st.floats(0, 1),
)
def test_a_condition_that_some_value_satisfies_is_not_called_unreachable(
    metric: str, operator: str, threshold: float, share: float
) -> None:
    values = reach.values_of(metric)
    low, high = max(values.low, -1e6), min(values.high, 1e6)
    condition = Condition(operator=operator, threshold=threshold)
    value = low + share * (high - low)
    if condition.holds(value):
        assert values.allows(condition)
    else:
        assert not values.is_within(condition)
    ends = [condition.holds(end) for end in (low, high)]
    assert values.allows(condition) == any(ends)
    assert values.is_within(condition) == all(ends)


@pytest.mark.parametrize("when", ["> 99 %", ">= 1", "< 1", "<= 0"])
def test_the_ends_of_a_share_can_be_reached(when: str) -> None:
    assert faults(when=when) == {}


def test_a_rule_on_a_rating_may_ask_for_any_number() -> None:
    assert faults(metric="feedback.rating.mean", when="< -3") == {}


def test_evidence_over_time_pools_windows_and_may_ask_for_more_rows_than_one_has() -> None:
    drift = {"window_rows": 100, "scales": 3}
    assert faults(drift, metric="drift.input.p_value", when="< 0.001", min_events=101).keys() == {"min_events"}
    assert faults(drift, metric="drift.input.recurrence", when="> 30", min_events=400) == {}
    assert faults(drift, metric="drift.input.recurrence", when="> 30", min_events=401).keys() == {"min_events"}
    assert faults(drift, min_events=10_000) == {}, "other metrics are of all rows"


def test_columns_are_compared_by_segment_where_that_is_on() -> None:
    rule = {"metric": "drift.latency_ms.effect", "when": "> 0.2", "group_by": ["model"]}
    assert faults(**rule).keys() == {"group_by"}
    assert faults({"by_segment": True}, **rule) == {}
