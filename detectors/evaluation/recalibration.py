"""From labels to probabilities: the slope and shift that fit them, and what they are worth on labels not fitted.

A score that was calibrated on other data reads too high where fewer rows are bad. A hundred labels are enough to say
by how much: there are two numbers to fit, and no order changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from inferwatch.detectors.calibrated import Platt
from inferwatch.detectors.evaluation.bootstrap import SEED
from inferwatch.detectors.evaluation.ranking import F64, Labels, Values
from inferwatch.detectors.logistic import log_odds

LEAST_OF_A_KIND = 10
"""Fewer bad rows, or fewer of the others, say too little."""
FOLDS = 10
_SLOPES = (0.02, 20.0)
_RIDGE = 1.0
"""How many labels' worth of doubt there is that the slope is another than 1."""
_minimize: Any = minimize  # scipy has no types


def fit(labels: Labels, values: Values, weights: F64 | None = None) -> Platt:
    """Return what fits (n,) labels best, with four decimals.

    Args:
        labels: (n,) bool, whether a row is bad.
        values: (n,) in [0, 1], no NaN.
        weights: (n,) how many rows each stands for; default 1. Only their proportions count.

    References: J. Platt (1999), "Probabilistic outputs for support vector machines", whose targets just short of 0 and
    1 these are; the penalty on the slope's logarithm is our own.
    """
    odds = log_odds(values)
    own = np.ones(len(labels)) if weights is None else weights * (len(labels) / weights.sum())
    bad, fine = own[labels].sum(), own[~labels].sum()
    wanted = np.where(labels, (bad + 1) / (bad + 2), 1 / (fine + 2))

    def loss(at: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        slope = np.exp(at[0])
        logits = slope * odds + at[1]
        miss = own * (0.5 * (1 + np.tanh(0.5 * logits)) - wanted)
        total = float((own * (np.logaddexp(0, logits) - wanted * logits)).sum() + 0.5 * _RIDGE * at[0] ** 2)
        return total, np.array([float((miss * odds).sum()) * slope + _RIDGE * at[0], float(miss.sum())])

    bounds = [tuple(np.log(_SLOPES)), (None, None)]
    slope, shift = _minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=bounds).x
    return Platt(round(float(np.exp(slope)), 4), round(float(shift), 4))


def left_out(labels: Labels, values: Values, weights: F64) -> Values:
    """Return (n,) values, each calibrated by a fit on the nine tenths of the rows that it is not among."""
    rng = np.random.default_rng(SEED)
    fold = np.empty(len(labels), np.int64)
    for rows in (np.flatnonzero(labels), np.flatnonzero(~labels)):
        fold[rows] = rng.permutation(len(rows)) % FOLDS
    found = np.empty(len(labels), np.float32)
    for one in range(FOLDS):
        own = fold == one
        found[own] = fit(labels[~own], values[~own], weights[~own])(values[own])
    return found


def enough(labels: Labels) -> bool:
    """Return whether there are ten rows of each kind."""
    return LEAST_OF_A_KIND <= int(labels.sum()) <= len(labels) - LEAST_OF_A_KIND
