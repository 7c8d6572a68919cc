"""Feedback on the inferences of one window -> metrics, by SQL on the deduplicated views.

Feedback belongs to the window of the inference it is about, whenever it was given: from an hour before the inference
to ``windows.revise_for`` after it, so that the numbers are a function of the rows alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from math import nan, sqrt
from typing import Any

from inferwatch.schemas.feedback import BEFORE
from inferwatch.schemas.metrics import WindowMetric, wilson
from inferwatch.schemas.settings import SegmentSettings
from inferwatch.schemas.windows import ALL, SeriesKey, Window
from inferwatch.streams.aggregate import IN_WINDOW, capped_segments, segment_expression
from inferwatch.streams.ports import Store

PREFIX = "feedback."
_GIVEN = "timestamp >= {given_from:DateTime64(3, 'UTC')} AND timestamp < {given_until:DateTime64(3, 'UTC')}"


def opinions(
    store: Store, window: Window, segments: SegmentSettings, revise_for: timedelta, metrics: Sequence[WindowMetric]
) -> list[WindowMetric]:
    """Return ``feedback.<kind>.count`` of every series and kind that there is feedback of, and the numbers it gives.

    ``feedback.thumb.rate`` is the share of thumbs down with its Wilson interval, ``feedback.rating.mean`` the mean
    rating with a normal one. ``n`` counts feedback, not inferences: one inference may get several.

    Args:
        store: where feedback and inferences are.
        window: the window of the inferences.
        segments: as for ``aggregate``.
        revise_for: how long after an inference feedback on it counts.
        metrics: what ``aggregate`` returned for the window, for the number of its rows.
    """
    span: dict[str, Any] = {
        "start": window.start,
        "end": window.end,
        "given_from": window.start - BEFORE,
        "given_until": window.end + revise_for,
        "before": BEFORE // timedelta(milliseconds=1),
        "after": revise_for // timedelta(milliseconds=1),
    }
    # Most windows of most services have none at all: one look at a small table.
    if not store.query(f"SELECT 1 FROM feedback_raw WHERE {_GIVEN} LIMIT 1", span).num_rows:
        return []
    totals = {metric.series: metric.total for metric in metrics}
    found: list[WindowMetric] = []
    for dimension in (ALL, *segments.dimensions):
        kept, segment, where = "", f"'{ALL}'", IN_WINDOW
        parameters = dict(span)
        if dimension != ALL:
            kept, segment = capped_segments(dimension)
            where += f" AND {segment_expression(dimension)} != ''"
            parameters["max_values"] = segments.max_values
        rows = store.query(
            f"{kept} SELECT application, segment, kind, count() AS n, countIf(f.value = 0) AS down, "
            "sum(toDecimal128(f.value, 9)) AS total, sum(toDecimal128(f.value * f.value, 9)) AS squares "
            f"FROM (SELECT application, id, timestamp AS logged_at, {segment} AS segment FROM inferences WHERE {where} "
            f"AND id IN (SELECT id FROM feedback_raw WHERE {_GIVEN})) AS i INNER JOIN "
            f"(SELECT application, id, kind, value, timestamp AS given_at FROM feedback WHERE {_GIVEN}) AS f "
            "ON i.application = f.application AND i.id = f.id "
            "WHERE given_at >= logged_at - toIntervalMillisecond({before:Int64}) "
            "AND given_at < logged_at + toIntervalMillisecond({after:Int64}) "
            "GROUP BY application, segment, kind ORDER BY application, segment, kind",
            parameters,
        )
        for row in rows.to_pylist():
            series = SeriesKey(row["application"], dimension, row["segment"])
            found += _metrics(window, series, row, totals.get(series, 0))
    return found


def said(metrics: Sequence[WindowMetric]) -> int:
    """Return how much feedback ``metrics`` of one window were computed from."""
    return sum(
        metric.n
        for metric in metrics
        if metric.metric.startswith(PREFIX) and metric.metric.endswith(".count") and metric.series.dimension == ALL
    )


def _metrics(window: Window, series: SeriesKey, row: dict[str, Any], total: int) -> Iterator[WindowMetric]:
    kind, n = str(row["kind"]), int(row["n"])
    yield WindowMetric(window, series, f"{PREFIX}{kind}.count", n, n, total)
    if kind == "thumb":
        yield WindowMetric(window, series, f"{PREFIX}thumb.rate", row["down"] / n, n, total, *wilson(row["down"], n))
    if kind == "rating":
        mean = float(row["total"]) / n
        half = nan
        if n > 1:
            half = 1.959963984540054 * sqrt(max(0.0, float(row["squares"]) / n - mean * mean) / (n - 1))
        yield WindowMetric(window, series, f"{PREFIX}rating.mean", mean, n, total, mean - half, mean + half)
