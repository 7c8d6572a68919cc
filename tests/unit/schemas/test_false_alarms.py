from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from inferwatch.schemas.rules import Rule, parse_budget


def rule(**fields: Any) -> Rule:
    return Rule.model_validate({"name": "drift"} | fields)


@pytest.mark.parametrize(("text", "days"), [("1 per 30d", 30), ("2 per 7d", 3.5), ("3  per 12h", 1 / 6)])
def test_a_budget_is_the_days_between_false_alarms(text: str, days: float) -> None:
    assert parse_budget(text) == pytest.approx(days)


def test_a_rule_by_false_alarms_watches_the_recurrence_and_resolves_at_a_tenth() -> None:
    found = rule(metric="drift.input", false_alarms="1 per 30d")
    assert found.metric == "drift.input.recurrence"
    assert str(found.when) == "> 30"
    assert str(found.resolve_when) == "< 3"
    own = rule(metric="drift.input", false_alarms="1 per 30d", resolve_when="< 1")
    assert str(own.resolve_when) == "< 1"
    plain = rule(metric="drift.input.recurrence", when="> 30")
    assert (plain.metric, str(plain.when)) == (found.metric, str(found.when))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metric": "error.rate", "false_alarms": "1 per 30d"}, "false_alarms is for a metric drift.<field>"),
        ({"metric": "drift.input.p_value", "false_alarms": "1 per 30d"}, "got metric 'drift.input.p_value'"),
        ({"metric": "drift.input", "false_alarms": "1 per 30d", "when": "> 3"}, "stands instead of when"),
        ({"metric": "drift.input", "false_alarms": "often"}, "false_alarms must be a number of false alarms per"),
        ({"metric": "drift.input", "false_alarms": "0 per 30d"}, "at least 1 false alarm"),
        ({"metric": "drift.input", "false_alarms": "1 per 30x"}, "must be a duration"),
    ],
)
def test_what_cannot_be_a_budget_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        rule(**fields)
