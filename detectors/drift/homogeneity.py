"""Is a set of vectors fit to be a reference? Blocks of time against the rest, repeated texts, dispersion of windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincc

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.reference import Reference
from inferwatch.detectors.drift.spectral import SpectralTest

MOST_BLOCKS = 8
BLOCK_ROWS = 50
"""A smaller block says little; fewer than two blocks' worth of rows are not tested."""
LEVEL = 0.01
LEAST_EFFECT = 0.1
"""A block that differs surely but by less than this is no reason to refuse a reference."""
MOST_REPEATED = 0.3


@dataclass(frozen=True, slots=True)
class Homogeneity:
    """What was found of n rows in the order of their times.

    ``blocks`` of equal size were each tested against the others; ``p_value`` is the least of theirs, adjusted for
    their number, NaN where there are too few rows. ``worst`` is the place of that block, ``effect`` its effect.
    ``repeated`` is the share of rows with the most frequent vector, which is one text.
    """

    blocks: int
    p_value: float
    effect: float
    worst: int
    repeated: float

    @property
    def findings(self) -> tuple[str, ...]:
        """What speaks against the rows as a reference, one sentence each."""
        found = []
        if self.p_value < LEVEL and self.effect >= LEAST_EFFECT:
            found.append(
                f"not homogeneous: part {self.worst + 1} of {self.blocks} differs from the rest "
                f"(effect {self.effect:.2f}, adjusted p {self.p_value:.2g})"
            )
        if self.repeated > MOST_REPEATED:
            found.append(f"one text makes up {self.repeated:.0%} of the rows")
        return tuple(found)


def homogeneity(test: SpectralTest, reference: Reference) -> Homogeneity:
    """Test consecutive blocks of ``reference``, whose rows are in the order of their times, against the others.

    Bonferroni's adjustment holds whatever the dependence of the tests, which share their rows.

    References:
        Bonferroni 1936, Teoria statistica delle classi e calcolo delle probabilità.
    """
    n = len(reference.ids)
    count = min(MOST_BLOCKS, n // BLOCK_ROWS)
    least, effect, worst = float("nan"), float("nan"), 0
    if count > 1:
        p_values, effects = test.parts(reference, np.arange(n) * count // n)
        known = [place for place in range(count) if not np.isnan(p_values[place])]
        if known:
            worst = min(known, key=lambda place: (p_values[place], -effects[place]))
            least, effect = float(p_values[worst]), float(effects[worst])
    most = max(Counter(row.tobytes() for row in reference.vectors).values(), default=0)
    return Homogeneity(count, min(least * count, 1.0), effect, worst, most / max(n, 1))


def dispersion(vectors: F32, groups: Sequence[int], rows: float) -> float:
    """Return by how much means of ``rows`` rows of one group vary more than those of independent rows; at least 1.

    The ratio F of the variance between groups to that within them is 1 on average for independent rows. Where it is
    surely larger (level 0.05, by Box's approximation of its null), the correlation of rows of one group is
    ``rho = (F - 1) / (F - 1 + n0)``, n0 being the groups' size, and the factor is Kish's design effect
    ``1 + (rows - 1) rho``.

    Args:
        vectors: (n, dim) float32.
        groups: (n,) which group, a window, a row is of.
        rows: how many rows a window that is to be tested has.

    References:
        Kish 1965, Survey Sampling, section 5.4. Donner 1986, A review of inference procedures for the intraclass
        correlation coefficient. Anderson 2001, A new method for non-parametric multivariate analysis of variance.
        Box 1954, Some theorems on quadratic forms applied in the study of analysis of variance problems, I.
    """
    _, codes, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    n, k = len(vectors), len(sizes)
    if k < 2 or n <= k:
        return 1.0
    data = vectors.astype(np.float64)
    means = _sums(data, codes, k) / sizes[:, None]
    residuals = data - means[codes]
    between = float((sizes * ((means - data.mean(axis=0)) ** 2).sum(axis=1)).sum()) / (k - 1)
    within = float((residuals**2).sum()) / (n - k)
    if within <= 1e-12:
        return 1.0
    ratio = between / within
    # tr(S)^2 / tr(S^2), the number of directions that the rows really vary in; the estimate of tr(S^2) is too large by
    # about tr(S)^2 / (n - k).
    covariance = residuals.T @ residuals / (n - k)
    spread = max(float((covariance**2).sum()) - within**2 / (n - k), within**2 / data.shape[1])
    freedom = (k - 1) * within**2 / spread
    if float(gammaincc(freedom / 2, ratio * freedom / 2)) > 0.05:  # the upper tail of chi-squared
        return 1.0
    typical = (n - float((sizes**2).sum()) / n) / (k - 1)
    rho = (ratio - 1) / (ratio - 1 + typical)
    return max(1.0, 1 + (rows - 1) * rho)


def _sums(data: npt.NDArray[Any], codes: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """Return the (count, dim) sums of the rows of each code."""
    found = np.zeros((count, data.shape[1]))
    np.add.at(found, codes, data)
    return found
