"""Numbers, times and places as people read them in a message."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isnan

from inferwatch.schemas.baselines import CANARY
from inferwatch.schemas.rules import BLIND, RECURRENCE, Rule

SHARES = (".rate", ".coverage", BLIND)
UNITS = {"latency_ms": " ms", "input_tokens": " tokens", "output_tokens": " tokens", "output_chars": " characters"}
SUBJECTS = {
    "toxicity.input.rate": "Toxic inputs",
    "toxicity.output.rate": "Toxic outputs",
    "hallucination.rate": "Unsupported answers",
    "error.rate": "Failing calls",
    "latency_ms.p50": "Median latency",
    "latency_ms.p95": "Slow answers (p95 latency)",
    "inferences": "Number of inferences",
    BLIND: "Rows stay without a score",
    "input_tokens.mean": "Input tokens per call",
    "output_tokens.mean": "Output tokens per call",
    "output_chars.mean": "Length of outputs",
    "cost_usd.sum": "Cost",
    "feedback.thumb.rate": "Thumbs down",
    "feedback.rating.mean": "Ratings",
}


def number(value: float, metric: str) -> str:
    """Return a share as a percentage, money with its sign, anything else with three significant digits and its unit.

    >>> number(0.1234, "toxicity.output.rate"), number(0.0010, "drift.input.p_value"), number(12345.6, "latency_ms.p95")
    ('12.3 %', '0.001', '12,346 ms')
    """
    if isnan(value):
        return "unknown"
    if metric.endswith(RECURRENCE):
        return days(value)
    if metric.endswith(SHARES):
        percent = value * 100
        return f"{percent:.1f}".removesuffix(".0") + " %" if abs(percent) >= 1 else f"{percent:.2g} %"
    shown = f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
    if metric == "cost_usd.sum":
        return f"${value:,.2f}"
    return shown + UNITS.get(metric.partition(".")[0], "")


def days(value: float) -> str:
    """Return a number of days in the unit that suits it.

    >>> days(0.25), days(30), days(1500), days(1e7)
    ('6 hours', '30 days', '4.1 years', 'more than 10,000 years')
    """
    if value > 3_652_500:
        return "more than 10,000 years"
    for unit, length in (("year", 365.25), ("day", 1.0), ("hour", 1 / 24)):
        if value >= 2 * length or unit == "hour":
            break
    count = value / length
    shown = f"{count:,.0f}" if count >= 100 else f"{count:.2g}"
    return f"{shown} {unit}" + ("" if shown == "1" else "s")


def span(length: timedelta) -> str:
    """Return a duration as rules write it.

    >>> span(timedelta(minutes=90)), span(timedelta(seconds=30))
    ('1h30m', '30s')
    """
    seconds = round(length.total_seconds())
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def clock_time(at: datetime) -> str:
    """Return ``14:05``, with seconds only where they are not zero."""
    at = at.astimezone(UTC)
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


def utc(at: datetime) -> str:
    """Return a time with its day: ``2026-03-01 14:05 UTC``."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def between(start: datetime, end: datetime) -> str:
    """Return ``between 14:00 and 14:15 UTC on 1 March``."""
    start = start.astimezone(UTC)
    return f"between {clock_time(start)} and {clock_time(end)} UTC on {start.day} {start:%B}"


def interval(low: float, high: float, metric: str) -> str:
    """Return ``95 % interval 2.6 % to 19.9 %``; nothing where there is none."""
    return "" if isnan(low) or isnan(high) else f"95 % interval {number(low, metric)} to {number(high, metric)}"


def condition(rule: Rule) -> str:
    """Return when a rule fires: ``> 5 % for 30m``, ``> 30 days (false alarms: 1 per 30d)``."""
    allowed = f" (false alarms: {rule.false_alarms})" if rule.false_alarms else ""
    held = f" for {span(rule.hold)}" if rule.hold else ""
    return f"{rule.when.operator} {number(rule.when.threshold, rule.metric)}{allowed}{held}"


def place(labels: Mapping[str, str]) -> str:
    """Return ``support, model m-2`` of an instance's labels."""
    rest = [f"{name} {value}" for name, value in labels.items() if name != "application"]
    return ", ".join([labels.get("application", ""), *rest])


def subject(metric: str) -> str:
    """Return what a metric is about, as the start of a title."""
    if metric in SUBJECTS:
        return SUBJECTS[metric]
    if metric.startswith(CANARY):
        return f"{metric.split('.')[1].capitalize()}s of a canary differ from its control"
    if metric.startswith("drift."):
        return f"{metric.split('.')[1].capitalize()}s differ from the reference"
    return metric
