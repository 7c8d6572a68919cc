"""Drift of a closed window's columns: lengths, latency, tokens, cost, scores, and the mix of models and the like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from inferwatch.detectors.drift.categorical import compare_mix
from inferwatch.detectors.drift.multiplicity import recurrence_days
from inferwatch.detectors.drift.scalar import NumberDrift, compare_many
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.columns import is_mix, resolve
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import ALL, OTHER, SeriesKey, Window
from inferwatch.streams.column_samples import Sample, Scope, samples
from inferwatch.streams.ports import Store
from inferwatch.streams.reference_columns import NOTHING, Column, ReferenceColumns
from inferwatch.streams.references import References
from inferwatch.streams.references.stored import ReferenceInfo

EXAMPLES = 5
EMPTY = Sample((), ())
Numbers = dict[str, float]


@dataclass(frozen=True, slots=True)
class _Pair:
    """One column of one series: what it holds now, of ``total`` rows, and what it held before."""

    series: SeriesKey
    total: int
    column: str
    baseline: ReferenceInfo | None
    before: Column
    now: Sample


class ScalarWatch:
    """Compares the columns of a window with what they were like in the period of the drift reference.

    Works on a capped sample of the window, chosen by a hash of the inference id, of at most one row of a conversation.

    Args:
        store: rows in.
        references: which baseline a window is compared with.
        settings: of drift, segments and windows.
        encoder_revision: of the references that count.
        scores: the names of every score the detectors emit.
        clock: for when the columns of a reference were frozen.
    """

    def __init__(
        self,
        store: Store,
        references: References,
        settings: Settings,
        encoder_revision: str,
        scores: Iterable[str],
        clock: Clock,
    ) -> None:
        self._store = store
        self._references = references
        self._settings = settings.drift
        self._revision = encoder_revision
        self._columns = resolve(settings.drift.columns, sorted(scores))
        self._dimensions = (ALL, *settings.segments.dimensions) if settings.drift.by_segment else (ALL,)
        self._max_values = settings.segments.max_values
        self._step = settings.windows.step
        self._infos: dict[tuple[str, str, str, int], ReferenceInfo] = {}
        self._known = ReferenceColumns(
            store,
            clock,
            rows=settings.drift.reference_rows,
            pane=settings.windows.size,
            max_values=settings.segments.max_values,
        )

    def measure(self, window: Window, totals: Mapping[SeriesKey, int]) -> list[WindowMetric]:
        """Return ``drift.<column>.p_value``, ``.effect`` and ``.recurrence``, of mixes ``.psi``, of each in ``totals``.

        The recurrence is that of the series alone: ``multiplicity.shared`` makes it that of all series of the window.
        NaN with the reason in ``detail`` where there are too few rows, or there is no reference. Nothing at all without
        columns, and without ``drift.fields``, because then no application has a reference.

        Args:
            window: the half-open event-time interval.
            totals: series -> its rows in the window. Segments count if ``drift.by_segment`` says so; ``__other__``
                never does, as it need not stand for the same values as in the reference.
        """
        if not self._columns or not self._settings.fields:
            return []
        applications = tuple(sorted({series.application for series in totals}))
        baselines = {application: self._baseline(window, application) for application in applications}
        compared = tuple(application for application in applications if baselines[application])
        before = {
            application: self._known.of(baseline, self._columns, self._dimensions)
            for application, baseline in baselines.items()
            if baseline
        }
        pairs: list[_Pair] = []
        for dimension in self._dimensions:
            scope = Scope(window.start, window.end, compared, window.size, dimension)
            now = samples(
                self._store, scope, self._columns, rows=self._settings.window_rows, max_values=self._max_values
            )
            for series, total in sorted(totals.items()):
                if series.dimension == dimension and series.value != OTHER:
                    then = before.get(series.application, {}).get(series, {})
                    baseline, own = baselines[series.application], now.get(series, {})
                    pairs += [
                        _Pair(series, total, column, baseline, then.get(column, NOTHING), own.get(column, EMPTY))
                        for column in self._columns
                    ]
        return [
            metric
            for pair, verdict in zip(pairs, self._judged(pairs), strict=True)
            for metric in self._metrics(window, pair, *verdict)
        ]

    def _baseline(self, window: Window, application: str) -> ReferenceInfo | None:
        """Return the reference whose period ``window`` is compared with: the first field's that has one."""
        for field in self._settings.fields:
            named = self._references.in_force(application, field, self._revision, window.start)
            if named is None:
                continue
            key = (application, field, named.name, named.version)
            if key not in self._infos:
                self._infos[key] = self._references.find(*key)
            return self._infos[key]
        return None

    def _judged(self, pairs: Sequence[_Pair]) -> list[tuple[Numbers, dict[str, Any]]]:
        """Return the numbers of each pair and what is to be said of them; all columns of numbers are judged at once."""
        numbers = [pair for pair in pairs if pair.baseline and not is_mix(pair.column)]
        drifts = iter(
            compare_many(
                [(pair.before.numbers, np.array(pair.now.values, np.float64)) for pair in numbers],
                min_rows=self._settings.min_rows,
            )
        )
        found = []
        for pair in pairs:
            if pair.baseline is None:
                kinds = ("p_value", "effect", *(("psi",) if is_mix(pair.column) else ()))
                detail: dict[str, Any] = {"abstained": "no reference of this encoder revision"}
                found.append((dict.fromkeys(kinds, nan), detail))
            elif is_mix(pair.column):
                found.append(self._mix(pair))
            else:
                found.append(_number(pair, next(drifts)))
        return found

    def _metrics(self, window: Window, pair: _Pair, numbers: Numbers, detail: dict[str, Any]) -> list[WindowMetric]:
        if pair.baseline:
            detail["reference"] = f"{pair.baseline.name} v{pair.baseline.version}"
        numbers["recurrence"] = recurrence_days(numbers["p_value"], self._step)
        n = len(pair.now.values)
        return [
            WindowMetric(window, pair.series, f"drift.{pair.column}.{kind}", value, n, pair.total, detail=detail)
            for kind, value in numbers.items()
        ]

    def _mix(self, pair: _Pair) -> tuple[Numbers, dict[str, Any]]:
        drift = compare_mix(pair.before.counts, Counter(pair.now.values), min_rows=self._settings.min_rows)
        detail: dict[str, Any] = {"n_reference": drift.n_reference}
        if drift.abstained:
            detail["abstained"] = drift.abstained
        else:
            more = {value for value, then, now in drift.changes if now > then}
            rows = (row for value, row in zip(pair.now.values, pair.now.ids, strict=True) if value in more)
            detail |= {
                "changes": [list(change) for change in drift.changes],
                "psi_p_value": drift.psi.p_value,
                "psi_usual": drift.psi.usual,
                "psi_limit": drift.psi.limit,
                "examples": [row for row, _ in zip(rows, range(EXAMPLES), strict=False)],
            }
        return {"p_value": drift.p_value, "effect": drift.effect, "psi": drift.psi.value}, detail


def _number(pair: _Pair, drift: NumberDrift) -> tuple[Numbers, dict[str, Any]]:
    detail: dict[str, Any] = {"n_reference": drift.n_reference}
    if drift.abstained:
        detail["abstained"] = drift.abstained
    else:
        values = np.array(pair.now.values, np.float64)
        farthest = np.argsort(-values if drift.higher else values, kind="stable")[:EXAMPLES]
        detail |= {
            "direction": "higher" if drift.higher else "lower",
            "shift": drift.shift,
            "median": list(drift.median),
            "p95": list(drift.p95),
            "examples": [pair.now.ids[row] for row in farthest],
        }
    return {"p_value": drift.p_value, "effect": drift.effect}, detail
