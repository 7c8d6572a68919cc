"""Did the distribution of the vectors change? Maximum mean discrepancy with a permutation p-value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.features import FourierFeatures, median_distance
from inferwatch.detectors.drift.reference import Reference
from inferwatch.schemas.errors import Permanent

_LEAST_VARIANCE = 1e-6
# Permuted statistics equal to the observed one but for rounding count as reaching it.
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Drift:
    """One comparison of a window with a reference; NaN numbers and a reason in ``abstained`` where there is none.

    ``statistic`` is the squared distance of the two mean feature vectors (biased MMD^2), in [0, 4].
    ``p_value`` is the chance of one at least as large without any change.
    ``effect`` says how large the change is, whatever the counts: 0 is none, 1 means that the two means are as far
    apart as a reference row is, on average (root mean square), from the reference's mean.
    ``witness`` is (n_window,) float32: the higher, the less the row is like the reference and the more it is like the
    rest of the window.
    """

    statistic: float
    p_value: float
    effect: float
    n_reference: int
    n_window: int
    witness: F32
    abstained: str = ""


class RandomFeatureMMD:
    """Two-sample test of a window against a reference: kernel MMD through random Fourier features.

    The kernel is Gaussian, its bandwidth the median distance within the reference. The p-value is
    ``(1 + #{permuted >= observed}) / (1 + permutations)``: valid at every window size, never 0. The effect is
    ``sqrt(max(0, unbiased MMD^2) / (1 - |reference mean|^2))``; the denominator is the reference's variance in
    feature space, estimated without bias.

    ``compare`` is a pure function of its arguments: frequencies and bandwidth come from the reference, permutations
    from the contents of both, and rows are put in a canonical order first, so that their order changes nothing.

    Args:
        features: number of Fourier features, even.
        permutations: relabellings drawn; the least p-value is ``1 / (1 + permutations)``.
        min_rows: with fewer rows on either side the test abstains.
        seed: of frequencies and permutations, beside the contents.

    References:
        Gretton et al. 2012, A kernel two-sample test, JMLR 13.
        Phipson and Smyth 2010, Permutation p-values should never be zero, arXiv:1603.05766.
    """

    def __init__(self, *, features: int = 512, permutations: int = 999, min_rows: int = 30, seed: int = 0) -> None:
        if permutations < 1:
            raise ValueError(f"permutations must be at least 1, got {permutations}")
        if min_rows < 2:
            raise ValueError(f"min_rows must be at least 2, got {min_rows}")
        self.features, self.permutations, self.min_rows, self.seed = features, permutations, min_rows, seed

    def compare(self, reference: Reference, window: F32) -> Drift:
        """Compare (n, dim) ``window`` vectors with ``reference``; the encoder must be the same (``require_revision``).

        Raises:
            Permanent: another number of columns than the reference, or numbers that are not finite.
        """
        old = np.ascontiguousarray(reference.vectors, np.float32)
        new = np.ascontiguousarray(window, np.float32)
        if new.ndim != 2 or new.shape[1] != old.shape[1]:
            raise Permanent(
                f"window vectors have shape {new.shape}, reference {reference.name!r} version {reference.version} has "
                f"{old.shape[1]} columns: they are of different encoders"
            )
        if not (np.isfinite(old).all() and np.isfinite(new).all()):
            raise Permanent(f"vectors of the window or of reference {reference.name!r} hold NaN or infinity")
        if len(new) < self.min_rows:
            return _abstain(old, new, "too few rows in the window")
        if len(old) < self.min_rows:
            return _abstain(old, new, "too few rows in the reference")
        old = old[_canonical(old)]
        order = _canonical(new)
        new = new[order]
        phi = FourierFeatures(old.shape[1], self.features, median_distance(old), self._seed(old))
        old_phi, new_phi = phi(old), phi(new)
        observed, reached = self._permute(old_phi, new_phi, self._seed(old, new))
        old_mean, new_mean = old_phi.mean(axis=0), new_phi.mean(axis=0)
        witness = np.empty(len(new), np.float32)
        others = (new_phi @ new_mean * len(new) - 1) / (len(new) - 1)
        witness[order] = others - new_phi @ old_mean
        return Drift(
            statistic=observed,
            p_value=(1 + reached) / (1 + self.permutations),
            effect=_effect(old_mean, new_mean, len(old), len(new)),
            n_reference=len(old),
            n_window=len(new),
            witness=witness,
        )

    def _seed(self, *parts: F32) -> int:
        digest = blake2b(str(self.seed).encode(), digest_size=8)
        for part in parts:
            digest.update(part.shape[0].to_bytes(8, "big"))
            digest.update(part.tobytes())
        return int.from_bytes(digest.digest(), "big")

    def _permute(self, old: F32, new: F32, seed: int) -> tuple[float, int]:
        """Return the observed statistic and how many permuted ones reach it; all of them in one matrix product."""
        pooled = np.concatenate([new, old])
        pooled -= pooled.mean(axis=0)  # about 0 the sums are small and rounding matters less
        total, picked = len(pooled), len(new)
        chosen = np.zeros((1 + self.permutations, total), np.float32)
        chosen[0, :picked] = 1
        draws = np.random.default_rng(seed).random((self.permutations, total), dtype=np.float32)
        few = min(picked, total - picked)  # drawing the smaller side is cheaper and gives the same statistic
        np.put_along_axis(chosen[1:], np.argpartition(draws, few - 1, axis=1)[:, :few], 1, axis=1)
        sums = chosen @ pooled
        counts = np.full(1 + self.permutations, few)
        counts[0] = picked
        # The pooled mean is 0, so the other side's sum is the negative of this one's.
        statistics = (sums**2).sum(axis=1) * (1 / counts + 1 / (total - counts)) ** 2
        reached = int((statistics[1:] >= statistics[0] * (1 - _ROUNDING) - 1e-12).sum())
        return float(statistics[0]), reached


def _canonical(rows: F32) -> npt.NDArray[Any]:
    """Return an order of the rows that depends on their contents only."""
    keys = [row.tobytes() for row in rows]
    order: npt.NDArray[Any] = np.array(sorted(range(len(keys)), key=keys.__getitem__))
    return order


def _effect(old_mean: F32, new_mean: F32, n_old: int, n_new: int) -> float:
    old, new = old_mean.astype(np.float64), new_mean.astype(np.float64)
    # Feature vectors have norm 1, so the mean over pairs i != j is (n |mean|^2 - 1) / (n - 1).
    within_old = (n_old * float(old @ old) - 1) / (n_old - 1)
    within_new = (n_new * float(new @ new) - 1) / (n_new - 1)
    squared = within_old + within_new - 2 * float(old @ new)
    return math.sqrt(max(0.0, squared) / max(1 - within_old, _LEAST_VARIANCE))


def _abstain(old: F32, new: F32, reason: str) -> Drift:
    nothing = float("nan")
    return Drift(nothing, nothing, nothing, len(old), len(new), np.full(len(new), np.nan, np.float32), reason)
