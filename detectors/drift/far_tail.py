"""How much heavier the far tail of a quadratic form is than that of the Pearson III law with its three cumulants.

A form of many directions of which a few count for more than others is a sum of squared normals with unequal weights.
Far out, the heaviest weight alone decides, which three cumulants do not know: at 1e-3 a form of 80 directions exceeds
its Pearson III quantile 1.2 times as often as it should, at 1e-5 three times. Nearer than 1 % the two agree.

References:
    Lugannani and Rice 1980, Saddle point approximation for the distribution of the sum of independent random variables,
    Advances in Applied Probability 12.
    Kuonen 1999, Saddlepoint approximations for distributions of quadratic forms in normal variables, Biometrika 86.
    Ledoit and Wolf 2004, A well-conditioned estimator for large-dimensional covariance matrices, JMVA 88.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np
from scipy.special import gammaincc, gammainccinv, log_ndtr

from inferwatch.detectors.drift.result import F64

NEAR = 0.01
"""Where a large window's p-value is larger than this, it stays as it is: three cumulants are enough."""
_POINTS = 1 - np.geomspace(0.99, 1e-3, 64)
"""Saddle points, as shares of the pole at 1/2: the last is beyond any p-value that is given."""


@dataclass(frozen=True, eq=False)
class FarTail:
    """``logs`` (k,): of what a p-value is to be multiplied by, at (k,) ``deviations`` of the statistic above its mean.

    The first is 0, where the p-value is ``NEAR``.
    """

    deviations: F64
    logs: F64

    @classmethod
    def of(cls, weights: F64) -> FarTail:
        """Return that of the sum of squared standard normals with (d,) ``weights``, at least 0, by saddle points."""
        heaviest = float(weights.max(initial=0.0))
        if heaviest <= 0:
            return cls(np.zeros(1), np.zeros(1))
        weights = weights / heaviest
        size, square, cube = (float((weights**power).sum()) for power in (1, 2, 3))
        left = 1 - _POINTS[:, None] * weights
        generating = -0.5 * np.log(left).sum(axis=1)
        statistics, curvature = (weights / left).sum(axis=1), 2 * np.square(weights / left).sum(axis=1)
        root = np.sqrt(_POINTS * statistics - 2 * generating)
        exact = log_ndtr(-root - np.log(_POINTS / 2 * np.sqrt(curvature) / root) / root)
        deviations = (statistics - size) / np.sqrt(2 * square)
        shape = square**3 / (2 * cube**2)
        by_three = gammaincc(shape, shape + deviations * np.sqrt(shape))
        far = (by_three < NEAR) & (by_three > np.finfo(float).tiny)
        begins = (gammainccinv(shape, NEAR) - shape) / np.sqrt(shape)
        logs = np.maximum(exact[far] - np.log(by_three[far]), 0.0)
        return cls(np.append(begins, deviations[far]), np.append(0.0, logs))

    def factor(self, deviations: float) -> float:
        """Return by what the p-value of a statistic so many standard deviations above its mean is to be multiplied."""
        return exp(float(np.interp(deviations, self.deviations, self.logs)))


def weights(products: F64, square: float) -> F64:
    """Return the (d,) weights of the form ``|x|^2`` of (d,) normal vectors x, at least 0.

    Args:
        products: (d, d) covariance of x, from as many rows as there are. Its eigenvalues are further apart than those
            of the population, the more so the fewer rows: they are drawn together about their mean.
        square: sum of the squares of those of the population, estimated without bias (``null.Moments``).
    """
    found = np.maximum(np.linalg.eigvalsh(products), 0.0)
    mean = float(found.mean())
    apart = float(np.square(found - mean).sum())
    wanted = max(0.0, square - len(found) * mean**2)
    drawn: F64 = mean + min(1.0, np.sqrt(wanted / apart) if apart > 0 else 1.0) * (found - mean)
    return drawn
