"""Drift of numbers: as many false alarms as stated, whatever the numbers are like."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from inferwatch.detectors.drift.scalar import LEAST, TOGETHER, compare_many, compare_numbers

F64 = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], F64]

KINDS: dict[str, Draw] = {
    "continuous": lambda rng, n: rng.normal(size=n),
    "heavy-tailed": lambda rng, n: rng.standard_cauchy(n),
    "discrete": lambda rng, n: rng.poisson(4, n).astype(float),
    "mostly zero": lambda rng, n: np.where(rng.random(n) < 0.9, 0.0, rng.lognormal(size=n)),
    "binary": lambda rng, n: (rng.random(n) < 0.2).astype(float),
}
NUMBERS = st.lists(st.integers(-5, 5).map(float), min_size=2, max_size=40).map(np.array)


@pytest.mark.parametrize(("n", "windows"), [(50, 150), (500, 40), (5000, 6)])
@pytest.mark.parametrize("kind", KINDS)
def test_false_alarms_are_as_many_as_stated_or_fewer(kind: str, n: int, windows: int) -> None:
    """Within four standard errors; fewer only where ties leave no p-value close below the level."""
    rng = np.random.default_rng(n)
    draw = KINDS[kind]
    p = np.array([compare_numbers(draw(rng, 300), draw(rng, n)).p_value for _ in range(windows)])
    for level in (0.05, 0.2, 0.5):
        error = math.sqrt(level * (1 - level) / windows)
        assert (p <= level).mean() < level + 4 * error
        if kind in ("continuous", "heavy-tailed"):
            assert (p <= level).mean() > level - 4 * error
        elif kind == "discrete":
            assert (p <= level).mean() > 0.5 * level - 4 * error


def test_the_p_value_is_the_share_of_permutations_that_reach_the_distance() -> None:
    rng = np.random.default_rng(1)
    old, new = rng.poisson(2, 90).astype(float), rng.poisson(2.4, 60).astype(float)
    found = compare_numbers(old, new)
    pooled = np.concatenate([old, new])
    reached = 0
    for _ in range(4000):
        mixed = rng.permutation(pooled)
        levels = np.arange(12)
        below = (mixed[:60, None] <= levels).mean(axis=0) - (mixed[60:, None] <= levels).mean(axis=0)
        reached += np.abs(below).max() >= found.effect - 1e-12
    assert found.p_value == pytest.approx(reached / 4000, abs=4 * math.sqrt(0.25 / 4000))


@settings(max_examples=40)
@given(st.integers(30, 120), st.integers(30, 120), st.floats(0, 2), st.integers(0, 2**32 - 1))
def test_without_ties_it_is_the_exact_kolmogorov_smirnov_test(m: int, n: int, shift: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    old, new = rng.normal(size=m), rng.normal(size=n) + shift
    theirs = ks_2samp(new, old, method="exact")
    ours = compare_numbers(old, new)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    assert ours.effect == pytest.approx(theirs.statistic, abs=1e-12)


@given(NUMBERS, NUMBERS, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing_and_p_is_a_probability(old: F64, new: F64, random: object) -> None:
    one = compare_numbers(old, new, min_rows=2)
    shuffled = [np.array(sorted(side, key=lambda _: random.random())) for side in (old, new)]  # type: ignore[attr-defined]
    assert compare_numbers(*shuffled, min_rows=2) == one or math.isnan(one.shift)
    assert 0 < one.p_value <= 1
    assert 0 <= one.effect <= 1
    swapped = compare_numbers(new, old, min_rows=2)
    assert (swapped.p_value, swapped.effect) == (pytest.approx(one.p_value), one.effect)


@given(NUMBERS)
def test_the_same_numbers_give_p_1(numbers: F64) -> None:
    found = compare_numbers(numbers, numbers, min_rows=2)
    assert (found.p_value, found.effect, found.shift) == (1.0, 0.0, 0.0)


@given(NUMBERS, NUMBERS, st.sampled_from([math.exp, math.atan, lambda x: 3 * x + 1]))
def test_only_the_order_of_the_numbers_matters(old: F64, new: F64, rising: Callable[[float], float]) -> None:
    one = compare_numbers(old, new, min_rows=2)
    other = compare_numbers(np.array([*map(rising, old)]), np.array([*map(rising, new)]), min_rows=2)
    assert (other.p_value, other.effect) == (one.p_value, one.effect)


def test_it_says_in_which_direction_and_by_how_much() -> None:
    rng = np.random.default_rng(2)
    old = rng.normal(100, 10, 1000)
    slower = compare_numbers(old, rng.normal(120, 10, 300))
    assert slower.higher
    assert slower.shift == pytest.approx(2, abs=0.25)
    assert slower.median == (pytest.approx(100, abs=1.5), pytest.approx(120, abs=2.5))
    assert slower.p_value < 1e-50
    faster = compare_numbers(old, rng.normal(95, 10, 300))
    assert not faster.higher
    assert faster.shift == pytest.approx(-0.5, abs=0.25)


def test_numbers_that_are_all_the_same_are_compared_too() -> None:
    zero, one = np.zeros(40), np.ones(50)
    assert compare_numbers(zero, zero).p_value == 1
    moved = compare_numbers(zero, one)
    assert moved.p_value < 1e-20
    assert moved.effect == 1
    assert math.isnan(moved.shift)
    assert moved.higher
    assert compare_numbers(np.zeros(800), np.ones(800)).p_value == LEAST


def test_too_few_rows_abstain_instead_of_giving_zero() -> None:
    rows = np.arange(100.0)
    for old, new, reason in ((rows, rows[:29], "window"), (rows, rows[:0], "window"), (rows[:10], rows, "reference")):
        found = compare_numbers(old, new)
        assert found.abstained == f"too few rows in the {reason}"
        assert math.isnan(found.p_value)
        assert (found.n_reference, found.n_window) == (len(old), len(new))
    assert compare_numbers(rows, rows[:30]).abstained == ""


@pytest.mark.parametrize("wrong", [np.full(40, np.nan), np.full(40, np.inf), np.ones((40, 2))])
def test_what_is_not_a_row_of_finite_numbers_is_refused(wrong: F64) -> None:
    with pytest.raises(ValueError, match="window must be a row of finite numbers"):
        compare_numbers(np.arange(40.0), wrong)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=6))
def test_many_together_get_what_each_gets_alone(pairs: list[tuple[F64, F64]]) -> None:
    together = compare_many(pairs, min_rows=3)
    assert list(map(repr, together)) == [repr(compare_numbers(*pair, min_rows=3)) for pair in pairs]


def test_more_than_go_together_are_compared_too() -> None:
    rng = np.random.default_rng(3)
    pairs = [(rng.normal(size=40 + at), rng.normal(size=50)) for at in range(TOGETHER + 6)][::-1]
    assert compare_many(pairs) == [compare_numbers(*pair) for pair in pairs]
