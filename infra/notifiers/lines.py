"""The alerts of a grouped message as people read them: the worst first, how many of what, one line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import isnan

from inferwatch.schemas.alerts import AlertLine, State
from inferwatch.schemas.rules import Severity
from inferwatch.streams.alerting.wording import number, span, utc

WORST_FIRST = tuple(Severity)
_OWN_WORDS = {"resolved": "RESOLVED", "no_data": "NO DATA", "error": "CANNOT BE EVALUATED"}


def word(status: State, severity: Severity) -> str:
    """Return what a message starts with: the severity, or what the alert is instead of firing."""
    return _OWN_WORDS.get(status.value, severity.value.upper())


def worst_first(alerts: Iterable[AlertLine]) -> list[AlertLine]:
    """Return the alerts in the order they should be read: active before resolved, worst first, else as they come."""
    return sorted(alerts, key=lambda one: (one.status is State.RESOLVED, WORST_FIRST.index(one.severity)))


def counts(alerts: Sequence[AlertLine]) -> str:
    """Return how many there are of each kind: ``3 critical, 1 no data, 2 resolved``."""
    found = Counter(word(one.status, one.severity).lower() for one in worst_first(alerts))
    return ", ".join(f"{count:,} {kind}" for kind, count in found.items())


def left_out(shown: int, alerts: Sequence[AlertLine]) -> str:
    """Return what a message says of the alerts after the first ``shown``; nothing where there are none."""
    rest = worst_first(alerts)[shown:]
    return f"and {len(rest):,} more: {counts(rest)}" if rest else ""


def measured(alert: AlertLine) -> str:
    """Return value, threshold, count, and since when or how long, on one line."""
    value = "no value" if isnan(alert.value) else f"{number(alert.value, alert.metric)} from {alert.n:,} inferences"
    lasted = span(alert.at - alert.since)
    when = f"over after {lasted}" if alert.status is State.RESOLVED else f"since {utc(alert.since)} ({lasted})"
    return f"{value} (fires at {alert.threshold}), {when}"
