"""How well a score puts the bad rows first: ROC-AUC, average precision, true positives at a rate of false ones.

References: T. Fawcett (2006), "An introduction to ROC analysis", Pattern Recognition Letters 27; for average precision
the sum over thresholds without interpolation, as in scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
Values = npt.NDArray[np.floating]
"""Scores, float32 as detectors give them or float64."""


@dataclass(frozen=True)
class Curve:
    """What each threshold flags, from the strictest on.

    Attributes:
        thresholds: (t,) the distinct scores, falling; a row is flagged from its own score on.
        hits: (t,) weight of the bad rows that are flagged.
        false: (t,) weight of the other rows that are flagged.
    """

    thresholds: F64
    hits: F64
    false: F64

    @property
    def two_sided(self) -> bool:
        """Whether there are rows of both kinds; without them no measure is defined (NaN)."""
        return bool(len(self.hits) and self.hits[-1] > 0 and self.false[-1] > 0)

    @property
    def area(self) -> float:
        """ROC-AUC: the chance that a bad row has a higher score than another, ties counting one half."""
        if not self.two_sided:
            return float("nan")
        hits, false = np.append(0.0, self.hits), np.append(0.0, self.false)
        return float(np.trapezoid(hits, false) / (hits[-1] * false[-1]))

    @property
    def average_precision(self) -> float:
        """Precision averaged over the bad rows as they are found."""
        if not self.two_sided:
            return float("nan")
        steps = np.diff(self.hits, prepend=0.0)
        return float((steps * self.precision).sum() / self.hits[-1])

    @property
    def precision(self) -> F64:
        """(t,) share of bad rows among the flagged ones; NaN where nothing is."""
        flagged = self.hits + self.false
        found: F64 = np.divide(self.hits, flagged, out=np.full(len(flagged), np.nan), where=flagged > 0)
        return found

    def hits_at(self, rate: float) -> float:
        """Return the largest share of the bad rows that a threshold flags with at most ``rate`` of the others."""
        if not self.two_sided:
            return float("nan")
        allowed = self.false <= rate * self.false[-1] + 1e-12
        return float(self.hits[allowed].max(initial=0.0) / self.hits[-1])

    def balanced(self) -> tuple[float, float]:
        """Return the threshold with the best balanced accuracy, and that accuracy."""
        accuracy = (self.hits / self.hits[-1] + 1 - self.false / self.false[-1]) / 2
        best = int(accuracy.argmax())
        return float(self.thresholds[best]), float(accuracy[best])


class Ranked:
    """Rows in the order of their scores, so that many weightings of them cost one sort.

    Args:
        labels: (n,) bool, whether a row is bad.
        values: (n,) scores, higher is worse, no NaN.

    Raises:
        ValueError: the lengths differ, or a score is NaN.
    """

    def __init__(self, labels: Labels, values: Values) -> None:
        if labels.shape != values.shape or np.isnan(values).any():
            raise ValueError(f"labels {labels.shape} and scores {values.shape} must match, without NaN")
        self._order = np.argsort(-values, kind="stable")
        ordered = values[self._order].astype(np.float64)
        self._ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.arange(0)
        self._thresholds = ordered[self._ends]
        self._bad = labels[self._order].astype(np.float64)

    def curve(self, weights: F64) -> Curve:
        """Return the curve of rows that count (n,) ``weights``."""
        own = weights[self._order]
        hits, false = np.cumsum(own * self._bad)[self._ends], np.cumsum(own * (1 - self._bad))[self._ends]
        return Curve(self._thresholds, hits, false)
