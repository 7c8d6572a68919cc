"""Up to three redacted rows that show what an alert is about, for many series of one window at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any

import orjson

from inferwatch.schemas.baselines import CANARY
from inferwatch.schemas.columns import is_mix
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import BLIND, Rule
from inferwatch.schemas.windows import ALL, OTHER, SeriesKey
from inferwatch.streams.aggregate import IN_WINDOW, asked_expression, capped_segments, segment_expression
from inferwatch.streams.alerting.columns import column_of, text_of
from inferwatch.streams.alerting.wording import number
from inferwatch.streams.ports import Store

EXAMPLES, CHARS = 3, 200
NAMED = 200
"""With more series than this, examples are fetched for all of the window instead of by name."""

_BY_ROW = {
    "latency_ms": ("latency_ms", "input", "latency_ms IS NOT NULL"),
    "time_to_first_token_ms": ("time_to_first_token_ms", "input", "time_to_first_token_ms IS NOT NULL"),
    "input_tokens": ("input_tokens", "input", "input_tokens IS NOT NULL"),
    "output_tokens": ("output_tokens", "output", "output_tokens IS NOT NULL"),
    "input_chars": ("input_chars", "input", "1"),
    "output_chars": ("output_chars", "output", "1"),
    "cost_usd": ("cost_usd", "input", "cost_usd IS NOT NULL"),
}
"""Metric family -> what its rows are ordered by, which text shows them, and which rows count."""
_BODY = (
    "id, timestamp, substringUTF8({text}, 1, 400) AS body, toFloat64({number}) AS amount, error, evidence, "
    "abstained[{{score:String}}] AS abstention"
)


def examples(
    store: Store, rule: Rule, metrics: Sequence[WindowMetric], thresholds: Mapping[str, float], max_values: int
) -> dict[SeriesKey, tuple[str, ...]]:
    """Return series -> its worst rows as one line each, worst first.

    All of ``metrics`` are of ``rule.metric`` and of one window. "Worst" is what drove the number over the rule's
    threshold: the highest scores, the slowest calls, the failed ones, the inputs least like the reference.
    """
    if not metrics:
        return {}
    if rule.metric.startswith(("drift.", CANARY)):
        return {metric.series: _named(store, metric) for metric in metrics}
    if rule.metric == BLIND:
        unscored: dict[SeriesKey, tuple[str, ...]] = {}
        for score in sorted({str(metric.detail["score"]) for metric in metrics if "score" in metric.detail}):
            own = [metric for metric in metrics if metric.detail.get("score") == score]
            uncovered = rule.model_copy(update={"metric": f"{score}.coverage"})
            unscored |= examples(store, uncovered, own, thresholds, max_values)
        return unscored
    order = ordering(rule.metric, thresholds)
    if order is None:
        return {}
    amount, text, counted = order
    score = rule.metric.rpartition(".")[0]
    down = rule.when.rising
    parameters: dict[str, Any] = {"score": score, "start": metrics[0].window.start, "end": metrics[0].window.end}
    dimension = metrics[0].series.dimension
    segment, kept = f"'{ALL}'", ""
    where = f"{IN_WINDOW} AND {counted}"
    if dimension != ALL:
        column = segment_expression(dimension)
        where += f" AND {column} != ''"
        segment = column
        if any(metric.series.value == OTHER for metric in metrics):
            kept, segment = capped_segments(dimension)
            parameters["max_values"] = max_values
    if len(metrics) <= NAMED:
        where += " AND application IN {applications:Array(String)}"
        parameters["applications"] = sorted({metric.series.application for metric in metrics})
        if dimension != ALL:
            where += f" AND {segment} IN {{segments:Array(String)}}"
            parameters["segments"] = sorted({metric.series.value for metric in metrics})
    rows = store.query(
        f"{kept} SELECT application, {segment} AS segment, {_BODY.format(text=text, number=amount)} FROM inferences "
        f"WHERE {where} ORDER BY amount {'DESC' if down else 'ASC'}, id LIMIT {EXAMPLES} BY application, segment",
        parameters,
    )
    found: dict[SeriesKey, list[str]] = {}
    for row in rows.to_pylist():
        series = SeriesKey(row["application"], dimension, row["segment"])
        found.setdefault(series, []).append(_line(row, rule.metric))
    return {series: tuple(lines) for series, lines in found.items()}


def ordering(metric: str, thresholds: Mapping[str, float]) -> tuple[str, str, str] | None:
    """Return what the rows of a metric are ordered by, which text shows them, and which of them count (all SQL)."""
    family, _, kind = metric.rpartition(".")
    if metric == "error.rate":
        return "1", "input", "error != ''"
    if family in _BY_ROW:
        return _BY_ROW[family]
    if family not in thresholds:
        return None
    text = "input" if family.endswith(".input") else "output"
    if kind == "coverage":
        return "1", text, f"NOT mapContains(scores, {{score:String}}) AND {asked_expression('{score:String}')}"
    return "scores[{score:String}]", text, "mapContains(scores, {score:String})"


def _named(store: Store, metric: WindowMetric) -> tuple[str, ...]:
    """Return the rows that the drift test itself found least like the reference, in its order, with their number."""
    ids: Iterable[object] = metric.detail.get("examples") or ()
    wanted = [one for one in ids if isinstance(one, str)][:EXAMPLES]
    if not wanted:
        return ()
    column = column_of(metric.metric)
    text = text_of(column or metric.metric.split(".")[1])
    amount = "0"
    if column and not is_mix(column):
        amount = column if column in _BY_ROW else "scores[{score:String}]"
    rows = store.query(
        f"SELECT {_BODY.format(text=text, number=amount)} FROM inferences WHERE application = {{application:String}} "
        f"AND {IN_WINDOW} AND id IN {{ids:Array(String)}}",
        {
            "application": metric.series.application,
            "start": metric.window.start,
            "end": metric.window.end,
            "ids": wanted,
            "score": column,
        },
    ).to_pylist()
    rows.sort(key=lambda row: wanted.index(row["id"]))
    shown = metric.metric if amount == "0" else f"{column}.mean"
    return tuple(_line(row, shown) for row in rows)


def _line(row: Mapping[str, Any], metric: str) -> str:
    """Return ``“text” (why; 14:03:12, id abc)``."""
    family, _, kind = metric.rpartition(".")
    body, why = row["body"], ""
    if metric == "error.rate":
        why = f"failed: {_short(row['error'], CHARS)}"
    elif family in _BY_ROW:
        why = number(row["amount"], metric)
    elif kind == "coverage":
        why = f"not scored: {row['abstention'] or 'no score'}"
    elif kind in ("rate", "mean"):
        proof = _evidence(row["evidence"], family)
        body = proof.get("text") or body
        reason = proof.get("reason")
        why = f"score {row['amount']:.2f}" + (f", {_short(str(reason), 80)}" if reason else "")
    quoted = f"“{_short(body, CHARS)}”" if body.strip() else "(no text stored)"
    source = f"{row['timestamp'].astimezone(UTC):%H:%M:%S}, id {_short(row['id'], 64)}"
    return f"{quoted} ({'; '.join(part for part in (why, source) if part)})"


def _evidence(stored: str, score: str) -> dict[str, Any]:
    """Return the strongest piece of evidence kept for a score."""
    try:
        pieces = orjson.loads(stored or "[]")
    except orjson.JSONDecodeError:
        return {}
    own = [one for one in pieces if isinstance(one, dict) and one.get("name") == score]
    return max(own, key=lambda one: one.get("score", 0), default={})


def _short(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
