"""A notification as JSON values: what the webhook sends and PagerDuty shows as details."""

from __future__ import annotations

from datetime import datetime
from math import isfinite
from typing import Any

from inferwatch.infra.notifiers.lines import worst_first
from inferwatch.schemas.alerts import AlertLine, Notification
from inferwatch.streams.alerting.wording import cut

TEXT, LABEL, LABELS, EXAMPLES, FINDINGS, ALERTS = 8000, 1024, 20, 5, 10, 200
"""Most characters of a text and of a label, most labels, examples, findings and alerts of a group sent."""


def finite(value: float) -> float | None:
    """Return the number, or None for NaN and infinity, which JSON does not have."""
    return value if isfinite(value) else None


def as_json(note: Notification) -> dict[str, Any]:
    """Return every field of ``note``: times RFC 3339 in UTC, unknown numbers null, texts of bounded length.

    A grouped message has its alerts, the worst first, and how many were left out.
    """
    found: dict[str, Any] = {
        "id": note.id,
        "alert_id": note.alert_id,
        "dedup_key": note.dedup_key,
        "status": note.status.value,
        "severity": note.severity.value,
        "rule": note.rule,
        "title": note.title,
        "summary": note.summary,
        "metric": note.metric,
        "value": finite(note.value),
        "threshold": note.threshold,
        "n": note.n,
        "ci_low": finite(note.ci_low),
        "ci_high": finite(note.ci_high),
        "since": stamp(note.since),
        "at": stamp(note.at),
        "reference": note.reference,
        "sql": note.sql,
        "url": note.url,
        "description": note.description,
        "picture": note.picture,
    }
    found = {name: cut(value, TEXT) if isinstance(value, str) else value for name, value in found.items()}
    found["labels"] = _labels(note.labels)
    found["examples"] = [cut(example, TEXT) for example in note.examples[:EXAMPLES]]
    found["findings"] = [cut(finding, TEXT) for finding in note.findings[:FINDINGS]]
    if note.alerts:
        found["alerts"] = [_line(one) for one in worst_first(note.alerts)[:ALERTS]]
        found["alerts_left_out"] = max(len(note.alerts) - ALERTS, 0)
    return found


def stamp(at: datetime) -> str:
    """Return ``at`` as RFC 3339, in milliseconds."""
    return at.isoformat(timespec="milliseconds")


def _labels(labels: dict[str, str]) -> dict[str, str]:
    return {cut(name, LABEL): cut(value, LABEL) for name, value in list(labels.items())[:LABELS]}


def _line(alert: AlertLine) -> dict[str, Any]:
    return {
        "alert_id": alert.alert_id,
        "status": alert.status.value,
        "severity": alert.severity.value,
        "rule": alert.rule,
        "title": cut(alert.title, LABEL),
        "labels": _labels(alert.labels),
        "metric": alert.metric,
        "value": finite(alert.value),
        "threshold": cut(alert.threshold, LABEL),
        "n": alert.n,
        "since": stamp(alert.since),
        "at": stamp(alert.at),
        "url": cut(alert.url, LABEL),
    }
