"""Which series a rule looks at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inferwatch.schemas.alerts import AlertState, State, fingerprint
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.windows import OTHER, SeriesKey, Window
from inferwatch.streams.alerting.evaluation import History, Memory, Verdict, evaluate, left_out

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


NOTHING_YET = History()


def rule(**changes: Any) -> Rule:
    return Rule.model_validate({"name": "r", "metric": "error.rate", "when": "> 5 %"} | changes)


def judge(rules: list[Rule], history: History = NOTHING_YET) -> list[Verdict]:
    return evaluate(rules, WINDOW, METRICS, history, Memory(rules, WINDOW.size))


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
    verdicts = judge([rule(**changes)])
    assert [one.transitions[0].labels for one in verdicts] == expected
    assert [one.fingerprint for one in verdicts] == [fingerprint("r", labels) for labels in expected]


def test_instances_of_two_rules_and_of_two_values_are_apart() -> None:
    rules = [rule(group_by=["model"]), rule(name="other", group_by=["model"])]
    identities = [one.fingerprint for one in judge(rules)]
    assert len(set(identities)) == len(identities) == 6


def test_each_instance_goes_on_from_its_own_state() -> None:
    firing = AlertState(State.FIRING, START - WINDOW.size, START)
    labels = {"application": "shop"}
    identity = fingerprint("r", labels)
    shop, bank = judge([rule()], History({identity: firing}, labels={"r": {identity: labels}}))
    assert (shop.transitions, shop.state.state) == ((), State.FIRING)
    assert bank.transitions[0].to_state is State.FIRING


def test_a_number_of_another_window_is_refused() -> None:
    other = Window(WINDOW.end, WINDOW.end + timedelta(minutes=5))
    with pytest.raises(ValueError, match=r"error\.rate"):
        evaluate([rule()], other, METRICS, NOTHING_YET, Memory([rule()], WINDOW.size))


def test_a_rule_looks_at_so_many_series_and_never_leaves_out_one_that_fires() -> None:
    capped = rule(group_by=["model"], max_instances=1)
    metrics = [
        WindowMetric(WINDOW, SeriesKey("shop", "model", name), "error.rate", 0.5, rows, rows)
        for name, rows in (("a", 100), ("b", 300), ("c", 200))
    ]
    labels = {"application": "shop", "model": "a"}
    identity = fingerprint("r", labels)
    firing = History({identity: AlertState(State.FIRING, START - WINDOW.size, START)}, labels={"r": {identity: labels}})
    for history, expected in ((NOTHING_YET, ["b"]), (firing, ["a"])):
        found = evaluate([capped], WINDOW, metrics, history, Memory([capped], WINDOW.size))
        assert [one.labels["model"] for one in found] == expected
        assert left_out([capped], metrics, history) == {"r": 2}
