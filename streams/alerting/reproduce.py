"""The SQL that computes an alert's number again, ready to paste into ``inferwatch sql "…"``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.routing import RECEIVER_DOWN
from inferwatch.schemas.windows import ALL, OTHER
from inferwatch.streams.aggregate import asked_expression, segment_expression, weight_expression

_PLAIN = frozenset(" _.,:/@+=-")

EXPRESSIONS = {
    "inferences": "count()",
    "error.rate": "countIf(error != '') / count()",
    "latency_ms.p50": "quantileExact(0.5)(latency_ms)",
    "latency_ms.p95": "quantileExact(0.95)(latency_ms)",
    "input_tokens.mean": "sum(input_tokens) / count(input_tokens)",
    "output_tokens.mean": "sum(output_tokens) / count(output_tokens)",
    "output_chars.mean": "sum(output_chars) / count()",
    "cost_usd.sum": "sum(toDecimal128(cost_usd, 9))",
}

ESTIMATE = "sum(w * x) / sum(w) + (sum(w * (w - 1) * x) - sum(w * x) / sum(w) * sum(w * (w - 1))) / (sum(w) * sum(w))"
"""The weighted mean of x less its bias, as ``streams.estimates`` has it."""


def literal(text: str) -> str:
    r"""Return ``text`` as a ClickHouse string that means the same inside a shell's double quotes.

    Segment values come from logs, and people paste this into terminals: whatever a shell, a chat or SQL could read
    as more than text is written as ``\xHH``.

    >>> literal("it's $(me)")
    "'it\\x27s \\x24\\x28me\\x29'"
    """
    safe = (
        one if one.isalnum() or one in _PLAIN else "".join(f"\\x{byte:02x}" for byte in one.encode()) for one in text
    )
    return f"'{''.join(safe)}'"


def instant(at: datetime) -> str:
    """Return an aware time as a ClickHouse expression of millisecond precision."""
    return f"toDateTime64('{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}', 3, 'UTC')"


def expression(metric: str, thresholds: Mapping[str, float]) -> str | None:
    """Return the aggregate over ``inferences`` that is this metric; None where the rows alone do not give it."""
    if metric in EXPRESSIONS:
        return EXPRESSIONS[metric]
    name, _, kind = metric.rpartition(".")
    if name not in thresholds:
        return None
    score, scored = f"scores[{literal(name)}]", f"mapContains(scores, {literal(name)})"
    match kind:
        case "rate":
            return f"countIf({scored} AND {score} >= {thresholds[name]!r}) / countIf({scored})"
        case "mean":
            return f"toFloat64(sumIf(toDecimal128({score}, 12), {scored})) / countIf({scored})"
        case "coverage":
            return f"countIf({scored}) / count()"
        case _:
            return None


def _sampled(metric: str, thresholds: Mapping[str, float]) -> tuple[str, str] | None:
    """Return what a row counts as, and which rows count, for a number estimated from sampled rows."""
    name, _, kind = metric.rpartition(".")
    score, scored = f"scores[{literal(name)}]", f"mapContains(scores, {literal(name)})"
    match kind:
        case "rate":
            return f"{score} >= {thresholds[name]!r}", scored
        case "mean":
            return f"toFloat64({score})", scored
        case "coverage":
            return scored, asked_expression(literal(name))
        case _:
            return None


def reproduce(metric: WindowMetric, thresholds: Mapping[str, float], max_values: int) -> str:
    """Return one SELECT whose first column is ``metric.value``; of a receiver's failures, one that lists them.

    Args:
        metric: the number.
        thresholds: score name -> from which score on a row counts.
        max_values: how many values of a segment dimension have a series of their own; the rest is ``__other__``.
    """
    series, window = metric.series, metric.window
    if metric.metric == RECEIVER_DOWN:
        return (
            "SELECT at, attempt, status, error FROM deliveries\n"
            f"WHERE receiver = {literal(series.value)} ORDER BY at DESC LIMIT 20"
        )
    found = expression(metric.metric, thresholds)
    if found is None:
        return (
            "SELECT value, n, total, ci_low, ci_high, detail FROM window_metrics\n"
            f"WHERE application = {literal(series.application)} AND metric = {literal(metric.metric)}\n"
            f"  AND segment_dimension = {literal(series.dimension)} AND segment_value = {literal(series.value)}\n"
            f"  AND window_start = {instant(window.start)} AND window_end = {instant(window.end)}"
        )
    rows = (
        f"application = {literal(series.application)}\n"
        f"  AND timestamp >= {instant(window.start)} AND timestamp < {instant(window.end)}"
    )
    where = rows
    if series.dimension != ALL:
        column = segment_expression(series.dimension)
        if series.value == OTHER:
            where += (
                f"\n  AND {column} != '' AND {column} NOT IN (SELECT {column} FROM inferences WHERE {rows}\n"
                f"    AND {column} != '' GROUP BY {column} ORDER BY count() DESC, {column} LIMIT {max_values})"
            )
        else:
            where += f" AND {column} = {literal(series.value)}"
    sampled = _sampled(metric.metric, thresholds) if metric.detail.get("weighted") else None
    if sampled is None:
        return f"SELECT {found} AS value\nFROM inferences\nWHERE {where}"
    counts, which = sampled
    name = metric.metric.rpartition(".")[0]
    return (
        f"SELECT least(1, greatest(0, {ESTIMATE})) AS value\n"
        f"FROM (SELECT {weight_expression(literal(name))} AS w, {counts} AS x\n"
        f"FROM inferences\nWHERE {where}\n  AND {which})"
    )
