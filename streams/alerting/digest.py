"""The message of a group: one alert in full, or the worst of them in full and a line for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from inferwatch.schemas.alerts import AlertLine, Notification, State, Transition
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.settings import Settings
from inferwatch.streams.alerting.message import address, headline
from inferwatch.streams.alerting.route.alert import WORST_FIRST
from inferwatch.streams.alerting.route.dedup import News
from inferwatch.streams.alerting.route.plan import Flush
from inferwatch.streams.alerting.wording import condition, place

_WORDS = {State.FIRING: "firing", State.NO_DATA: "without data", State.ERROR: "failing", State.RESOLVED: "resolved"}


def digest(
    settings: Settings,
    flush: Flush,
    worst: Notification,
    transitions: Mapping[str, Transition],
    rules: Mapping[str, Rule],
) -> Notification:
    """Return what ``flush`` says.

    Args:
        settings: for the addresses.
        flush: one group's message.
        worst: its first alert in full.
        transitions: alert id -> its last transition, of all its alerts.
        rules: by name.
    """
    note = replace(worst, id=flush.id, dedup_key=flush.dedup_key, status=flush.state, at=flush.at)
    repeated = "This is still so. " if flush.reason is News.REPEAT else ""
    if len(flush.alerts) == 1:
        return replace(note, summary=repeated + note.summary)
    said = counts([alert.state for alert in flush.alerts])
    shared = _shared([transitions[alert.alert_id] for alert in flush.alerts])
    names = {headline(rules[alert.rule]) for alert in flush.alerts}
    about = names.pop() if len(names) == 1 else f"{len(names)} rules"
    where = f": {place(shared)}" if shared else ""
    left = [alert.severity for alert in flush.alerts if alert.active] or [alert.severity for alert in flush.alerts]
    return replace(
        note,
        severity=min(left, key=WORST_FIRST.index),
        title=f"{about}{where} ({said})",
        summary=f"{repeated}{said}. The worst: {worst.title}. {worst.summary}",
        labels=shared,
        alerts=tuple(
            _line(settings, alert.state, transitions[alert.alert_id], rules[alert.rule]) for alert in flush.alerts
        ),
    )


def counts(states: Sequence[State]) -> str:
    """Return how many alerts are in which state, the worst first.

    >>> counts([State.FIRING, State.RESOLVED, State.FIRING])
    '2 firing, 1 resolved'
    """
    return ", ".join(f"{states.count(state):,} {word}" for state, word in _WORDS.items() if state in states)


def _shared(transitions: Sequence[Transition]) -> dict[str, str]:
    """Return the labels that all have in common, in the order of the first."""
    first, *others = [one.labels for one in transitions]
    return {name: value for name, value in first.items() if all(one.get(name) == value for one in others)}


def _line(settings: Settings, state: State, transition: Transition, rule: Rule) -> AlertLine:
    return AlertLine(
        alert_id=transition.alert_id,
        status=state,
        severity=transition.severity,
        title=f"{headline(rule)}: {place(transition.labels)}",
        labels=dict(transition.labels),
        metric=transition.metric,
        value=transition.value,
        threshold=condition(rule),
        n=transition.n,
        since=transition.since,
        at=transition.at,
        url=address(settings, transition.alert_id),
        rule=rule.name,
    )
