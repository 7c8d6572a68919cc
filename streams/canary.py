"""Canary against control: two segments of one window, whatever happened to the traffic as a whole."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np

from inferwatch.detectors.drift.reference import Reference
from inferwatch.detectors.drift.result import TwoSampleTest
from inferwatch.schemas.baselines import CANARY
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.aggregate import IN_WINDOW, segment_expression
from inferwatch.streams.drift import EXAMPLES
from inferwatch.streams.ports import Store
from inferwatch.streams.references.sampling import Rows, Scope, sample
from inferwatch.streams.references.two_sample import two_sample_test

MOST_CANARIES = 5


class CanaryWatch:
    """Compares the rows of one value of a dimension with those of another, in the same window.

    Both sides have seen the same hours and the same users, so what differs is the version: no baseline is needed, and
    a drift of the traffic, which moves both, says nothing here.
    """

    def __init__(self, store: Store, settings: Settings, encoder_revision: str) -> None:
        self._store = store
        self._settings = settings.drift
        self._revision = encoder_revision

    def measure(self, window: Window, application: str) -> list[WindowMetric]:
        """Return ``canary.<field>.p_value`` and ``.effect`` of each canary that has rows in ``window``.

        The series is the canary's segment. NaN, with the reason in ``detail``, where either side has fewer than
        ``drift.min_rows`` rows; nothing at all where the control has none.
        """
        canary = self._settings.canary
        if canary is None:
            return []
        counts = self._counts(window, application, canary.dimension)
        control = canary.control if canary.control is not None else next(iter(counts), "")
        others = [value for value in counts if value != control and canary.canary in (None, value)]
        if control not in counts or not others:
            return []
        found = []
        test = two_sample_test(self._settings)
        for field in self._settings.fields:
            usual = self._rows(window, application, field, control)
            reference = Reference(
                f"{canary.dimension} {control}", 0, application, field, self._revision, usual.ids, usual.vectors
            )
            for value in others[:MOST_CANARIES]:
                series = SeriesKey(application, canary.dimension, value)
                rows = self._rows(window, application, field, value)
                found += self._compared(window, series, field, counts[value], test, reference, rows)
        return found

    def _counts(self, window: Window, application: str, dimension: str) -> dict[str, int]:
        """Return value -> rows, the largest first."""
        value = segment_expression(dimension)
        rows = self._store.query(
            f"SELECT {value} AS value, count() AS n FROM inferences WHERE application = {{application:String}} "
            f"AND {IN_WINDOW} AND value != '' GROUP BY value ORDER BY n DESC, value",
            {"application": application, "start": window.start, "end": window.end},
        )
        return {str(row["value"]): int(row["n"]) for row in rows.to_pylist()}

    def _rows(self, window: Window, application: str, field: str, value: str) -> Rows:
        assert self._settings.canary is not None
        where = (
            "id IN (SELECT id FROM inferences WHERE application = {application:String} "
            "AND timestamp >= {start:DateTime64(3, 'UTC')} AND timestamp < {end:DateTime64(3, 'UTC')} "
            f"AND {segment_expression(self._settings.canary.dimension)} = {{value:String}})"
        )
        scope = Scope(application, field, window.start, window.end, self._revision, where, {"value": value})
        return sample(self._store, scope, self._settings.window_rows)

    def _compared(
        self,
        window: Window,
        series: SeriesKey,
        field: str,
        total: int,
        test: TwoSampleTest,
        reference: Reference,
        rows: Rows,
    ) -> list[WindowMetric]:
        names = (f"{CANARY}{field}.p_value", f"{CANARY}{field}.effect")
        detail: dict[str, Any] = {"reference": reference.name, "n_reference": len(reference.ids)}
        if not rows.ids or not reference.ids:
            detail["abstained"] = "too few rows in the window" if reference.ids else "too few rows in the reference"
            return [WindowMetric(window, series, name, nan, len(rows.ids), total, detail=detail) for name in names]
        drift = test.compare(reference, rows.vectors)
        if drift.abstained:
            detail["abstained"] = drift.abstained
        else:
            newest = np.argsort(-drift.witness, kind="stable")[:EXAMPLES]
            detail |= {"statistic": drift.statistic, "examples": [rows.ids[row] for row in newest]}
        return [
            WindowMetric(window, series, name, value, drift.n_window, total, detail=detail)
            for name, value in zip(names, (drift.p_value, drift.effect), strict=True)
        ]
