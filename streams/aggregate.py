"""Rows of one window -> its metrics, by SQL on the deduplicated view.

The numbers are a pure function of the rows, bit for bit: counts are integers, means are sums of decimals (exact
whatever the order in which threads add them), quantiles are exact order statistics.

Rates and means of a detector with a budget are estimates from its sampled rows (see ``estimates``). A row that was not
sampled is not missing: ``coverage`` is the share of rows that got a score where one was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from math import nan, sqrt
from typing import Any

from inferwatch.schemas.metrics import FAULT, WindowMetric, wilson
from inferwatch.schemas.settings import SegmentSettings
from inferwatch.schemas.windows import ALL, OTHER, SeriesKey, Window
from inferwatch.streams.estimates import Sums, effective_size, estimate, mean_interval, rate_interval
from inferwatch.streams.ports import Store
from inferwatch.streams.sampling import NOT_SAMPLED

IN_WINDOW = "timestamp >= {start:DateTime64(3, 'UTC')} AND timestamp < {end:DateTime64(3, 'UTC')}"

_SUMS = ("aw", "aww", "w", "ww", "wh", "wwh", "wx", "wwx", "wwxx")
"""Sums over the scored rows (with ``a``: over those asked for a score): w weight, h hit, x score, as products."""

FAILED = "^(detector|encoder) failed"
"""What such a reason for a row's missing score begins with; all others are about the row."""

_FIXED = """
    count() AS total,
    countIf(error != '') AS errors,
    count(latency_ms) AS latency_n,
    quantileExact(0.5)(latency_ms) AS latency_p50,
    quantileExact(0.95)(latency_ms) AS latency_p95,
    count(input_tokens) AS input_n,
    sum(input_tokens) AS input_sum,
    count(output_tokens) AS output_n,
    sum(output_tokens) AS output_sum,
    sum(output_chars) AS output_chars_sum,
    count(cost_usd) AS cost_n,
    sum(toDecimal128(cost_usd, 9)) AS cost_sum"""


def aggregate(
    store: Store, window: Window, segments: SegmentSettings, thresholds: Mapping[str, float]
) -> list[WindowMetric]:
    """Return the metrics of every series that has rows in ``window``, drift excepted.

    Args:
        store: where the rows are.
        window: the half-open event-time interval.
        segments: dimensions to compute by, and how many values of each to keep; the rest is ``__other__``.
            A row without a value is in no segment of that dimension.
        thresholds: score name -> from which score on a row counts as a hit in ``<score>.rate``.
    """
    span = {"start": window.start, "end": window.end}
    weighted = _weighted(store, span)
    found: list[WindowMetric] = []
    for dimension in (ALL, *segments.dimensions):
        sql, parameters = _query(dimension, segments.max_values, thresholds, weighted)
        rows = store.query(sql, parameters | span)
        for row in rows.to_pylist():
            series = SeriesKey(row["application"], dimension, row["segment"])
            found.extend(_metrics(window, series, row, thresholds))
    return found


def _weighted(store: Store, span: Mapping[str, Any]) -> frozenset[str]:
    """Return the scores of which some rows of the window were sampled, as the rows themselves say."""
    rows = store.query(
        f"SELECT DISTINCT arrayJoin(mapKeys(inclusion)) AS score FROM inferences WHERE {IN_WINDOW}", span
    )
    return frozenset(str(row["score"]) for row in rows.to_pylist())


def weight_expression(score: str) -> str:
    """Return for how many rows a row counts; ``score`` is the SQL of the score's name."""
    return f"if(inclusion[{score}] > 0, 1 / toFloat64(inclusion[{score}]), 1)"


def asked_expression(score: str) -> str:
    """Return whether the row was one to score: all rows are, but those that a budget passed over."""
    return f"abstained[{score}] != '{NOT_SAMPLED}'"


def segment_expression(dimension: str) -> str:
    """Return the SQL expression of a segment dimension; its name was validated with the settings."""
    return f"tags['{dimension.removeprefix('tags.')}']" if dimension.startswith("tags.") else dimension


def capped_segments(dimension: str) -> tuple[str, str]:
    """Return a WITH clause and the expression of a row's segment under the cap, over a window's ``inferences``.

    The largest ``{max_values:UInt32}`` values of each application keep their name and the rest is ``__other__``; ties
    go to the smaller name, so that the choice is a function of the rows. Rows without a value are left to the caller.
    """
    value = segment_expression(dimension)
    kept = (
        f"WITH kept AS (SELECT application, value FROM (SELECT application, {value} AS value, count() AS rows "
        f"FROM inferences WHERE {IN_WINDOW} AND value != '' GROUP BY application, value "
        "ORDER BY rows DESC, value LIMIT {max_values:UInt32} BY application))"
    )
    return kept, f"if((application, {value}) IN kept, {value}, '{OTHER}')"


