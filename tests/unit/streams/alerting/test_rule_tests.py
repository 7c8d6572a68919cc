"""Tests of rules find what is wrong with rules, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from inferwatch.schemas.alerts import State
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.rule_tests import RuleTest
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.settings import WindowSettings
from inferwatch.streams.alerting.rule_tests import Difference, differences, looks

SHOP = {"application": "shop"}


def rule(**fields: Any) -> Rule:
    return Rule.model_validate({"name": "errors", "metric": "error.rate", "when": "> 5 %"} | fields)


def run(
    values: str | dict[str, Any], checks: list[tuple[str, list[dict[str, Any]]]], *rules: Rule, **fields: Any
) -> list[Difference]:
    series = {"series": 'error.rate{application="shop"}'} | ({"values": values} if isinstance(values, str) else values)
    test = RuleTest.model_validate(
        {
            "name": "t",
            "input_series": [series],
            "alert_rule_test": [{"eval_time": at, "alertname": "errors", "exp_alerts": found} for at, found in checks],
        }
        | fields
    )
    return differences(test, rules or [rule()], WindowSettings())


def alert(state: str = "firing", value: float | None = None, **labels: str) -> dict[str, Any]:
    found: dict[str, Any] = {"exp_labels": labels or SHOP, "exp_state": state}
    return found if value is None else found | {"exp_value": value}


def test_the_first_value_is_of_the_window_that_ends_a_step_after_the_start() -> None:
    assert run("0.1 0.01", [("0", []), ("4m59s", []), ("5m", [alert(value=0.1)]), ("10m", [])]) == []


def test_for_is_pending_first() -> None:
    checks = [("5m", [alert("pending")]), ("10m", [alert("pending")]), ("15m", [alert("firing")])]
    assert run("0.1x4", checks, rule(**{"for": "10m"})) == []


def test_what_differs_is_given_from_both_sides() -> None:
    [difference] = run("0.1", [("5m", [alert("pending", 0.2)])])
    assert [one.exp_state for one in difference.missing] == [State.PENDING]
    [got] = difference.unexpected
    assert (got.state, got.value, got.n, dict(got.labels)) == (State.FIRING, 0.1, 1000, SHOP)


@pytest.mark.parametrize(
    "expected",
    [[], [alert(value=0.2)], [alert("pending")], [alert(application="b")], [alert(), alert(application="b")]],
)
def test_no_difference_is_overlooked(expected: list[dict[str, Any]]) -> None:
    assert len(run("0.1", [("5m", expected)])) == 1


def test_checks_may_be_in_any_order() -> None:
    assert [one.check for one in run("0.1 0.01", [("10m", []), ("5m", []), ("5m", [alert()])])] == [1]


def test_an_alert_that_is_over_may_be_named_as_such() -> None:
    assert run("0.1 0.01", [("10m", [alert("resolved")]), ("5m", [alert()])]) == []


def test_few_rows_are_no_evidence() -> None:
    assert run({"values": "0.1 0.1", "n": "10 30"}, [("5m", []), ("10m", [alert()])]) == []


def test_a_share_has_its_interval_without_being_told() -> None:
    careful = rule(when="ci_low > 5 %")
    assert run({"values": "0.08", "n": 50}, [("5m", [])], careful) == []
    assert run({"values": "0.08", "n": 5000}, [("5m", [alert()])], careful) == []
    assert run({"values": "0.08", "n": 50, "ci_low": "0.06", "ci_high": "0.1"}, [("5m", [alert()])], careful) == []


def test_gaps_are_windows_without_rows_and_lead_to_no_data() -> None:
    silent = rule(no_data_after="15m")
    checks: list[tuple[str, list[dict[str, Any]]]] = [("10m", []), ("15m", []), ("20m", [alert("no_data")])]
    assert run("0.01 _x5", checks, silent) == []
    assert run("0.01", checks, silent) == [], "time passes without windows"


def test_a_number_that_failed_is_an_error() -> None:
    assert run("0.01 errorx4", [("20m", [alert("error")])], rule(no_data_after="10m")) == []


def test_late_rows_take_an_alert_back() -> None:
    late = {"series": 'error.rate{application="shop"}', "window": "5m", "seen": "8m", "value": 0.02, "n": 4000}
    assert run("0.1", [("7m", [alert()]), ("8m", [])], revisions=[late]) == []


def test_the_length_of_windows_is_the_configurations_unless_given() -> None:
    assert run("0.1", [("5m", [alert()])]) == []
    assert run("0.1", [("59m", []), ("1h", [alert()])], interval="1h") == []


def test_sliding_windows_end_a_slide_apart() -> None:
    windows = WindowSettings.model_validate({"size": "10m", "slide": "5m"})
    test = RuleTest.model_validate(
        {
            "name": "t",
            "input_series": [{"series": 'error.rate{application="shop"}', "values": "1x2"}],
            "alert_rule_test": [{"eval_time": "5m", "alertname": "errors"}],
        }
    )
    found = [one.window for one in looks(test, windows)]
    assert [one.size for one in found] == [windows.size] * 3
    assert [one.end - test.start for one in found] == [windows.step * n for n in (1, 2, 3)]


def test_instances_are_apart() -> None:
    by_model = rule(group_by=["model"])
    series = [
        {"series": 'error.rate{application="shop", model="m-1"}', "values": "0.1"},
        {"series": 'error.rate{application="shop", model="m-2"}', "values": "0.01"},
        {"series": 'error.rate{application="shop"}', "values": "0.2"},
    ]
    labels = SHOP | {"model": "m-1"}
    assert run("", [("5m", [alert(**labels)])], by_model, input_series=series) == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"values": "1 2 3", "n": "10 20"}, "n must have one part, or one for each of the 3 values, got 2"),
        ({"values": "1", "ci_low": "1 2"}, "ci_low must have one part"),
    ],
)
def test_what_does_not_fit_together_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(Misconfigured, match=told):
        run(fields, [("5m", [])])


@pytest.mark.parametrize("late", [{"window": "5m", "seen": "4m"}, {"window": "7m", "seen": "20m"}])
def test_a_revision_is_of_a_window_and_comes_after_it(late: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match="revisions must be of a window, seen after its end"):
        run("1", [("5m", [])], revisions=[{"series": 'error.rate{application="shop"}', "value": 1} | late])
