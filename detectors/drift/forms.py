"""What else the shift of one window is looked at by, beside the whitened distance: two forms that know how texts vary.

The whitened distance trusts no direction more than another. Two kinds of change are likelier than that says, where it
is known how texts of all kinds vary (``variety``, covariance V), as against those of the reference (S):

- **Other content.** New questions are texts like any others, so a shift towards them is like a draw from V. The most
  powerful quadratic form for shifts ``d ~ N(0, V)`` in noise S is ``d' S^-1 V S^-1 d``: it adds up few directions
  instead of all, and least of all those of the reference's own topics.
- **The same content, in another manner.** A few hundred rows do not show along which quiet directions content varies:
  a window has other questions, and so other topics, than they. V does, so ``d' (S + w V + r I)^-1 d`` leaves out what
  the reference happens to lack. A model's style remains.

Each is blind to what the other sees. Both are quadratic, so that their null follows as the first one's does (``null``).
For another encoder's vectors V would cost power, never false alarms: the moments are measured. Pooled windows, which
are asked for chances of 1e-5, do without manner: of few rows, it errs several times as often as that.

References:
    Goeman, van de Geer and van Houwelingen 2006, Testing against a high dimensional alternative, JRSS B 68.
    Schrab, Kim, Albert, Laurent, Guedj and Gretton 2023, MMD aggregated two-sample test, JMLR 24 (many kernels, one
    level).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from inferwatch.detectors.drift.result import F64

WORTH = 3200
"""Rows of the reference that V weighs as much as, where content is left out."""
RIDGE = 0.3
"""r of the second form, in traces over the rows of the reference: V leaves little to guard against."""
_LEAST_VARIANCE = 1e-9


def content(root: F64, loadings: F64, plain: slice) -> F64:
    """Return the (D, dim) factor F by which ``|w F|^2`` is ``d' A^-1 V A^-1 d`` of coordinates ``w = root^-1 d``.

    Args:
        root: (D, D) lower Cholesky factor of A, the reference's covariance of all columns with its ridge.
        loadings: (dim, dim) of V.
        plain: the columns that are the vectors; V says nothing of the others.
    """
    among = np.zeros((len(root), loadings.shape[1]))
    among[plain] = loadings
    found: F64 = solve_triangular(root, among, lower=True, check_finite=False)
    return found


def manner(root: F64, loadings: F64, plain: slice, covariance: F64, rows: int) -> F64:
    """Return the (D, dim) factor F by which ``|w F|^2`` is ``d' (S + w V + r I)^-1 d`` of the plain columns.

    V is scaled to S's trace and weighs as much as ``WORTH`` rows beside ``rows`` of the reference; ``covariance`` is
    S of all columns.
    """
    own = covariance[plain, plain]
    trace = float(np.trace(own))
    known = own + trace * WORTH / rows * (loadings @ loadings.T)
    known[np.diag_indices_from(known)] += max(RIDGE * trace / rows, _LEAST_VARIANCE)
    found: F64 = solve_triangular(np.linalg.cholesky(known), root[plain], lower=True, check_finite=False).T
    return found
