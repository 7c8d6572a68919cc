"""The numbers that transitions were decided by, as they were published."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson

from inferwatch.schemas.alerts import Transition
from inferwatch.schemas.errors import Permanent
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.alerting.rules import series_of
from inferwatch.streams.ports import Store

NAMED = 200
"""With more series than this, numbers are read for all of the window instead of by name."""


def numbers_behind(
    store: Store, transitions: Sequence[Transition], size: timedelta, *, newest: bool = False
) -> list[WindowMetric]:
    """Return the number behind each of ``transitions``, all of one metric, one segment dimension and one window.

    One whose published number is another by now (more rows have come) keeps what it was decided by, without interval
    and detail.

    Args:
        store: where metrics are published.
        transitions: some, of one rule and one window.
        size: of windows, for transitions that do not say theirs.
        newest: each series' newest number since, instead.

    Raises:
        StoreUnavailable: try again.
    """
    if not transitions:
        return []
    first = transitions[0]
    window = _window(first, size)
    keys = [series_of(one.labels) for one in transitions]
    parameters: dict[str, Any] = {"metric": first.metric, "dimension": keys[0].dimension, "end": window.end}
    when, last = ("window_end >=", "LIMIT 1 BY application, segment_value") if newest else ("window_end =", "")
    named = ""
    if len(keys) <= NAMED:
        named = "AND application IN {applications:Array(String)} AND segment_value IN {values:Array(String)} "
        parameters["applications"] = sorted({key.application for key in keys})
        parameters["values"] = sorted({key.value for key in keys})
    try:
        rows = store.query(
            "SELECT application, segment_value, window_start, window_end, m.value AS value, n, total, ci_low, ci_high, "
            "detail FROM window_metrics_raw AS m WHERE metric = {metric:String} "
            f"AND segment_dimension = {{dimension:String}} AND {when} {{end:DateTime64(3, 'UTC')}} {named}"
            f"ORDER BY window_end DESC, revision DESC, published_at DESC {last}",
            parameters,
        ).to_pylist()
    except Permanent:
        rows = []
    found: dict[SeriesKey, list[WindowMetric]] = {}
    for row in rows:
        series = SeriesKey(row["application"], keys[0].dimension, row["segment_value"])
        metric = WindowMetric(
            Window(row["window_start"], row["window_end"]), series, first.metric, row["value"], row["n"], row["total"],
            row["ci_low"], row["ci_high"], detail=orjson.loads(row["detail"] or "{}"),
        )  # fmt: skip
        found.setdefault(series, []).append(metric)
    return [_match(one, key, found.get(key, []), size, newest) for one, key in zip(transitions, keys, strict=True)]


def _match(
    transition: Transition, series: SeriesKey, published: Sequence[WindowMetric], size: timedelta, newest: bool
) -> WindowMetric:
    for metric in published:
        if (newest and metric.known) or (metric.value == transition.value and metric.n == transition.n):
            return metric
    detail = {"weighted": True} if transition.detail.get("weighted") else {}
    n = transition.n
    return WindowMetric(_window(transition, size), series, transition.metric, transition.value, n, n, detail=detail)


def _window(transition: Transition, size: timedelta) -> Window:
    start = transition.detail.get("window_start")
    if isinstance(start, str) and datetime.fromisoformat(start) < transition.at:
        return Window(datetime.fromisoformat(start), transition.at)
    return Window(transition.at - size, transition.at)
