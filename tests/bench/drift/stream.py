"""Long streams of windows, without the rows: sums of features, and the scan over them, all windows at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from tests.bench.drift.logs import Rows

F64 = npt.NDArray[np.float64]
_CHUNK = 4096


class Tails(Protocol):
    """From (looks, D) sums of features and (looks,) counts of rows to (looks,) p-values."""

    def __call__(self, totals: F64, counts: Rows) -> F64: ...


def totals(features: npt.NDArray[np.float32], rows: Rows, counts: Rows) -> F64:
    """Return (windows, D) sums of features.

    Args:
        features: (N, D) of everything that may be drawn.
        rows: which of them came, window after window.
        counts: (windows,) how many came in each.
    """
    found = np.empty((len(counts), features.shape[1]))
    ends = np.concatenate([[0], np.cumsum(counts)])
    for start in range(0, len(counts), _CHUNK):
        stop = min(start + _CHUNK, len(counts))
        own = rows[ends[start] : ends[stop]]
        shape = (stop - start, len(features))
        picked = csr_matrix((np.ones(len(own), np.float32), own, ends[start : stop + 1] - ends[start]), shape)
        found[start:stop] = picked @ features
    return found


def recurrences(sums: F64, counts: Rows, size: timedelta, spans: Sequence[tuple[int, int]], tails: Tails) -> F64:
    """Return (windows,) recurrence in days at the end of each window, as ``scan`` finds it for one after the other.

    Drifts that are over are not taken out: that only lessens evidence.

    Args:
        sums: (windows, D) sums of features.
        counts: (windows,) rows of each.
        size: of a window; windows tumble, the first begins at the epoch.
        spans: windows that a scale pools, and from one of its looks to the next.
        tails: p-values of pooled rows.
    """
    ahead = np.concatenate([np.zeros((1, sums.shape[1])), sums])
    np.cumsum(ahead, axis=0, out=ahead)
    rows = np.concatenate([[0], np.cumsum(counts)])
    best = np.zeros(len(counts))
    for span, stride in spans:
        looks = np.arange(stride, len(counts) + 1, stride)
        values = np.full(len(looks) + 1, np.inf)
        for start in range(0, len(looks), _CHUNK):
            at = looks[start : start + _CHUNK]
            before = np.maximum(at - span, 0)
            values[1 + start : 1 + start + len(at)] = tails(ahead[at] - ahead[before], rows[at] - rows[before])
        days = size * stride / timedelta(days=1) / (len(spans) * values)
        best = np.fmax(best, days[np.arange(1, len(counts) + 1) // stride])
    return best


def pages(found: F64, days: float) -> int:
    """Return how often an alert begins to fire that wants a recurrence of at least ``days``."""
    firing = found >= days
    return int(firing[0]) + int((firing[1:] & ~firing[:-1]).sum())
