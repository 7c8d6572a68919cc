from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inferwatch.detectors.drift.far_tail import NEAR, FarTail, weights
from inferwatch.detectors.drift.null import Moments, tail
from inferwatch.detectors.drift.result import F64, LEAST_P

MANY = 1e9
"""Rows of a window whose own cumulants of higher order are nothing."""


def moments_of(of: F64) -> Moments:
    """Those of rows that are normal, with these variances."""
    square, cycle = float((of**2).sum()), float((of**3).sum())
    return Moments(size=float(of.sum()), spread=2 * square, square=square, mixed=0.0, cube=0.0, cycle=cycle)


def exact(of: F64, statistic: float) -> float:
    """The tail of a sum of squared normals in which each of these distinct weights comes twice: of exponentials."""
    shares = [np.prod([one / (one - other) for other in of if other != one]) for one in of]
    return float(sum(share * math.exp(-statistic / (2 * one)) for share, one in zip(shares, of, strict=True)))


def chance(of: F64, statistic: float, far: FarTail | None) -> float:
    """The p-value of a statistic of MANY rows against as many, in units of the variance of its means."""
    return tail(statistic * 2 / MANY, moments_of(of), MANY, MANY, far)


@pytest.mark.parametrize(("heaviest", "missed"), [(1.5, 1.1), (4.0, 3.0), (12.0, 1.5)])
def test_the_far_tail_is_that_of_the_sum_where_three_cumulants_miss_it(heaviest: float, missed: float) -> None:
    distinct = np.append(np.linspace(0.5, 1.2, 12), heaviest)
    both = np.repeat(distinct, 2)
    far = FarTail.of(both)
    for wanted in (1e-3, 1e-5, 1e-8):
        at = np.geomspace(both.sum(), 100 * both.sum(), 4000)
        statistic = float(at[np.argmax([exact(distinct, one) <= wanted for one in at])])
        true = exact(distinct, statistic)
        assert chance(both, statistic, far) == pytest.approx(true, rel=0.05)
    assert chance(both, statistic, None) < true / missed


def test_directions_that_count_alike_have_nothing_to_mend() -> None:
    for directions in (1, 20, 300):
        far = FarTail.of(np.full(directions, 0.7))
        assert far.factor(10.0) == pytest.approx(1.0, abs=0.1)
    assert FarTail.of(np.zeros(5)).factor(40.0) == 1.0


VARIANCES = arrays(np.float64, st.integers(2, 40), elements=st.floats(1e-3, 1e3))


@settings(deadline=None)
@given(VARIANCES, st.floats(0, 30), st.floats(1e-3, 3))
def test_a_p_value_falls_with_the_statistic_and_is_as_before_where_it_is_not_small(
    of: F64, deviations: float, more: float
) -> None:
    far, spread = FarTail.of(of), math.sqrt(2 * float((of**2).sum()))
    statistic = float(of.sum()) + deviations * spread
    found, before = chance(of, statistic, far), chance(of, statistic, None)
    assert found >= before * (1 - 1e-9)
    if before > NEAR * (1 + 1e-6):
        assert found == before
    assert LEAST_P <= chance(of, statistic + more * spread, far) <= found * (1 + 1e-9)


def test_weights_seen_in_few_rows_are_drawn_together_to_what_they_are() -> None:
    rng = np.random.default_rng(2)
    for true in (np.ones(60), np.append(np.ones(59), 30.0)):
        rows = rng.standard_normal((120, 60)) * np.sqrt(true)
        seen = np.cov(rows.T)
        found = np.sort(weights(seen, float((true**2).sum())))
        assert found.max() == pytest.approx(true.max(), rel=0.35)
        assert np.linalg.eigvalsh(seen).max() > found.max()
        assert found.min() >= 0
