"""Random Fourier features: vectors whose inner products are a Gaussian kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32

_MEDIAN_ROWS = 500


def median_distance(rows: F32) -> float:
    """Return the median Euclidean distance between distinct ``rows`` (at most 500 looked at); 1.0 if none."""
    picked = rows[np.linspace(0, len(rows) - 1, min(len(rows), _MEDIAN_ROWS)).astype(int)].astype(np.float64)
    norms = (picked**2).sum(axis=1)
    squared = norms[:, None] + norms[None, :] - 2 * picked @ picked.T
    above = squared[np.triu_indices(len(picked), 1)]
    above = above[above > 1e-9]
    return float(np.sqrt(np.median(above))) if above.size else 1.0


class FourierFeatures:
    """The map phi with ``phi(x) . phi(y) ~ exp(-|x - y|^2 / (2 bandwidth^2))`` and ``|phi(x)| = 1``.

    Cosine and sine of the same frequencies are kept in pairs, which has less variance than random phases.

    Args:
        dim: columns of the vectors.
        features: columns of the result; even.
        bandwidth: of the kernel, in units of distance.
        seed: of the frequencies.

    References:
        Rahimi and Recht 2007, Random features for large-scale kernel machines.
        Sutherland and Schneider 2015, On the error of random Fourier features, arXiv:1506.02785.
    """

    def __init__(self, dim: int, features: int, bandwidth: float, seed: int) -> None:
        if features < 2 or features % 2:
            raise ValueError(f"features must be even and at least 2, got {features}")
        rng = np.random.default_rng(seed)
        self._frequencies: npt.NDArray[Any] = (rng.standard_normal((dim, features // 2)) / bandwidth).astype(np.float32)

    def __call__(self, rows: F32) -> F32:
        """Return the (n, features) float32 features of (n, dim) ``rows``; each has L2 norm 1."""
        angles = rows @ self._frequencies
        scale = np.float32(1 / np.sqrt(angles.shape[1]))
        return np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * scale


class FeatureMap:
    """The columns whose means are compared: (n, D) float64 of (n, dim) float32 vectors.

    First the random Fourier features of each bandwidth, ``features`` columns each, scaled so that all of them together
    have norm 1. They see any change of the distribution. Then, if ``linear``, the vectors themselves: they see a
    shift of the mean in any direction, however little the vectors vary along it.

    Args:
        rows: (n, dim) of the reference; their median distance is the unit of the bandwidths.
        features: Fourier features of each bandwidth, even.
        bandwidths: in median distances.
        linear: whether the vectors themselves are among the columns.
        seed: of the frequencies.
    """

    def __init__(self, rows: F32, *, features: int, bandwidths: Sequence[float], linear: bool, seed: int) -> None:
        unit, dim = median_distance(rows), rows.shape[1]
        self._maps = [
            FourierFeatures(dim, features, unit * bandwidth, seed + place) for place, bandwidth in enumerate(bandwidths)
        ]
        self._scale = np.float32(1 / np.sqrt(len(bandwidths)))
        self._linear = linear
        self.plain = slice(features * len(bandwidths), None) if linear else slice(None)
        """The columns that effects are measured by: the vectors themselves where they are there, free of chance."""

    def __call__(self, rows: F32) -> npt.NDArray[np.float64]:
        columns = [one(rows) * self._scale for one in self._maps]
        return np.concatenate([*columns, rows] if self._linear else columns, axis=1).astype(np.float64)
