"""Did the mix of a column change? Chi-square and population stability index, calibrated for their counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from math import nan

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, chdtri, gammaln

from inferwatch.detectors.drift.scalar import LEAST

F64 = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

DRAWS = 9_999
"""Tables drawn where the approximations do not hold: the least p-value is one in ten thousand."""
_ENOUGH = 5
"""Expected rows of a cell, on either side, from which on it is looked at by itself (W. G. Cochran 1954)."""
_CHANGES = 3


@dataclass(frozen=True, slots=True)
class Psi:
    """Population stability index of two samples: 0 for equal shares; each value's share counts half a row more.

    ``p_value`` is the chance of one at least as large without any change. ``usual`` and ``limit`` are what 95 % and
    99.9 % of comparisons without any change stay below, with these counts: the 0.1 and 0.25 of the rule of thumb mean
    nothing without them.
    """

    value: float
    p_value: float
    usual: float
    limit: float


@dataclass(frozen=True, slots=True)
class MixDrift:
    """One comparison of a window's mix with a reference's; NaN and a reason in ``abstained`` where there is none.

    ``p_value`` is of the chi-square test. ``effect`` is the total variation distance, in [0, 1]: the share of rows that
    would have to be of another value for the mixes to be equal. ``changes`` are the values whose share changed most,
    with (share in the reference, share in the window).
    """

    p_value: float
    effect: float
    psi: Psi
    changes: tuple[tuple[str, float, float], ...]
    n_reference: int
    n_window: int
    abstained: str = ""


def compare_mix(reference: Mapping[str, int], window: Mapping[str, int], *, min_rows: int = 30) -> MixDrift:
    """Compare how many rows have each value in the window and in the reference.

    Values of which fewer than 5 rows are expected on a side are taken together. Then both statistics are judged against
    their null distribution given the totals: exactly for two values, by the chi-square approximation where 5 rows are
    expected in every cell, and else by 9,999 tables drawn at random with a seed that the counts determine.

    Raises:
        ValueError: a negative count.

    References:
        Campbell 2007, Chi-squared and Fisher-Irwin tests of two-by-two tables with small sample recommendations,
        Statistics in Medicine 26 (the factor (N - 1) / N).
        Yurdakul and Naranjo 2020, Statistical properties of the population stability index, Journal of Risk Model
        Validation 14: without any change the index is about (1/m + 1/n) times a chi-square of K - 1 degrees of freedom.

    >>> found = compare_mix({"a": 500, "b": 500}, {"a": 300, "b": 200})
    >>> found.p_value < 0.001, round(found.effect, 3)
    (True, 0.1)
    """
    if any(count < 0 for counts in (reference, window) for count in counts.values()):
        raise ValueError(f"counts must not be negative, got {dict(reference)} and {dict(window)}")
    m, n = sum(reference.values()), sum(window.values())
    for side, rows in (("window", n), ("reference", m)):
        if rows < min_rows:
            return _abstain(m, n, f"too few rows in the {side}")
    table = _table(reference, window)
    if table.shape[1] == 1 and len({*reference, *window}) > 1:
        return _abstain(m, n, "no value is frequent enough to compare")
    p_value, psi = _judge(table)
    shares = {value: (reference.get(value, 0) / m, window.get(value, 0) / n) for value in sorted({*reference, *window})}
    largest = sorted(shares.items(), key=lambda item: (-abs(item[1][1] - item[1][0]), item[0]))[:_CHANGES]
    return MixDrift(
        p_value=p_value,
        effect=sum(abs(now - then) for then, now in shares.values()) / 2,
        psi=psi,
        changes=tuple((value, then, now) for value, (then, now) in largest),
        n_reference=m,
        n_window=n,
    )


def _abstain(m: int, n: int, reason: str) -> MixDrift:
    return MixDrift(nan, nan, Psi(nan, nan, nan, nan), (), m, n, reason)


def _table(reference: Mapping[str, int], window: Mapping[str, int]) -> Counts:
    """Return the (2, K) counts, reference first, with rare values as one."""
    values = sorted(value for value in {*reference, *window} if reference.get(value, 0) + window.get(value, 0))
    counts = np.array([[side.get(value, 0) for value in values] for side in (reference, window)], np.int64)
    smaller = counts.sum(axis=1).min() / counts.sum()
    rare = counts.sum(axis=0) * smaller < _ENOUGH
    if not rare.any():
        return counts
    merged = counts[:, rare].sum(axis=1, keepdims=True)
    return np.concatenate([counts[:, ~rare], merged], axis=1)


def _judge(table: Counts) -> tuple[float, Psi]:
    """Return the p-value of chi-square, and the index with its own null distribution."""
    m, n = (int(side) for side in table.sum(axis=1))
    pooled = table.sum(axis=0)
    observed, index = (float(found[0]) for found in _statistics(table[1:], pooled, n))
    degrees = len(pooled) - 1
    if degrees == 0:
        return 1.0, Psi(index, 1.0, 0.0, 0.0)
    if degrees > 1 and pooled.min() * min(m, n) / (m + n) >= _ENOUGH:
        scale = 1 / m + 1 / n
        usual, limit = (scale * float(chdtri(degrees, 1 - level)) for level in (0.95, 0.999))
        chances = [max(LEAST, float(chdtrc(degrees, value))) for value in (observed, index / scale)]
        return chances[0], Psi(index, chances[1], usual, limit)
    windows, weights, own = _null(pooled, n)
    nulls = _statistics(windows, pooled, n)
    chances = []
    for value, null in zip((observed, index), nulls, strict=True):
        reached = weights[null >= value * (1 - 1e-9) - 1e-12].sum() / weights.sum()
        chances.append(min(1.0, max(LEAST, own + (1 - own) * float(reached))))
    return chances[0], Psi(index, chances[1], *_weighted_quantiles(nulls[1], weights, (0.95, 0.999)))


def _statistics(windows: Counts, pooled: Counts, n: int) -> tuple[F64, F64]:
    """Return chi-square (times (N - 1) / N) and the stability index of B tables with the same totals.

    Args:
        windows: (B, K) counts of the window.
        pooled: (K,) counts of both sides.
        n: rows of the window.
    """
    total = int(pooled.sum())
    m = total - n
    expected = pooled * (n / total)
    chi_square = ((windows - expected) ** 2 / (expected * (m / total))).sum(axis=1) * ((total - 1) / total)
    half = len(pooled) / 2
    now = (windows + 0.5) / (n + half)
    then = (pooled - windows + 0.5) / (m + half)
    return chi_square, ((now - then) * np.log(now / then)).sum(axis=1)


def _null(pooled: Counts, n: int) -> tuple[Counts, F64, float]:
    """Return windows of ``n`` rows drawn from the pooled rows, their weights, and the chance of the observed one.

    (B, K) counts and (B,) weights: for two values all there are, which hold the observed one; else random ones, beside
    which the observed one counts as one more (Phipson and Smyth 2010, arXiv:1603.05766).
    """
    if len(pooled) == 2:
        first = np.arange(max(0, n - int(pooled[1])), min(n, int(pooled[0])) + 1)
        windows = np.stack([first, n - first], axis=1)
        logs = -(gammaln(windows + 1) + gammaln(pooled - windows + 1)).sum(axis=1)  # hypergeometric, unscaled
        return windows, np.exp(logs - logs.max()), 0.0
    digest = blake2b(np.append(pooled, n).astype(">i8").tobytes(), digest_size=8).digest()
    rng = np.random.default_rng(int.from_bytes(digest, "big"))
    return rng.multivariate_hypergeometric(pooled, n, size=DRAWS), np.ones(DRAWS), 1 / (1 + DRAWS)


def _weighted_quantiles(values: F64, weights: F64, levels: tuple[float, float]) -> tuple[float, float]:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    low, high = values[order][np.minimum(np.searchsorted(reached, levels), len(order) - 1)].tolist()
    return low, high
