"""The windows in the store as the rules saw them when they were closed and revised: what back-tests are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.windows import EPOCH, SeriesKey, Window
from inferwatch.streams.alerting.looks import Look, in_order
from inferwatch.streams.alerting.reading import FAULT
from inferwatch.streams.alerting.rules import kind_of
from inferwatch.streams.ports import Store

CHUNK = timedelta(days=1)
ROWS_AT_ONCE = 50_000
"""A running service answers at most ``web.sql_max_rows`` rows to one query, 100,000 by default."""
WINDOWS_AT_ONCE = 500

_EDITION = "(w.rows, w.feedback, w.edition)"
# The first part is answered by the index.
_OF_RULES = "metric IN {metrics:Array(String)} AND concat(metric, '/', segment_dimension) IN {kinds:Array(String)}"


def recorded(store: Store, rules: Sequence[Rule], since: datetime, until: datetime) -> Iterator[Look]:
    """Yield the windows that end in ``(since, until]`` in the order in which they were published, revisions included.

    Each has the numbers that ``rules`` look at. Of two publishers of one revision, the one that had seen more counts.
    """
    index = in_order(_index(store, since, until))
    if not index:
        return
    parameters: dict[str, Any] = {
        "metrics": sorted({rule.metric for rule in rules}),
        "kinds": sorted({"/".join(kind_of(rule)) for rule in rules}),
        "since": min(one.window.start for one in index),
        "until": max(one.window.start for one in index),
    }
    most = store.query(
        "SELECT max(n) AS most FROM (SELECT count() AS n FROM window_metrics_raw "
        f"WHERE {_OF_RULES} AND window_start >= {{since:DateTime64(3, 'UTC')}} "
        "AND window_start <= {until:DateTime64(3, 'UTC')} GROUP BY window_start)",
        parameters,
    ).to_pylist()[0]["most"]
    size = max(1, min(WINDOWS_AT_ONCE, ROWS_AT_ONCE // max(1, int(most or 0))))
    for place in range(0, len(index), size):
        yield from _filled(store, parameters, index[place : place + size])


def reach(store: Store) -> tuple[datetime, datetime] | None:
    """Return the start of the first and the end of the last window there is; None where there is none."""
    [row] = store.query(
        "SELECT min(window_start) AS first, max(window_end) AS last, count() AS n FROM windows_raw"
    ).to_pylist()
    return (row["first"], row["last"]) if row["n"] else None


def _index(store: Store, since: datetime, until: datetime) -> Iterator[Look]:
    """Yield every revision of every window, without numbers."""
    while since < until:
        end = min(until, since + CHUNK)
        rows = store.query(
            f"SELECT window_start, window_end, revision, argMax(w.closed_at, {_EDITION}) AS seen, "
            f"argMax(w.passed, {_EDITION}) AS passed FROM windows_raw AS w "
            "WHERE w.window_end > {since:DateTime64(3, 'UTC')} AND w.window_end <= {end:DateTime64(3, 'UTC')} "
            "GROUP BY window_start, window_end, revision",
            {"since": since, "end": end},
        )
        for row in rows.to_pylist():
            passed = row["passed"] if row["passed"] > EPOCH else None
            window = Window(row["window_start"], row["window_end"])
            yield Look(window, row["revision"], row["seen"], passed=passed)
        since = end


def _filled(store: Store, parameters: dict[str, Any], looks: Sequence[Look]) -> list[Look]:
    rows = store.query(
        "SELECT toUnixTimestamp64Milli(window_start) AS start, toUnixTimestamp64Milli(window_end) AS end, revision, "
        "application, segment_dimension, segment_value, metric, m.value AS value, n, total, ci_low, ci_high, "
        "JSONExtractString(detail, {fault:String}) AS fault "
        f"FROM window_metrics_raw AS m FINAL WHERE {_OF_RULES} "
        "AND window_start IN {starts:Array(DateTime64(3, 'UTC'))} "
        "AND (window_start, window_end, revision, edition) IN (SELECT w.window_start, w.window_end, w.revision, "
        f"argMax(w.edition, {_EDITION}) FROM windows_raw AS w "
        "WHERE w.window_start IN {starts:Array(DateTime64(3, 'UTC'))} "
        "GROUP BY w.window_start, w.window_end, w.revision) "
        "ORDER BY metric, application, segment_dimension, segment_value",
        parameters | {"fault": FAULT, "starts": sorted({one.window.start for one in looks})},
    )
    found: dict[tuple[int, int, int], tuple[Window, list[WindowMetric]]] = {
        _key(one): (one.window, []) for one in looks
    }
    for start, end, revision, application, dimension, segment, metric, value, n, total, low, high, fault in zip(
        *(column.to_pylist() for column in rows.columns), strict=True
    ):
        if (own := found.get((start, end, revision))) is not None:
            series = SeriesKey(application, dimension, segment)
            detail = {FAULT: fault} if fault else {}
            own[1].append(WindowMetric(own[0], series, metric, value, n, total, low, high, revision, detail))
    return [replace(one, metrics=tuple(found[_key(one)][1])) for one in looks]


def _key(look: Look) -> tuple[int, int, int]:
    start, end = ((at - EPOCH) // timedelta(milliseconds=1) for at in (look.window.start, look.window.end))
    return start, end, look.revision
