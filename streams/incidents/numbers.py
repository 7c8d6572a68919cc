"""The metric of an alert over the time around it: what its chart shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isnan, nan
from typing import Any

import orjson

from inferwatch.streams.incidents.episode import Episode
from inferwatch.streams.ports import Store

BEFORE, AFTER = 24, 8
"""How many windows are shown before an episode and after it."""
USUAL = 12
"""How many windows before the episode say what is usual."""
LONGEST = timedelta(days=31)
"""Of what lasts longer, the last of it is shown."""
MOST_POINTS = 240
_MOST_READ = 50_000


@dataclass(frozen=True, slots=True)
class Point:
    """One window: its number, NaN where there is none, with its 95 % interval and how many of ``total`` rows it is of.

    ``windows`` is how many windows the point stands for: the worst of them is shown.
    """

    start: datetime
    end: datetime
    value: float
    low: float
    high: float
    n: int
    total: int
    windows: int = 1


@dataclass(frozen=True, slots=True)
class Numbers:
    """``points`` by time, in [start, end); ``latest`` and ``worst`` of the episode; ``usual`` before it.

    ``usual`` is the mean of up to 12 windows that do not overlap, NaN where there are none (``usual_windows`` is 0).
    """

    start: datetime
    end: datetime
    points: tuple[Point, ...]
    latest: Point | None
    worst: Point | None
    usual: float
    usual_windows: int


def around(store: Store, episode: Episode, *, down: bool) -> Numbers:
    """Return the numbers around ``episode``; ``down`` says that its rule fires on small ones."""
    end = episode.ended + AFTER * episode.size if episode.ended is not None else _newest(store, episode)
    start = max(episode.since - BEFORE * episode.size, end - LONGEST)
    rows = store.query(
        "SELECT window_start, window_end, m.value AS value, ci_low, ci_high, n, total FROM window_metrics AS m "
        f"WHERE {_SERIES} AND window_start >= {{start:DateTime64(3, 'UTC')}} "
        "AND window_end <= {end:DateTime64(3, 'UTC')} ORDER BY window_end DESC, window_start DESC LIMIT {limit:UInt32}",
        _series(episode) | {"start": start, "end": end, "limit": _MOST_READ},
    ).to_pylist()
    points = [
        Point(
            row["window_start"], row["window_end"], row["value"], row["ci_low"], row["ci_high"], row["n"], row["total"]
        )
        for row in reversed(rows)
    ]
    known = [point for point in points if not isnan(point.value)]
    until = episode.bad_until
    inside = [one for one in known if one.start >= episode.since and (until is None or one.end <= until)]
    before = _before(known, episode)
    return Numbers(
        start=start,
        end=end,
        points=tuple(thin(points, MOST_POINTS, down=down)),
        latest=known[-1] if known else None,
        worst=(min if down else max)(inside, key=lambda one: one.value, default=None),
        usual=sum(before) / len(before) if before else nan,
        usual_windows=len(before),
    )


def detail_of(store: Store, episode: Episode) -> Mapping[str, Any]:
    """Return what the metric of the window that opened the alert says besides its number; empty where it has gone."""
    window = episode.opened.window
    if window is None:
        return {}
    rows = store.query(
        f"SELECT detail FROM window_metrics WHERE {_SERIES} AND window_start = {{start:DateTime64(3, 'UTC')}} "
        "AND window_end = {end:DateTime64(3, 'UTC')}",
        _series(episode) | {"start": window.start, "end": window.end},
    ).to_pylist()
    found = orjson.loads(rows[0]["detail"] or "{}") if rows else {}
    return found if isinstance(found, dict) else {}


def thin(points: Sequence[Point], most: int, *, down: bool) -> list[Point]:
    """Return at most ``most`` points: of as many neighbours as it takes, the worst stands for all.

    >>> at = datetime(2026, 1, 1)
    >>> many = [Point(at, at, float(n), nan, nan, 1, 1) for n in range(10)]
    >>> [(one.value, one.windows) for one in thin(many, 4, down=False)]
    [(2.0, 3), (5.0, 3), (8.0, 3), (9.0, 1)]
    """
    step = -(-len(points) // most)
    if step <= 1:
        return list(points)
    found = []
    for first in range(0, len(points), step):
        own = points[first : first + step]
        known = [one for one in own if not isnan(one.value)] or own
        worst = (min if down else max)(known, key=lambda one: one.value)
        found.append(Point(worst.start, worst.end, worst.value, worst.low, worst.high, worst.n, worst.total, len(own)))
    return found


def _newest(store: Store, episode: Episode) -> datetime:
    """Return the end of the newest window of an alert that lasts; of one without numbers, that of its first window."""
    rows = store.query(
        f"SELECT max(window_end) AS at FROM window_metrics_raw WHERE {_SERIES} "
        "AND window_start >= {since:DateTime64(3, 'UTC')}",
        _series(episode) | {"since": episode.since},
    ).to_pylist()
    newest: datetime = rows[0]["at"]
    return max(newest, episode.since + episode.size)


_SERIES = (
    "application = {application:String} AND metric = {metric:String} AND segment_dimension = {dimension:String} "
    "AND segment_value = {value:String}"
)


def _series(episode: Episode) -> dict[str, Any]:
    series = episode.series
    return {
        "application": series.application,
        "metric": episode.metric,
        "dimension": series.dimension,
        "value": series.value,
    }


def _before(known: Sequence[Point], episode: Episode) -> list[float]:
    """Return the numbers of the last windows before the episode, of sliding windows those that do not overlap."""
    found: list[float] = []
    edge = episode.since
    for point in reversed([one for one in known if one.end <= episode.since]):
        if point.end <= edge and len(found) < USUAL:
            found.append(point.value)
            edge = point.start
    return found
