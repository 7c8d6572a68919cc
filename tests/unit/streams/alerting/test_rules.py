"""Which series a rule looks at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inferwatch.schemas.alerts import AlertState, State, fingerprint
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.windows import OTHER, SeriesKey, Window
from inferwatch.streams.alerting.rules import evaluate

START = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(minutes=5))
METRICS = [
    WindowMetric(WINDOW, series, metric, 0.5, 100, 100)
    for metric in ("error.rate", "hallucination.rate")
    for series in (
        SeriesKey("shop"),
        SeriesKey("shop", "model", "m-1"),
        SeriesKey("shop", "model", OTHER),
        SeriesKey("shop", "tenant", "t"),
        SeriesKey("bank"),
        SeriesKey("bank", "model", "m-1"),
    )
]


def rule(**changes: Any) -> Rule:
    return Rule.model_validate({"name": "r", "metric": "error.rate", "when": "> 5 %"} | changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [{"application": "shop"}, {"application": "bank"}]),
        ({"applications": ["bank"]}, [{"application": "bank"}]),
        (
            {"group_by": ["model"], "applications": ["shop"]},
            [{"application": "shop", "model": "m-1"}, {"application": "shop", "model": OTHER}],
        ),
        ({"group_by": ["prompt_version"]}, []),
        ({"metric": "latency_ms.p95"}, []),
    ],
)
def test_a_rule_has_one_instance_a_series(changes: dict[str, Any], expected: list[dict[str, str]]) -> None:
    verdicts = evaluate([rule(**changes)], WINDOW, METRICS, {})
    assert [one.transitions[0].labels for one in verdicts] == expected
    assert [one.fingerprint for one in verdicts] == [fingerprint("r", labels) for labels in expected]


def test_instances_of_two_rules_and_of_two_values_are_apart() -> None:
    rules = [rule(group_by=["model"]), rule(name="other", group_by=["model"])]
    identities = [one.fingerprint for one in evaluate(rules, WINDOW, METRICS, {})]
    assert len(set(identities)) == len(identities) == 6


def test_each_instance_goes_on_from_its_own_state() -> None:
    firing = AlertState(State.FIRING, START, START, START)
    states = {fingerprint("r", {"application": "shop"}): firing}
    shop, bank = evaluate([rule()], WINDOW, METRICS, states)
    assert (shop.transitions, shop.state.state) == ((), State.FIRING)
    assert bank.transitions[0].to_state is State.FIRING


def test_a_number_of_another_window_is_refused() -> None:
    other = Window(WINDOW.end, WINDOW.end + timedelta(minutes=5))
    with pytest.raises(ValueError, match=r"error\.rate"):
        evaluate([rule()], other, METRICS, {})
