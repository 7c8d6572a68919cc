"""Where a window and its reference differ: which rows are new, how many, and which are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.features import median_distance
from inferwatch.schemas.explanation import Share

F64 = npt.NDArray[np.float64]

RELABELLINGS = 99
_CAUTION = 2.0
"""Standard errors that a threshold's ratio must be low by; at 0 the noise would choose the threshold."""
_LEAST_OF_OTHERS = 0.5
_Z = 1.959963984540054
_SHOWN_AT_LEAST = 5
_DECIMALS = 6
"""Of a witness: rows that differ by rounding only keep their order on every machine."""


@dataclass(frozen=True, eq=False)
class Witness:
    """The witness function at every row, and what follows from it.

    ``window`` is (n,) and ``reference`` (m,) float64: the mean kernel value with the window's rows less that with the
    reference's, the row itself left out; the higher, the more typical of the window and the less of the reference.
    ``new`` are rows of the window, ``gone`` rows of the reference, the clearest first. ``new_share`` is how much of the
    window has no counterpart in the reference, ``gone_share`` how much of the reference has none among the window's
    rows that are not new.
    """

    window: F64
    reference: F64
    new: tuple[int, ...]
    new_share: Share
    gone: tuple[int, ...]
    gone_share: Share


def find_witness(reference: F32, window: F32, *, relabellings: int = RELABELLINGS, seed: int = 0) -> Witness:
    """Compare (m, dim) ``reference`` with (n, dim) ``window``, vectors of one encoder; m and n at least 2.

    The kernel is Gaussian, its bandwidth the median distance within the reference, as in the test. Rows are ordered by
    the witness, and the new share pi is bounded through it: for every set S of rows that are like the reference,
    P_window(S) >= (1 - pi) P_reference(S). Of the sets below a threshold that hold half the reference or more, the one
    with the least upper limit of the ratio decides. Choosing the least is too hopeful; by how much is learnt from
    relabelled rows, among which nothing is new, and taken off. The interval is that of the ratio, widened by the spread
    among relabellings times (1 - pi)^2 (the more is new, the less the noise has a say in the threshold; with this
    factor it held its 95 % in simulations of 62 to 500 rows), and begins at 0 unless fewer than one relabelling in 20
    reaches the ratio.

    A window of which nothing is new gives about 0. What is new in kind but like old rows in meaning is missed, so the
    share is better read as "at least".

    Costs (m + n)^2 (dim + relabellings) multiplications: sample before.

    References:
        Gretton et al. 2012, A kernel two-sample test, JMLR 13 (witness function).
        Lloyd and Ghahramani 2015, Statistical model criticism using kernel two sample tests, NeurIPS.
        Blanchard, Lee and Scott 2010, Semi-supervised novelty detection, JMLR 11 (the bound on pi).
        Garg et al. 2021, Mixture proportion estimation and PU learning, arXiv:2111.00980 (which threshold decides).
    """
    m, n = len(reference), len(window)
    if min(m, n) < 2:
        raise ValueError(f"a witness needs at least two rows on either side, got {m} and {n}")
    kernel = _kernel(np.concatenate([reference, window]).astype(np.float64), median_distance(reference))
    inside = np.arange(m + n) >= m
    scores, share = _excess(kernel, inside, relabellings, seed)
    order = np.argsort(-scores[m:], kind="stable")
    new = order[: _taken(share, n)]
    # What is new makes everything else rarer; what is gone is gone from the rest.
    kept = np.ones(m + n, np.bool_)
    kept[m + order[: round(share.value * n)]] = False
    if kept[m:].sum() < 2:
        gone, gone_share = np.empty(0, np.int64), Share(1.0, 1.0, 1.0)
    else:
        missing, gone_share = _excess(kernel[np.ix_(kept, kept)], ~inside[kept], relabellings, seed, wary=True)
        gone = np.argsort(-missing[:m], kind="stable")[: _taken(gone_share, m)]
    return Witness(
        window=scores[m:],
        reference=scores[:m],
        new=tuple(new.tolist()),
        new_share=share,
        gone=tuple(gone.tolist()),
        gone_share=gone_share,
    )


