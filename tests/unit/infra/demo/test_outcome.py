from datetime import UTC, datetime, timedelta
from typing import Any

from inferwatch.infra.demo.incidents import Incident
from inferwatch.infra.demo.outcome import Episode, as_json, episodes_of, judge
from inferwatch.schemas.windows import Window

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
STEP = timedelta(minutes=15)
INCIDENT = Incident("toxic", ("insults", "threats"), Window(START, START + 6 * STEP), "story")


def fired(windows: float, until: float | None, rule: str = "insults", labels: str = "") -> Episode:
    return Episode(rule, labels, START + windows * STEP, None if until is None else START + until * STEP)


def test_an_alert_within_its_incident_is_found_with_its_delay() -> None:
    outcome = judge([INCIDENT], [fired(1, 7)])
    assert outcome.good
    entry = as_json(outcome, STEP)[0]
    assert entry == {
        "incident": "toxic",
        "rule": "insults",
        "planted_at": "2026-03-02T08:00:00Z",
        "ended_at": "2026-03-02T09:30:00Z",
        "alerted_at": "2026-03-02T08:15:00Z",
        "delay_windows": 1.0,
        "resolved_at": "2026-03-02T09:45:00Z",
    }


def test_before_after_and_by_another_rule_is_a_false_alarm() -> None:
    for wrong in (fired(0, 1), fired(7, 8), fired(2, 3, rule="drift")):
        outcome = judge([INCIDENT], [wrong, fired(1, 7)])
        assert outcome.unexpected == (wrong,)
        assert not outcome.good
        assert as_json(outcome, STEP)[1]["incident"] is None


def test_a_missed_or_never_resolved_incident_is_not_good() -> None:
    assert not judge([INCIDENT], []).good
    unresolved = judge([INCIDENT], [fired(1, None)])
    assert not unresolved.good
    assert unresolved.findings[0].alerted_at is not None


def test_the_first_alert_counts_and_the_last_resolution() -> None:
    outcome = judge(
        [INCIDENT], [fired(3, 7, rule="threats"), fired(1, 2, labels="model=a"), fired(2, 4, labels="model=b")]
    )
    finding = outcome.findings[0]
    assert finding.delay(STEP) == 1
    assert finding.resolved_at == START + 7 * STEP
    assert (finding.rule, finding.labels) == ("insults", "model=a, model=b")


def test_transitions_become_episodes() -> None:
    def row(alert: str, state: str, windows: int) -> dict[str, Any]:
        return {"alert_id": alert, "rule": "insults", "labels": "", "to_state": state, "at": START + windows * STEP}

    rows = [
        row("a", "resolved", 5),
        row("a", "firing", 1),
        row("a", "pending", 0),
        row("b", "firing", 6),
        row("c", "pending", 2),
    ]
    assert episodes_of(rows) == [fired(1, 5), fired(6, None)]
