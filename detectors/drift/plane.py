"""Vectors in two dimensions that mean the same in every picture of one reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from inferwatch.detectors.base import F32


@dataclass(frozen=True, eq=False)
class Plane:
    """``reference`` (m, 2) and ``window`` (n, 2), in units of the vectors; ``variance`` is what each axis keeps of the
    reference's, as shares."""

    reference: F32
    window: F32
    variance: tuple[float, float]


def project(reference: F32, window: F32) -> Plane:
    """Project (m, dim) ``reference`` and (n, dim) ``window`` on the first two principal components of the reference.

    The window has no say in the axes, so that two windows can be compared. A component's sign is such that its entry
    of the largest size is positive.

    References:
        Pearson 1901, On lines and planes of closest fit to systems of points in space, Philosophical Magazine 2.
    """
    centre = reference.mean(axis=0, dtype=np.float64)
    centred = reference - centre
    dim = reference.shape[1]
    # Two eigenvectors of the covariance cost a hundredth of all singular vectors.
    sizes, components = eigh(centred.T @ centred, subset_by_index=(max(0, dim - 2), dim - 1))
    axes, kept = np.zeros((2, dim)), np.zeros(2)
    axes[: len(sizes)], kept[: len(sizes)] = components.T[::-1], np.maximum(sizes[::-1], 0)
    largest = np.abs(axes).argmax(axis=1)
    axes *= np.where(axes[np.arange(2), largest] < 0, -1, 1)[:, None]
    total = float((centred**2).sum())
    shares = kept / total if total else np.zeros(2)
    return Plane(
        reference=(centred @ axes.T).astype(np.float32),
        window=((window - centre) @ axes.T).astype(np.float32),
        variance=(float(shares[0]), float(shares[1])),
    )
