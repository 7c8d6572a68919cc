"""Whether a score of 0.8 means that eight in ten are bad: the expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferwatch.detectors.evaluation.ranking import F64, Labels, Values

BINS = 15


@dataclass(frozen=True)
class Bins:
    """Rows by rising score in at most 15 bins of equal weight; rows of one score are in one bin.

    All are (b,): ``share`` of the rows' weight, mean ``score``, and share of ``bad`` rows.
    """

    share: F64
    score: F64
    bad: F64

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance between score and share of bad rows, over the rows."""
        return float((self.share * np.abs(self.score - self.bad)).sum())


def calibration(labels: Labels, values: Values, weights: F64, bins: int = BINS) -> Bins:
    """Sort (n,) rows into ``bins`` of equal weight.

    References: M. Pakdaman Naeini, G. Cooper & M. Hauskrecht (2015), "Obtaining well calibrated probabilities using
    Bayesian binning", AAAI; equal mass as in K. Nguyen & B. O'Connor (2015), EMNLP.
    """
    levels, place = np.unique(values, return_inverse=True)
    mass = np.bincount(place, weights, len(levels))
    middle = np.cumsum(mass) - mass / 2
    chosen = np.minimum((bins * middle / max(weights.sum(), 1e-300)).astype(np.int64), bins - 1)[place]
    sums = [np.bincount(chosen, weights * column, bins) for column in (1.0, values.astype(np.float64), labels)]
    kept = sums[0] > 0
    total, score, bad = (column[kept] for column in sums)
    return Bins(total / total.sum(), score / total, bad / total)
