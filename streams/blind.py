"""How blind a window is: by how much a score covers fewer of its rows than it used to.

A detector that fails, an encoder that fails, contexts that are no longer logged: each looks like a quiet day to every
rule on a rate. This number is what such a silence looks like itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import nan
from statistics import median
from typing import Any

import orjson

from inferwatch.schemas.metrics import WindowMetric, wilson
from inferwatch.schemas.rules import BLIND
from inferwatch.schemas.settings import WindowSettings
from inferwatch.schemas.windows import ALL, SeriesKey, Window
from inferwatch.streams.aggregate import IN_WINDOW
from inferwatch.streams.ports import Store

BEFORE = 12
"""How many earlier windows a window is compared with, at most."""
ENOUGH_WINDOWS = 3
ENOUGH_ROWS = 20
"""A window with fewer rows of a score says nothing about it."""
EXCLUDED = 0.1
"""A window with a larger fall is no standard for later ones, or a long silence would become normal within the hour."""
REASONS = 3
NOT_SAMPLED = "not sampled"
"""The reason of a row that a budget left out: nobody wanted its score, so it is not missing."""

Coverage = Mapping[str, tuple[int, int]]
"""Score name -> (rows that have it, rows that should)."""


@dataclass(frozen=True, slots=True)
class Fall:
    """One score's coverage now and before. ``share`` is the relative fall that chance does not explain, in [0, 1]."""

    score: str
    scored: int
    rows: int
    before: float
    share: float


