"""This project's side: the test and the scan that the service uses by default, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from math import nan

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.reference import Reference
from inferwatch.detectors.drift.scan import scales
from inferwatch.detectors.drift.spectral import SpectralTest
from inferwatch.schemas.settings import DriftSettings, WindowSettings
from tests.bench.drift.logs import Rows

F64 = npt.NDArray[np.float64]
NAME = "inferwatch"
BOTH = "inferwatch with output_given_input"
"""The p-value of outputs and that of outputs given their inputs, combined: what the service says with that field on."""
BUDGET_DAYS = 30
"""``false_alarms: "1 per 30d"``."""
SIZE: timedelta = WindowSettings().size
SPANS = tuple((one.span // SIZE, one.stride // SIZE) for one in scales(SIZE, SIZE, DriftSettings().scales))
"""Of the default scan: windows that a scale pools, and from one of its looks to the next."""


def reference_of(vectors: F32) -> Reference:
    """Return a reference of (n, dim) ``vectors``."""
    ids = tuple(map(str, range(len(vectors))))
    return Reference("benchmark", 1, "benchmark", "output", "benchmark", ids, vectors)


class Own:
    """Windows against one reference of (m, dim) ``vectors``; nothing is kept from another reference."""

    def __init__(self, vectors: F32) -> None:
        self._reference = reference_of(vectors)
        self._test = SpectralTest()

    def prepare(self) -> None:
        """Do what is done once for a reference."""
        self._test.prepare(self._reference)

    def p_value(self, window: F32) -> float:
        """Return the p-value of (n, dim) ``window``."""
        return self._test.compare(self._reference, window).p_value

    def p_values(self, windows: Sequence[F32]) -> F64:
        """Return the p-value of each window: what ``p_value`` says, without its effect and witness."""
        totals = [self.features(window).sum(axis=0, dtype=np.float64) for window in windows]
        return self._chances(np.array(totals), np.array([len(window) for window in windows]), pooled=False)

    def features(self, rows: F32) -> F32:
        """Return the (n, D) features whose sums are pooled."""
        return self._test.prepare(self._reference).features(rows).astype(np.float32)

    def tails(self, totals: F64, counts: Rows) -> F64:
        """Return the (looks,) p-values of (looks, D) sums of the features of so many rows: ``pooled``, at once."""
        return self._chances(totals, counts, pooled=True)

    def _chances(self, totals: F64, counts: Rows, *, pooled: bool) -> F64:
        spectrum = self._test.prepare(self._reference)
        few = min(counts.min(initial=len(self._reference.vectors)), len(self._reference.vectors)) < self._test.min_rows
        shifts = spectrum.whitening(totals / np.maximum(counts, 1)[:, None])
        found = spectrum.chances(shifts, counts, spectrum.rows, pooled=pooled)
        return np.where(few & (counts < self._test.min_rows), nan, found)

    def pooled(self, total: F64, rows: int) -> float:
        """Return what ``tails`` does for one look, by the service's own way."""
        whitened = self._test.prepare(self._reference).whitened(total, rows)
        return self._test.pooled(self._reference, whitened, rows)
