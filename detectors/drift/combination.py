"""One p-value of several tests of the same rows, however they depend on one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.drift.result import LEAST_P

DEPENDENCE = 1.14
"""By how much the mean of three Cauchy transforms exceeds its level at most, where their normal quantiles are equally
correlated: 13.6 % at 5 %, with a correlation of 0.5; 0 % where they are independent or equal (a test simulates it)."""
_MOST = 0.99
"""A p-value above it counts as this: 1 would outweigh any evidence of the other tests."""


def cauchy(p_values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return (n,) p-values, in [1e-12, 1], of (tests, n): the tail of the mean of their Cauchy transforms.

    The mean of standard Cauchy variables is one again, independent or equal, and its far tail does not know how they
    depend on one another. So several equal p-values give themselves, and the least of K unequal ones costs a factor of
    at most K, without the joint distribution of the tests. Nearer than the far tail dependence matters a little, for
    which several tests pay a factor of ``DEPENDENCE``.

    References:
        Liu and Xie 2020, Cauchy combination test: a powerful test with analytic p-value calculation under arbitrary
        dependency structures, JASA 115.
    """
    if len(p_values) == 1:
        return np.asarray(p_values[0], np.float64)
    found = np.minimum(p_values, _MOST)
    # 1 / tan(pi p) is tan(pi (1/2 - p)) without its loss of digits for small p.
    mean = (1 / np.tan(np.pi * found)).mean(axis=0)
    combined: npt.NDArray[np.float64] = np.clip(DEPENDENCE * np.arctan2(1.0, mean) / np.pi, LEAST_P, 1.0)
    return combined
