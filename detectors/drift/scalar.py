"""Did the distribution of a number change? Two-sample Kolmogorov-Smirnov with an exact p-value, ties or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

LEAST = float(np.finfo(np.float64).tiny)
"""A p-value that would underflow to 0 is this instead: chance never excludes anything altogether."""
TOGETHER = 64
"""Pairs that are gone through together."""
_DECILES = np.arange(0.1, 0.95, 0.1)
_NORMAL_IQR = 1.3489795003921634


@dataclass(frozen=True, slots=True)
class NumberDrift:
    """One comparison of a window's numbers with a reference's; NaN and a reason in ``abstained`` where there is none.

    ``p_value`` is the chance of a distance at least as large without any change.
    ``effect`` is the Kolmogorov-Smirnov distance, in [0, 1]: for the value that separates the two best, how much larger
    a share of one than of the other lies beyond it. Without any change it is about ``0.9 / sqrt(n_window)``.
    ``shift`` is the mean difference of the deciles, window less reference, in standard deviations of the reference
    (robust: its interquartile range as that of a normal distribution); NaN where the reference is constant and differs.
    ``median`` and ``p95`` are (reference, window).
    """

    p_value: float
    effect: float
    shift: float
    median: tuple[float, float]
    p95: tuple[float, float]
    n_reference: int
    n_window: int
    abstained: str = ""

    @property
    def higher(self) -> bool:
        """Whether the window's numbers are on the whole higher than the reference's."""
        return self.shift > 0 or (not self.shift <= 0 and self.median[1] > self.median[0])


def compare_numbers(reference: F64, window: F64, *, min_rows: int = 30) -> NumberDrift:
    """Compare (n,) ``window`` with (m,) ``reference``, finite numbers in any order.

    The test is conditional on the pooled numbers, so it holds its level whatever their distribution: continuous,
    discrete, heavy-tailed. With few distinct numbers not every level can be reached, and false alarms are fewer than
    stated, never more.

    Raises:
        ValueError: numbers that are not finite, or not one-dimensional.

    >>> compare_numbers(np.arange(200.0), np.arange(200.0) + 60).p_value < 1e-6
    True
    """
    return compare_many([(reference, window)], min_rows=min_rows)[0]


def compare_many(pairs: Sequence[tuple[F64, F64]], *, min_rows: int = 30) -> list[NumberDrift]:
    """Return what ``compare_numbers`` does of each (reference, window), for a small part of its time each.

    Raises:
        ValueError: numbers that are not finite, or not one-dimensional.
    """
    ordered = [(_sorted("reference", old), _sorted("window", new)) for old, new in pairs]
    enough = [at for at, (old, new) in enumerate(ordered) if min(len(old), len(new)) >= min_rows]
    chances = dict(zip(enough, exact_p_values([ordered[at] for at in enough]), strict=True))
    return [_described(*pair, chances.get(at), min_rows) for at, pair in enumerate(ordered)]


def _described(old: F64, new: F64, p_value: float | None, min_rows: int) -> NumberDrift:
    if p_value is None:
        side = "window" if len(new) < min_rows else "reference"
        return NumberDrift(nan, nan, nan, (nan, nan), (nan, nan), len(old), len(new), f"too few rows in the {side}")
    return NumberDrift(
        p_value=p_value,
        effect=_distance(old, new) / (len(old) * len(new)),
        shift=_shift(old, new),
        median=(_quantile(old, 0.5), _quantile(new, 0.5)),
        p95=(_quantile(old, 0.95), _quantile(new, 0.95)),
        n_reference=len(old),
        n_window=len(new),
    )


def exact_p_values(pairs: Sequence[tuple[F64, F64]]) -> list[float]:
    """Return of each pair the chance that a random division of its pooled numbers is as far apart, or farther.

    Args:
        pairs: (m,) and (n,) sorted numbers, none of them empty.

    A division is a lattice path from (0, 0) to (n, m), one step for each pooled number in order; the distance is
    looked at where a run of equal numbers ends, and nowhere within it. Going through the pooled numbers once,
    ``beyond[i]`` is the chance that a path has been too far out by now, given that i of the numbers so far are the
    smaller side's. All terms are positive, so that small p-values are as exact as large ones. Takes O((n + m) width)
    steps, where width is the part of [0, n] that is not too far out. Pairs go through it together: a step is so short
    that its overhead is nearly all of it: 20 ms for one pair of 500 and 5,000, 44 ms for ten, 133 ms for sixty.

    References:
        Schröer and Trenkler 1995, Exact and randomization distributions of Kolmogorov-Smirnov tests for two or three
        samples, Computational Statistics & Data Analysis 20 (the condition at the ends of runs).
        Viehmann 2021, Numerically more stable computation of the p-values for the two-sample Kolmogorov-Smirnov test,
        arXiv:2102.08037 (the recursion in conditional probabilities).
    """
    # Those of one length together, and not too many, so that what is held of all steps stays small.
    order = sorted(range(len(pairs)), key=lambda at: len(pairs[at][0]) + len(pairs[at][1]))
    found = [1.0] * len(pairs)
    for first in range(0, len(order), TOGETHER):
        chosen = order[first : first + TOGETHER]
        for at, p_value in zip(chosen, _together([_Walk.of(*pairs[at]) for at in chosen]), strict=True):
            found[at] = p_value
    return found


@dataclass(frozen=True)
class _Walk:
    """A pair as lattice paths: after each of the pooled numbers, which cells ``left`` to ``right`` are not too far."""

    few: int
    left: I64
    right: I64

    @classmethod
    def of(cls, old: F64, new: F64) -> _Walk:
        few, total = min(len(old), len(new)), len(old) + len(new)
        pooled = np.sort(np.concatenate([old, new]))
        ends = np.append(pooled[1:] != pooled[:-1], True)
        distance = _distance(old, new)
        step = np.arange(1, total + 1)
        # Too far out: |i many - (step - i) few| = |i total - step few| >= distance. Cell i + 1 is that of i.
        lowest = np.where(ends, np.maximum((step * few - distance) // total + 2, 1), 1)
        highest = np.where(ends, -((-step * few - distance) // total), few + 1)
        # Within a run nothing is closed, and one more cell is reached with each step.
        reach = np.minimum(np.minimum.accumulate(highest - step), 1) + step
        return cls(few, np.maximum.accumulate(lowest), np.minimum(reach, few + 1))


def _together(walks: Sequence[_Walk]) -> list[float]:
    """Return the p-value of each walk, shortest walks first."""
    steps = [len(walk.left) for walk in walks]
    most, last = max(walk.few for walk in walks), steps[-1]
    # A cell more at both ends: what lies beside the open cells of a step is too far out for the next one.
    width = most + 3
    firsts, lasts = np.full(last + 1, most + 1), np.ones(last + 1, np.int64)
    beside = np.zeros((last, 2, len(walks)), np.int64)  # of a walk that is over: cell 0, which is always too far out
    for row, walk in enumerate(walks):
        beside[: steps[row], :, row] = row * width + np.stack([walk.left - 1, walk.right + 1], axis=1)
        firsts[1 : steps[row] + 1] = np.minimum(firsts[1 : steps[row] + 1], walk.left)
        lasts[1 : steps[row] + 1] = np.maximum(lasts[1 : steps[row] + 1], walk.right)
    firsts[0] = 1
    # A step moves what was open before it, and one cell more on the right.
    ends = np.minimum(lasts + 2, most + 2)
    spans = zip(firsts[:last].tolist(), ends[:last].tolist(), beside.reshape(last, -1), strict=True)
    beyond = np.ones((len(walks), width))
    beyond[:, 1] = 0.0
    flat = beyond.reshape(-1)
    places = np.arange(width) - 1.0
    found = [1.0] * len(walks)
    done = 0
    for step, (first, end, outside) in enumerate(spans, start=1):
        here = beyond[done:, first:end]
        gained = beyond[done:, first - 1 : end - 1] - here
        gained *= places[first:end] / step
        here += gained
        flat[outside] = 1.0
        while done < len(walks) and steps[done] == step:
            found[done] = float(min(1.0, max(LEAST, beyond[done, walks[done].few + 1])))
            done += 1
    return found


def _sorted(side: str, numbers: F64) -> F64:
    found = np.sort(np.asarray(numbers, np.float64))
    if found.ndim != 1 or not np.isfinite(found).all():
        raise ValueError(f"{side} must be a row of finite numbers, got shape {found.shape} with NaN or infinity")
    return found


def _distance(old: F64, new: F64) -> int:
    """Return the Kolmogorov-Smirnov distance times both counts, without rounding."""
    at = np.unique(np.concatenate([old, new]))
    below_old = np.searchsorted(old, at, side="right").astype(np.int64)
    below_new = np.searchsorted(new, at, side="right").astype(np.int64)
    return int(np.abs(below_old * len(new) - below_new * len(old)).max())


def _shift(old: F64, new: F64) -> float:
    difference = float(np.mean(_quantiles(new, _DECILES) - _quantiles(old, _DECILES)))
    if difference == 0:
        return 0.0
    low, high = _quantiles(old, np.array([0.25, 0.75]))
    scale = float(high - low) / _NORMAL_IQR or float(old.std())
    return difference / scale if scale > 0 else nan


def _quantiles(ordered: F64, shares: npt.NDArray[Any]) -> F64:
    """Return quantiles that are numbers of the sample, so that tokens stay whole."""
    places = np.ceil(shares * len(ordered) - 1e-9).astype(int) - 1
    found: F64 = ordered[np.clip(places, 0, len(ordered) - 1)]
    return found


def _quantile(ordered: F64, share: float) -> float:
    return float(_quantiles(ordered, np.array([share]))[0])
