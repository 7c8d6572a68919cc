"""Numbers as people read them in a message."""

from __future__ import annotations

from math import isnan

from inferwatch.schemas.alerts import Notification

SHARES = (".rate", ".coverage")


def number(value: float, metric: str) -> str:
    """Return a share as a percentage, anything else with three significant digits.

    >>> number(0.1234, "toxicity.output.rate"), number(0.0010, "drift.input.p_value"), number(12345.6, "latency_ms.p95")
    ('12.3 %', '0.001', '12,346')
    """
    if isnan(value):
        return "unknown"
    if metric.endswith(SHARES):
        return f"{value:.1%}".replace("%", " %")
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def interval(note: Notification) -> str:
    """Return the 95 % interval in parentheses, with a leading space; nothing when there is none."""
    if isnan(note.ci_low) or isnan(note.ci_high):
        return ""
    return f" (95 % interval {number(note.ci_low, note.metric)} to {number(note.ci_high, note.metric)})"
