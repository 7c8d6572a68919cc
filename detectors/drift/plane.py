"""Vectors in two dimensions that mean the same in every picture of one reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    _, sizes, components = np.linalg.svd(reference - centre, full_matrices=False)
    axes = np.zeros((2, reference.shape[1]))
    axes[: min(2, len(components))] = components[:2]
    largest = np.abs(axes).argmax(axis=1)
    axes *= np.where(axes[np.arange(2), largest] < 0, -1, 1)[:, None]
    total = float((sizes**2).sum())
    kept = [float(size**2) / total if total else 0.0 for size in (*sizes[:2], 0.0, 0.0)[:2]]
    return Plane(
        reference=((reference - centre) @ axes.T).astype(np.float32),
        window=((window - centre) @ axes.T).astype(np.float32),
        variance=(kept[0], kept[1]),
    )
