"""Embedding drift of a closed window: sample, reference, test, evidence over time, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import nan
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.reference import Reference, require_revision
from inferwatch.detectors.drift.result import Drift
from inferwatch.detectors.drift.scan import Summary, reach, scales, scan
from inferwatch.detectors.drift.spectral import SpectralTest
from inferwatch.detectors.drift.spectrum import Spectrum
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import OF_DRIFT
from inferwatch.schemas.settings import DriftSettings, WindowSettings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.drift_sample import drift_samples
from inferwatch.streams.drift_windows import Left, earlier_summaries, store_summaries
from inferwatch.streams.explaining import WORTH_EXPLAINING, WORTH_EXPLAINING_DAYS, Explainer
from inferwatch.streams.ports import Store
from inferwatch.streams.references import References, vectors_of

EXAMPLES = 5
AT_ONCE = 50
"""Applications whose vectors are held at once, some 3 MB each with what was before."""


@dataclass(frozen=True, eq=False)
class Measured:
    """One field of one application's window beside its reference: ``total`` rows, of which ``ids`` were looked at."""

    reference: Reference
    total: int
    ids: Sequence[str]
    vectors: F32
    drift: Drift
    spectrum: Spectrum


class DriftWatch:
    """Compares each application's windows with the reference chosen for them, one field at a time.

    Works on a capped sample of the window, chosen by a hash of the inference id, with at most one row of a
    conversation: the cost does not grow with traffic, and the same rows give the same sample. What a window leaves
    behind for those after it is stored with it, so that nothing is kept in memory that a crash may not take.
    """

    def __init__(
        self,
        store: Store,
        references: References,
        settings: DriftSettings,
        windows: WindowSettings,
        encoder_revision: str,
        clock: Clock,
        explainer: Explainer,
    ) -> None:
        self._explainer = explainer
        self._store = store
        self._references = references
        self._settings = settings
        self._revision = encoder_revision
        self._clock = clock
        self._scales = scales(windows.size, windows.step, settings.scales)
        self._test = SpectralTest(min_rows=settings.min_rows)

    def measure(self, window: Window, totals: Mapping[str, int], revision: int) -> list[WindowMetric]:
        """Return ``drift.<field>.p_value``, ``.effect`` and ``.recurrence`` of each application in ``totals``.

        They are NaN with the reason in ``detail`` where there is none. The recurrence is that of the series alone:
        ``multiplicity.shared`` makes it that of all series of the window, and adds the q-value.

        Args:
            window: the closed window.
            totals: application -> rows of the window.
            revision: of the window's numbers.

        Raises:
            StoreUnavailable: call again; the same window gives the same numbers.
        """
        found: list[WindowMetric] = []
        left: list[Left] = []
        series = sorted(totals.items())
        for at in range(0, len(series), AT_ONCE):
            metrics, summaries = self._together(window, series[at : at + AT_ONCE])
            found += metrics
            left += summaries
        store_summaries(self._store, left, revision, totals, self._clock.now())
        return found

    def _together(self, window: Window, series: Sequence[tuple[str, int]]) -> tuple[list[WindowMetric], list[Left]]:
        """Return the numbers of some applications, and what they leave behind."""
        found: list[WindowMetric] = []
        measured: list[Measured] = []
        for application, total in series:
            chosen = {
                field: self._references.choose(window, application, field, self._revision)
                for field in self._settings.fields
            }
            measured += self._measured(window, total, [one for one in chosen.values() if one is not None])
            for field in (field for field, reference in chosen.items() if reference is None):
                detail: dict[str, object] = {"abstained": "no reference of this encoder revision"}
                found += _metrics(window, application, field, {}, 0, total, detail)
        compared = [(one.reference, one.spectrum.revision) for one in measured]
        earlier = earlier_summaries(self._store, compared, window, reach(self._scales))
        left: list[Left] = []
        for one, before in zip(measured, earlier, strict=True):
            now = Summary(window, one.drift.n_window, one.drift.total)
            found += self._judged(window, one, [*before, now])
            left.append(Left(one.reference, one.spectrum.revision, now))
        return found, left

    def _measured(self, window: Window, total: int, references: Sequence[Reference]) -> list[Measured]:
        """Compare the rows of one application with its references, one a field."""
        for reference in references:
            require_revision(reference, self._revision)
        if not references:
            return []
        fields = [reference.field for reference in references]
        samples = drift_samples(
            self._store, window, references[0].application, fields, self._revision, self._settings.window_rows
        )
        found = []
        for reference in references:
            sample = samples[reference.field]
            vectors = vectors_of(sample) if sample.num_rows else np.empty((0, reference.vectors.shape[1]), np.float32)
            drift, spectrum = self._test.compare(reference, vectors), self._test.prepare(reference)
            ids = tuple(map(str, sample["id"].to_pylist()))
            found.append(Measured(reference, total, ids, vectors, drift, spectrum))
        return found

    def _judged(self, window: Window, one: Measured, summaries: Sequence[Summary]) -> list[WindowMetric]:
        """Return the numbers of one series; ``summaries`` are of the windows before, and of this one."""
        reference, drift = one.reference, one.drift
        tail, shift = partial(self._test.pooled, reference), partial(self._test.shift, reference)
        whitened = one.spectrum.all_whitened(
            np.stack([each.total for each in summaries]), np.array([each.rows for each in summaries])
        )
        seen = [replace(each, total=total) for each, total in zip(summaries, whitened, strict=True)]
        evidence = scan(seen, window.end, self._scales, tail, shift)
        detail: dict[str, Any] = {"reference": f"{reference.name} v{reference.version}"}
        detail["n_reference"] = drift.n_reference
        if not np.isnan(drift.statistic):
            newest = np.argsort(-drift.witness, kind="stable")[:EXAMPLES]
            detail |= {"statistic": drift.statistic, "examples": [one.ids[row] for row in newest]}
            if drift.p_value < WORTH_EXPLAINING or evidence.recurrence > WORTH_EXPLAINING_DAYS:
                detail |= self._explainer.detail(
                    window, reference.application, reference.field, reference, one.ids, one.vectors
                )
        values = {"p_value": drift.p_value, "effect": drift.effect}
        judged = detail | ({"abstained": drift.abstained} if drift.abstained else {})
        metrics = _metrics(window, reference.application, reference.field, values, drift.n_window, one.total, judged)
        over_time = detail | {"since": evidence.since.isoformat(), "p_value": evidence.p_value}
        if np.isnan(evidence.recurrence):
            over_time |= {"abstained": drift.abstained or "too few windows before the last look"}
        values = {"recurrence": evidence.recurrence}
        metrics += _metrics(window, reference.application, reference.field, values, evidence.rows, one.total, over_time)
        return metrics


def _metrics(
    window: Window,
    application: str,
    field: str,
    values: Mapping[str, float],
    n: int,
    total: int,
    detail: dict[str, Any],
) -> list[WindowMetric]:
    """Return a number of each kind in ``values``; without values, every kind, unknown."""
    known = values or {kind: nan for kind in OF_DRIFT if kind != "q_value"}
    series = SeriesKey(application)
    return [
        WindowMetric(window, series, f"drift.{field}.{kind}", value, n, total, detail=detail)
        for kind, value in known.items()
    ]
