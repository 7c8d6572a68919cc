"""Did the distribution of the vectors change? Each of their principal components by itself."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import ks_2samp

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.reference import Reference
from inferwatch.detectors.drift.result import F64, LEAST_P, Drift, abstain, canonical, checked, too_few


class MarginalTest:
    """Kolmogorov-Smirnov test of each of the first principal components of the reference, and the largest of them.

    The p-value is Sidak's, ``1 - (1 - least p)^components``: components of one reference are uncorrelated, so that
    little is lost. The effect is the largest distance between two distribution functions, in [0, 1]. A change that
    moves no single component by much is not seen, which is why this is not the default; one that stretches a component
    without moving it is seen better than by means.

    Args:
        components: how many are looked at.
        min_rows: with fewer rows on either side the test abstains.

    References:
        Rabanser, Guennemann and Lipton 2019, Failing loudly: an empirical study of methods for detecting dataset shift,
        NeurIPS 32.
    """

    def __init__(self, *, components: int = 32, min_rows: int = 30) -> None:
        self.components, self.min_rows = components, min_rows

    def compare(self, reference: Reference, window: F32) -> Drift:
        """Compare (n, dim) ``window`` vectors with ``reference``; the encoder must be the same (``require_revision``).

        Raises:
            Permanent: another number of columns than the reference, or numbers that are not finite.
        """
        new = checked(reference, window)
        if reason := too_few(reference, new, self.min_rows):
            return abstain(reference, new, reason)
        order, old = canonical(new), reference.vectors[canonical(reference.vectors)].astype(np.float64)
        centre = old.mean(axis=0)
        _, _, directions = np.linalg.svd(old - centre, full_matrices=False)
        kept = directions[: self.components].T
        before: F64 = (old - centre) @ kept
        # Rounding must not tell equal rows apart.
        before, now = np.round(before, 6), np.round((new[order].astype(np.float64) - centre) @ kept, 6)
        found = [ks_2samp(before[:, one], now[:, one], method="asymp") for one in range(kept.shape[1])]
        worst = int(np.argmin([one.pvalue for one in found]))
        least = min(float(found[worst].pvalue), 1 - 1e-16)
        witness = np.empty(len(new), np.float32)
        witness[order] = (now[:, worst] - np.median(before[:, worst])) * np.sign(
            np.median(now[:, worst]) - np.median(before[:, worst])
        )
        return Drift(
            statistic=float(found[worst].statistic),
            p_value=max(LEAST_P, -math.expm1(len(found) * math.log1p(-least))),
            effect=float(found[worst].statistic),
            n_reference=len(old),
            n_window=len(new),
            witness=witness,
        )
