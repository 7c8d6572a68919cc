"""How large a quadratic form of a difference of two means is by chance: a fast null distribution, from its cumulants.

The form is ``T = sum_ij a_i a_j h(x_i, x_j)`` over the rows of both sides, where h is a kernel centred at the mean of
the source, ``a = 1/n`` for the n rows of the window and ``-1/m`` for the m of the reference. Its first three
cumulants follow from six moments of h, but for a term of order n^-5, at every n: small windows, clusters and
duplicates are in them. A Pearson III distribution (a shifted gamma) with these cumulants gives the p-value. It is
exact for a kernel of rank one, close for any other, and has a tail, which permutations cannot reach. How much too
light that is beyond 1 % for a kernel whose directions count unequally, ``far_tail`` knows.

References:
    Pearson 1959, Note on an approximation to the distribution of non-central chi-squared, Biometrika 46.
    Imhof 1961, Computing the distribution of quadratic forms in normal variables, Biometrika 48.
    Gretton, Fukumizu, Harchaoui and Sriperumbudur 2009, A fast, consistent kernel two-sample test, NeurIPS 22.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincc

from inferwatch.detectors.drift.far_tail import FarTail
from inferwatch.detectors.drift.result import LEAST_P

_NOTHING = 1e-9
"""Least E h(x, y)^2 as a share of (E h(x, x))^2, and the size of a kernel that tells no row from another."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Six moments of a kernel h on independent rows x, y, z, centred at their mean.

    ``size`` = E h(x, x); ``spread`` = Var h(x, x); ``square`` = E h(x, y)^2; ``mixed`` = E (h(x, x) - size) h(x, y)^2;
    ``cube`` = E h(x, y)^3; ``cycle`` = E h(x, y) h(y, z) h(z, x).
    """

    size: float
    spread: float
    square: float
    mixed: float
    cube: float
    cycle: float


def moments(kernel: npt.NDArray[Any]) -> Moments:
    """Return the moments of a kernel from its (n, n) matrix on n >= 4 rows.

    Rows are centred at their own mean. What that takes away from ``size`` and ``square`` is put back, so that they are
    without bias for normal rows; for the others, which are corrections, it does not matter.
    """
    n = len(kernel)
    means = kernel.mean(axis=0)
    centred = kernel - means[:, None] - means[None, :] + means.mean()
    diagonal = np.diag(centred).copy()
    size = diagonal.sum() / (n - 1)
    total = (centred**2).sum() / (n - 1) ** 2
    square = (n - 1) ** 2 / ((n - 2) * (n + 1)) * (total - size**2 / (n - 1))
    np.fill_diagonal(centred, 0)
    pairs = n * (n - 1)
    squares = centred**2
    return Moments(
        size=float(size),
        spread=float(diagonal.var(ddof=1)),
        square=float(square),
        mixed=float((squares.sum(axis=1) @ (diagonal - diagonal.mean())) / pairs),
        cube=float((squares * centred).sum() / pairs),
        # Symmetric, so this is its square, for half the products.
        cycle=float(((centred @ centred.T) * centred).sum() / (pairs * (n - 2))),
    )


def average(found: Sequence[Moments]) -> Moments:
    """Return the mean of each moment."""
    return Moments(*(float(one) for one in np.mean([astuple(one) for one in found], axis=0)))


def mean_and_deviation(known: Moments, window: float, reference: float) -> tuple[float, float]:
    """Return the mean of T without any change, and its standard deviation; arguments as of ``tail``."""
    second = 1 / window + 1 / reference
    fourth = 1 / window**3 + 1 / reference**3
    square = max(known.square, _NOTHING * known.size**2)
    return second * known.size, sqrt(2 * (second**2 - fourth) * square + fourth * known.spread)


def tail(statistic: float, known: Moments, window: float, reference: float, far: FarTail | None = None) -> float:
    """Return the chance that T is at least ``statistic`` without any change, in [1e-12, 1].

    Args:
        statistic: the observed T.
        known: the kernel's moments.
        window: how many independent rows the window is worth.
        reference: and the reference.
        far: how much heavier than Pearson III's the far tail is; without it, it is not.
    """
    if known.size <= _NOTHING:
        return 1.0 if statistic <= _NOTHING else LEAST_P
    second = 1 / window + 1 / reference
    third = 1 / window**2 - 1 / reference**2
    fourth = 1 / window**3 + 1 / reference**3
    sixth = 1 / window**5 + 1 / reference**5
    square = max(known.square, _NOTHING * known.size**2)
    mean, deviation = mean_and_deviation(known, window, reference)
    cumulant = (
        8 * (second**3 - 3 * second * fourth + 2 * sixth) * known.cycle
        + 12 * (second * fourth - sixth) * known.mixed
        + 4 * (third**2 - sixth) * known.cube
    )
    # By Cauchy and Schwarz the cycle is at least square^2 / size, which its estimate may miss.
    skewness = max(cumulant, 8 * second**3 * square**2 / known.size) / deviation**3
    shape = 4 / skewness**2
    deviations = (statistic - mean) / deviation
    found = float(gammaincc(shape, max(shape + deviations * sqrt(shape), 0.0)))
    if far is not None:
        found *= far.factor(deviations)
    return min(max(found, LEAST_P), 1.0)
