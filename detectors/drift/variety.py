"""How the vectors of texts of all kinds vary: known of the bundled encoder before a reference is seen."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np

from inferwatch.detectors.drift.result import F64

PACKAGED = Path(__file__).with_name("variety.npz")
_LEAST_AGREEMENT = 1.5


@cache
def packaged() -> F64:
    """Return the (dim, dim) loadings L of the packaged covariance ``L L'``, of trace 1 (``variety_fit``)."""
    with np.load(PACKAGED) as file:
        return _scaled(file["loadings"].astype(np.float64))


def loadings_of(vectors: F64) -> F64:
    """Return the (dim, dim) loadings of (n, dim) ``vectors``: each direction of their covariance by its deviation."""
    values, directions = np.linalg.eigh(np.cov(vectors.T))
    return _scaled((directions * np.sqrt(np.maximum(values, 0)))[:, ::-1])


def agrees(covariance: F64, loadings: F64) -> bool:
    """Return whether (dim, dim) ``covariance`` is one of vectors that ``loadings`` speak of.

    Directions of another encoder have nothing to do with these: the mean product of the two covariances is then about
    what it is for directions drawn at random, of which 1 is made here. Of the same encoder it is 2 and more.
    """
    total = float(np.trace(covariance))
    if len(covariance) != len(loadings) or total <= 0:
        return False
    return len(loadings) * float(np.einsum("ij,ij->", covariance @ loadings, loadings)) / total > _LEAST_AGREEMENT


def _scaled(loadings: F64) -> F64:
    """Return ``loadings`` of a covariance of trace 1."""
    found: F64 = loadings / math.sqrt(float(np.square(loadings).sum()))
    return found