class BlindWatch:
    """Measures ``blind`` for each application of a window.

    The number is the largest relative fall of any score's coverage below the median of up to 12 earlier windows. It
    takes the upper end of the coverage's 95 % interval, and no fall that stays within what those windows had, so that
    few rows and naturally uneven traffic do not look like silence. A score that never covered anything cannot fall.

    It is a function of the window's rows and of what was published first of the windows before it, so closing a window
    again gives the same number.

    Args:
        store: rows in, earlier windows in.
        windows: how far to look back: 2,016 steps, at least a day and at most 30 days. Then what was a silence becomes
            the standard.
        scores: the names of every score the detectors emit.
    """

    def __init__(self, store: Store, windows: WindowSettings, scores: Sequence[str]) -> None:
        self._store = store
        self._scores = tuple(scores)
        self._back = min(max(2016 * windows.step, timedelta(days=1)), timedelta(days=30))

    def measure(self, window: Window, totals: Mapping[str, int]) -> list[WindowMetric]:
        """Return ``blind`` of each application in ``totals`` (application -> rows); NaN with why in ``detail``."""
        if not totals or not self._scores:
            return []
        covered = self._covered(window)
        earlier = self._earlier(window, sorted(totals))
        return [
            self._judge(window, application, total, covered.get(application, {}), earlier.get(application, []))
            for application, total in sorted(totals.items())
        ]

    def _judge(
        self, window: Window, application: str, total: int, covered: Coverage, earlier: Sequence[Coverage]
    ) -> WindowMetric:
        detail: dict[str, Any] = {"scores": {name: list(rows) for name, rows in sorted(covered.items())}}
        falls = [fall for name, rows in sorted(covered.items()) if (fall := compare(name, rows, earlier)) is not None]
        series = SeriesKey(application)
        if not falls:
            detail["abstained"] = f"fewer than {ENOUGH_WINDOWS} earlier windows of {ENOUGH_ROWS} rows to compare with"
            if all(rows < ENOUGH_ROWS for _, rows in covered.values()):
                detail["abstained"] = f"fewer than {ENOUGH_ROWS} rows"
            return WindowMetric(window, series, BLIND, nan, total, total, detail=detail)
        worst = max(falls, key=lambda fall: fall.share)
        if worst.share > 0:
            detail |= {
                "score": worst.score,
                "scored": worst.scored,
                "rows": worst.rows,
                "before": worst.before,
                "reasons": self._reasons(window, application, worst.score),
            }
        return WindowMetric(window, series, BLIND, worst.share, worst.rows, total, detail=detail)

    def _covered(self, window: Window) -> dict[str, Coverage]:
        """Return application -> coverage in ``window``."""
        parameters: dict[str, Any] = {"start": window.start, "end": window.end, "not_sampled": NOT_SAMPLED}
        columns = []
        for place, name in enumerate(self._scores):
            parameters[f"name{place}"] = name
            columns += [
                f"countIf(mapContains(scores, {{name{place}:String}})) AS scored{place}",
                f"countIf(abstained[{{name{place}:String}}] != {{not_sampled:String}}) AS rows{place}",
            ]
        rows = self._store.query(
            f"SELECT application, {', '.join(columns)} FROM inferences WHERE {IN_WINDOW} GROUP BY application",
            parameters,
        ).to_pylist()
        return {
            row["application"]: {
                name: (int(row[f"scored{place}"]), int(row[f"rows{place}"])) for place, name in enumerate(self._scores)
            }
            for row in rows
        }

    def _earlier(self, window: Window, applications: Sequence[str]) -> dict[str, list[Coverage]]:
        """Return application -> coverage of the earlier windows that may be a standard, as first published.

        Later revisions are left out: whether one is there depends on when one looks.
        """
        rows = self._store.query(
            "SELECT application, argMax(m.detail, (m.total, m.detail)) AS said, "
            "argMax(m.value, (m.total, m.detail)) AS fall FROM window_metrics_raw AS m "
            "WHERE application IN {applications:Array(String)} AND metric = {metric:String} "
            "AND segment_dimension = {all:String} AND segment_value = {all:String} AND revision = 0 "
            "AND window_start >= {since:DateTime64(3, 'UTC')} AND window_end <= {until:DateTime64(3, 'UTC')} "
            "AND m.total >= {enough:UInt64} GROUP BY application, window_start, window_end "
            "HAVING isNaN(fall) OR fall <= {excluded:Float64} "
            "ORDER BY window_start DESC LIMIT {before:UInt32} BY application",
            {
                "applications": list(applications),
                "metric": BLIND,
                "all": ALL,
                "since": window.start - self._back,
                "until": window.start,
                "enough": ENOUGH_ROWS,
                "excluded": EXCLUDED,
                "before": BEFORE,
            },
        ).to_pylist()
        found: dict[str, list[Coverage]] = {}
        for row in rows:
            said = orjson.loads(row["said"] or "{}").get("scores", {})
            found.setdefault(row["application"], []).append({name: (n, of) for name, (n, of) in said.items()})
        return found

    def _reasons(self, window: Window, application: str, score: str) -> list[list[Any]]:
        """Return the most frequent reasons for which rows lack ``score``, with how many rows each."""
        rows = self._store.query(
            "SELECT if(mapContains(abstained, {score:String}), abstained[{score:String}], 'not run') AS reason, "
            f"count() AS rows FROM inferences WHERE application = {{application:String}} AND {IN_WINDOW} "
            "AND NOT mapContains(scores, {score:String}) AND reason != {not_sampled:String} "
            "GROUP BY reason ORDER BY rows DESC, reason LIMIT {reasons:UInt32}",
            {
                "score": score,
                "application": application,
                "start": window.start,
                "end": window.end,
                "not_sampled": NOT_SAMPLED,
                "reasons": REASONS,
            },
        ).to_pylist()
        return [[row["reason"], int(row["rows"])] for row in rows]


def compare(score: str, now: tuple[int, int], earlier: Sequence[Coverage]) -> Fall | None:
    """Return how far ``score`` fell, or None where rows or earlier windows are too few to say. Pure."""
    scored, rows = now
    shares = [of[score][0] / of[score][1] for of in earlier if of.get(score, (0, 0))[1] >= ENOUGH_ROWS]
    if rows < ENOUGH_ROWS or len(shares) < ENOUGH_WINDOWS:
        return None
    before = median(shares)
    if before == 0 or scored / rows >= min(shares):
        return Fall(score, scored, rows, before, 0.0)
    _, high = wilson(scored, rows)
    return Fall(score, scored, rows, before, max(0.0, 1 - high / before))
