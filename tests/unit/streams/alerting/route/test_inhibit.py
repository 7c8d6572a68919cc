"""An alert that another explains is held back, as Alertmanager would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inferwatch.schemas.alerts import State
from inferwatch.schemas.routing import InhibitRule
from inferwatch.schemas.rules import Severity
from inferwatch.streams.alerting.route.inhibit import inhibited

Make = Callable[..., Any]


def rule(source: list[str], target: list[str], *equal: str) -> InhibitRule:
    return InhibitRule.model_validate({"source_matchers": source, "target_matchers": target, "equal": equal})


WORSE = rule(["severity=critical"], ["severity=warning"], "application")


def test_the_worse_alert_of_an_application_holds_back_the_lesser_of_the_same(alert: Make) -> None:
    alerts = [
        alert("outage", severity=Severity.CRITICAL),
        alert("here"),
        alert("elsewhere", application="bank"),
    ]
    assert inhibited(alerts, [WORSE]) == {"here"}


def test_one_that_is_over_explains_nothing(alert: Make) -> None:
    assert inhibited([alert("o", severity=Severity.CRITICAL, state=State.RESOLVED), alert("a")], [WORSE]) == frozenset()


def test_an_alert_inhibits_neither_itself_nor_one_like_it(alert: Make) -> None:
    everything = rule(["application=~.+"], ["application=shop"], "application")
    assert inhibited([alert("a"), alert("b")], [everything]) == frozenset()


def test_one_that_is_only_source_inhibits_those_that_are_both(alert: Make) -> None:
    both = rule(["rank=~high|mid"], ["rank=~mid|low"])
    alerts = [alert("high", rank="high"), alert("mid", rank="mid"), alert("low", rank="low")]
    assert inhibited(alerts, [both]) == {"mid", "low"}
    assert inhibited(alerts[1:], [both]) == {"low"}


def test_a_label_that_neither_has_is_equal(alert: Make) -> None:
    by_tenant = rule(["severity=critical"], ["severity=warning"], "tenant")
    alerts = [alert("outage", severity=Severity.CRITICAL), alert("none"), alert("one", tenant="t")]
    assert inhibited(alerts, [by_tenant]) == {"none"}