def _query(
    dimension: str, max_values: int, thresholds: Mapping[str, float], weighted: Collection[str]
) -> tuple[str, dict[str, Any]]:
    parameters: dict[str, Any] = {"failed": FAILED}
    columns = [_FIXED]
    for place, (name, threshold) in enumerate(thresholds.items()):
        parameters |= {f"name{place}": name, f"threshold{place}": threshold}
        score = f"scores[{{name{place}:String}}]"
        scored = f"mapContains(scores, {{name{place}:String}})"
        reason = f"toString(abstained[{{name{place}:String}}])"
        columns += [
            f"countIf({scored}) AS n{place}",
            f"countIf({scored} AND {score} >= {{threshold{place}:Float64}}) AS hits{place}",
            f"sumIf(toDecimal128({score}, 12), {scored}) AS sum{place}",
            f"sumIf(toDecimal128(toFloat64({score}) * {score}, 12), {scored}) AS squares{place}",
            f"maxIf({reason}, match({reason}, {{failed:String}})) AS fault{place}",
        ]
        if name in weighted:
            weight, asked = weight_expression(f"{{name{place}:String}}"), asked_expression(f"{{name{place}:String}}")
            value, hit = f"toFloat64({score})", f"({score} >= {{threshold{place}:Float64}})"
            columns.append(f"countIf({asked}) AS asked{place}")
            for kind in _SUMS:
                factors = {"w": weight, "h": hit, "x": value}
                term = " * ".join(factors[factor] for factor in kind.removeprefix("a"))
                rows = asked if kind.startswith("a") else scored
                columns.append(f"sumIf(toDecimal128({term}, 12), {rows}) AS {kind}{place}")
    body = ", ".join(columns)
    if dimension == ALL:
        return (
            f"SELECT application, '{ALL}' AS segment, {body} FROM inferences WHERE {IN_WINDOW} GROUP BY application",
            (parameters),
        )
    parameters["max_values"] = max_values
    kept, segment = capped_segments(dimension)
    return (
        f"{kept} SELECT application, {segment} AS segment, {body} FROM inferences "
        f"WHERE {IN_WINDOW} AND {segment_expression(dimension)} != '' GROUP BY application, segment",
        parameters,
    )


def _metrics(
    window: Window, series: SeriesKey, row: dict[str, Any], thresholds: Mapping[str, float]
) -> Iterator[WindowMetric]:
    total = int(row["total"])

    def metric(name: str, value: float, n: int, interval: tuple[float, float] = (nan, nan)) -> WindowMetric:
        return WindowMetric(window, series, name, value if n else nan, n, total, *interval)

    def rate(name: str, hits: int, n: int) -> WindowMetric:
        return metric(name, hits / n if n else nan, n, wilson(hits, n))

    yield metric("inferences", total, total)
    yield rate("error.rate", int(row["errors"]), total)
    yield metric("latency_ms.p50", row["latency_p50"], row["latency_n"])
    yield metric("latency_ms.p95", row["latency_p95"], row["latency_n"])
    yield metric("input_tokens.mean", (row["input_sum"] or 0) / (row["input_n"] or 1), row["input_n"])
    yield metric("output_tokens.mean", (row["output_sum"] or 0) / (row["output_n"] or 1), row["output_n"])
    yield metric("output_chars.mean", row["output_chars_sum"] / total, total)
    yield metric("cost_usd.sum", float(row["cost_sum"] or 0), row["cost_n"])
    for place, name in enumerate(thresholds):
        n = int(row[f"n{place}"])
        fault = {FAULT: row[f"fault{place}"]} if not n and row[f"fault{place}"] else {}
        asked = int(row.get(f"asked{place}", total))
        if row.get(f"aww{place}", asked) != asked:  # with every weight 1 the plain numbers are the same
            for kind, sums, bounds in _weighted_sums(place, row, n, asked):
                detail = {"weighted": True, "effective_n": round(effective_size(sums), 1)} if sums.n else fault
                value = estimate(sums)
                yield WindowMetric(window, series, f"{name}.{kind}", value, sums.n, total, *bounds(sums), detail=detail)
            continue
        yield rate(f"{name}.coverage", n, asked)
        yield replace(rate(f"{name}.rate", int(row[f"hits{place}"]), n), detail=fault)
        mean = float(row[f"sum{place}"]) / n if n else nan
        interval = _interval(mean, float(row[f"squares{place}"]), n)
        yield replace(metric(f"{name}.mean", mean, n, interval), detail=fault)


def _weighted_sums(
    place: int, row: Mapping[str, Any], n: int, asked: int
) -> Iterator[tuple[str, Sums, Callable[[Sums], tuple[float, float]]]]:
    aw, aww, w, ww, wh, wwh, wx, wwx, wwxx = (float(row[f"{kind}{place}"] or 0) for kind in _SUMS)
    yield "coverage", Sums(asked, aw, aww, w, ww, ww), rate_interval
    yield "rate", Sums(n, w, ww, wh, wwh, wwh), rate_interval
    yield "mean", Sums(n, w, ww, wx, wwx, wwxx), mean_interval


def _interval(mean: float, squares: float, n: int) -> tuple[float, float]:
    """Return the 95 % normal interval of a mean from its sum of squares; (NaN, NaN) for fewer than two rows."""
    if n < 2:
        return nan, nan
    half = 1.959963984540054 * sqrt(max(0.0, squares / n - mean * mean) * n / (n - 1) / n)
    return mean - half, mean + half
