"""Intervals by drawing the rows again, or whole groups of rows that belong together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.evaluation.ranking import F64

SEED = 20261125
DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


def bootstrap(
    measure: Callable[[F64], F64],
    weights: F64,
    groups: npt.NDArray[np.int64] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> tuple[list[Estimate], F64]:
    """Estimate several numbers of one set of rows, with percentile intervals.

    Args:
        measure: (n,) weights -> (k,) numbers, NaN where one is not defined.
        weights: (n,) what each row counts.
        groups: (n,) number of the group that a row belongs to; groups are drawn whole. Without: each row by itself.
        draws: how often rows are drawn.
        seed: of the draws; the same seed gives the same intervals.

    Returns:
        k estimates, and the (draws, k) numbers of the draws.

    References: B. Efron & R. Tibshirani (1993), "An Introduction to the Bootstrap", ch. 13.
    """
    rng = np.random.default_rng(seed)
    own = np.arange(len(weights)) if groups is None else np.unique(groups, return_inverse=True)[1]
    n = int(own.max(initial=-1)) + 1
    found = np.stack([measure(weights * np.bincount(rng.integers(0, n, n), minlength=n)[own]) for _ in range(draws)])
    values = measure(weights)
    estimates = []
    for value, drawn in zip(values, found.T, strict=True):
        known = drawn[~np.isnan(drawn)]
        low, high = np.quantile(known, (0.025, 0.975)) if len(known) else (np.nan, np.nan)
        estimates.append(Estimate(float(value), float(low), float(high)))
    return estimates, found
