"""Drift of a mix of values: as many false alarms as stated, whatever the shares."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.drift.categorical import MixDrift, compare_mix

ZIPF = 1 / np.arange(1, 40)
MIXES = {
    "even": np.ones(2),
    "three models": np.array([0.6, 0.3, 0.1]),
    "one is rare": np.array([0.7, 0.2, 0.05, 0.04, 0.01]),
    "many versions": ZIPF,
}
COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 60), min_size=1)


def drawn(rng: np.random.Generator, mix: np.ndarray, n: int) -> dict[str, int]:
    return {f"v{place}": int(count) for place, count in enumerate(rng.multinomial(n, mix / mix.sum()))}


@pytest.mark.parametrize(("n", "windows"), [(50, 120), (500, 100), (5000, 30)])
@pytest.mark.parametrize("mix", MIXES)
def test_false_alarms_are_as_many_as_stated(mix: str, n: int, windows: int) -> None:
    """Of both statistics, within four standard errors; and the index stays below its limits as often as they say."""
    rng = np.random.default_rng(n)
    found = [compare_mix(drawn(rng, MIXES[mix], 1000), drawn(rng, MIXES[mix], n)) for _ in range(windows)]
    for level in (0.05, 0.2):
        error = 4 * math.sqrt(level * (1 - level) / windows)
        for rate in (
            np.mean([one.p_value <= level for one in found]),
            np.mean([one.psi.p_value <= level for one in found]),
        ):
            assert level - error - (0.03 if mix == "even" else 0) < rate < level + error
    assert np.mean([one.psi.value > one.psi.usual for one in found]) < 0.05 + 4 * math.sqrt(0.05 * 0.95 / windows)
    assert np.mean([one.psi.value > one.psi.limit for one in found]) <= 0.02


def test_the_index_of_a_small_window_passes_the_rule_of_thumb_by_chance() -> None:
    """0.1 is read as "some change"; with 50 rows a window without any exceeds it, and the limit knows."""
    rng = np.random.default_rng(4)
    found = [
        compare_mix(drawn(rng, MIXES["one is rare"], 1000), drawn(rng, MIXES["one is rare"], 50)) for _ in range(100)
    ]
    assert sum(one.psi.value > 0.1 for one in found) > 5
    assert sum(one.psi.value > one.psi.limit for one in found) <= 1


def test_a_new_value_and_a_vanished_one_are_found_and_named() -> None:
    found = compare_mix({"m-1": 900, "m-2": 100}, {"m-1": 300, "m-3": 200})
    assert found.p_value < 1e-50
    assert found.effect == pytest.approx(0.4)
    assert found.changes == (("m-3", 0.0, 0.4), ("m-1", 0.9, 0.6), ("m-2", 0.1, 0.0))
    assert found.psi.value > 1 > found.psi.limit
    few = compare_mix({"m-1": 1000}, {"m-1": 36, "m-3": 14})
    assert few.p_value < 1e-15  # exact, although fewer than one of them was expected


@given(COUNTS, COUNTS, st.permutations("abcdef"))
def test_names_and_their_order_change_nothing_and_p_is_a_probability(
    old: dict[str, int], new: dict[str, int], names: list[str]
) -> None:
    one = compare_mix(old, new)
    if one.abstained:
        assert math.isnan(one.p_value)
        assert math.isnan(one.psi.value)
        return
    assert 0 < one.p_value <= 1
    assert 0 < one.psi.p_value <= 1
    assert 0 <= one.effect <= 1 + 1e-12
    assert 0 <= one.psi.usual <= one.psi.limit
    assert compare_mix(dict(reversed(old.items())), dict(reversed(new.items()))) == one
    called = dict(zip("abcdef", names, strict=True))
    other = compare_mix({called[k]: v for k, v in old.items()}, {called[k]: v for k, v in new.items()})
    # Seeds and sums go by the order of names: close, not equal.
    assert other.p_value == pytest.approx(one.p_value, abs=0.03)
    assert other.effect == pytest.approx(one.effect)


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(6, 60), min_size=5))
def test_the_same_counts_give_p_1(counts: dict[str, int]) -> None:
    found = compare_mix(counts, counts)
    assert (found.p_value, found.effect, found.psi.value, found.psi.p_value) == (1.0, 0.0, 0.0, 1.0)


def test_one_value_on_both_sides_is_no_change() -> None:
    found = compare_mix({"a": 500}, {"a": 40})
    assert (found.p_value, found.effect, found.psi.value) == (1.0, 0.0, 0.0)


def reason(found: MixDrift) -> str:
    assert math.isnan(found.p_value)
    assert found.changes == ()
    return found.abstained


def test_what_cannot_be_compared_abstains_instead_of_giving_zero() -> None:
    assert reason(compare_mix({"a": 500}, {"a": 29})) == "too few rows in the window"
    assert reason(compare_mix({"a": 500}, {})) == "too few rows in the window"
    assert reason(compare_mix({}, {"a": 500})) == "too few rows in the reference"
    users = [Counter(f"user-{n}" for n in range(first, first + 100)) for first in (0, 50)]
    assert reason(compare_mix(*users)) == "no value is frequent enough to compare"


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        compare_mix({"a": -1}, {"a": 30})