def representatives(vectors: F32, count: int) -> tuple[int, ...]:
    """Return at most ``count`` of the (n, dim) ``vectors`` that stand for the others: none an outlier, no two alike.

    Each is the row that adds most to the sum, over all rows, of the similarity to the nearest one chosen, which is
    submodular, so that the greedy choice is within 1 - 1/e of the best.

    References:
        Nemhauser, Wolsey and Fisher 1978, An analysis of approximations for maximizing submodular set functions.
        Kim, Khanna and Koyejo 2016, Examples are not enough, learn to criticize, NeurIPS.
    """
    if not len(vectors):
        return ()
    similar = np.round(_kernel(vectors.astype(np.float64), median_distance(vectors) / 2) + np.eye(len(vectors)), 6)
    covered = np.zeros(len(vectors))
    chosen: list[int] = []
    while len(chosen) < min(count, len(vectors)):
        gain = np.maximum(similar - covered[:, None], 0).sum(axis=0)
        gain[chosen] = -1
        best = int(np.argmax(gain))
        if chosen and gain[best] < 1e-3:
            break
        chosen.append(best)
        covered = np.maximum(covered, similar[:, best])
    return tuple(chosen)


def _kernel(rows: F64, bandwidth: float) -> F64:
    """Return the (n, n) Gaussian kernel with zeros on its diagonal: no row is its own witness."""
    norms = (rows**2).sum(axis=1)
    squared = np.maximum(norms[:, None] + norms[None, :] - 2 * rows @ rows.T, 0)
    found: F64 = np.exp(-squared / (2 * bandwidth * bandwidth))
    np.fill_diagonal(found, 0)
    return found


def _excess(
    kernel: F64, inside: npt.NDArray[np.bool_], relabellings: int, seed: int, *, wary: bool = False
) -> tuple[F64, Share]:
    """Return the witness of ``inside`` against the rest at every row, and how much of ``inside`` the rest has not.

    ``wary``: the rest has been chosen by its looks, which no relabelling repeats; the interval is not narrowed then,
    and all of the relabellings must stay below.
    """
    total, picked = len(inside), int(inside.sum())
    labels = np.zeros((total, 1 + relabellings))
    labels[:, 0] = inside
    rng = np.random.default_rng(seed)
    for column in range(1, 1 + relabellings):
        labels[rng.permutation(total)[:picked], column] = 1
    sums = kernel @ labels
    rest = kernel.sum(axis=1)[:, None] - sums
    scores = np.round(sums / (picked - labels) - rest / (total - picked - (1 - labels)), _DECIMALS)
    raw, errors = _least_ratio(scores, labels)
    hopeful, spread = raw[1:].mean(), raw[1:].std()
    value = float(np.clip((raw[0] - hopeful) / (1 - min(hopeful, 0.9)), 0, 1))
    half = _Z * hypot(float(errors[0]), float(spread) * (1.0 if wary else (1 - value) ** 2))
    reached = (int((raw[1:] >= raw[0]).sum()) + 1) / (1 + relabellings)
    low = max(0.0, value - half) if reached <= (1 / (1 + relabellings) if wary else 0.05) else 0.0
    return scores[:, 0], Share(value, low, min(1.0, value + half))


def _least_ratio(scores: F64, labels: F64) -> tuple[F64, F64]:
    """Return, of each of the (total, k) columns, one less the deciding ratio, and its standard error."""
    order = np.argsort(scores, axis=0, kind="stable")
    sorted_scores = np.take_along_axis(scores, order, axis=0)
    own = np.cumsum(np.take_along_axis(labels, order, axis=0), axis=0)
    picked = own[-1]
    others = np.arange(1, len(labels) + 1)[:, None] - own
    rest = others[-1]
    ratio = (own / picked) / np.maximum(others / rest, 1e-12)
    # With one row added on each side, so that no ratio is certain by chance.
    p, q = (own + 1) / (picked + 2), (others + 1) / (rest + 2)
    error = p / q * np.sqrt((1 - p) / (p * picked) + (1 - q) / (q * rest))
    limit = ratio + _CAUTION * error
    # A threshold between equal scores is none.
    ends = np.concatenate([sorted_scores[1:] > sorted_scores[:-1], np.ones((1, scores.shape[1]), np.bool_)])
    limit[~ends | (others / rest < _LEAST_OF_OTHERS)] = np.inf
    limit[-1] = 1.0
    error[-1] = 0.0
    best = np.argmin(limit, axis=0)
    columns = np.arange(scores.shape[1])
    found: Any = 1 - ratio[best, columns]
    return found, error[best, columns]


def _taken(share: Share, rows: int) -> int:
    """Return how many rows to look at: as many as the share says, and a few where it says none."""
    return min(rows, max(round(share.value * rows), _SHOWN_AT_LEAST))


def pick(vectors: F32, among: Sequence[int], count: int) -> tuple[int, ...]:
    """Return ``representatives`` of the rows ``among``, as positions in ``vectors``."""
    return tuple(among[place] for place in representatives(vectors[list(among)], count))
