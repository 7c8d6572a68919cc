"""The witness names what is new and says how much it is, and nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.features import median_distance
from inferwatch.detectors.drift.witness import find_witness, pick, representatives

DIM = 32
CENTRES = np.random.default_rng(5).standard_normal((13, DIM))
OLD = tuple(range(12))
NEW = 12


def rows(rng: np.random.Generator, n: int, topics: tuple[int, ...] = OLD) -> F32:
    found = CENTRES[rng.choice(topics, n)] + 0.8 * rng.standard_normal((n, DIM))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def mixed(rng: np.random.Generator, n: int, new: int) -> F32:
    """A window whose last ``new`` rows are of a topic that the reference has not."""
    return np.concatenate([rows(rng, n - new), rows(rng, new, (NEW,))])


def test_the_witness_is_the_difference_of_two_kernel_means_without_the_row_itself() -> None:
    rng = np.random.default_rng(0)
    old, window = rows(rng, 40), mixed(rng, 30, 10)
    width = median_distance(old)

    def mean(at: F32, others: F32) -> float:
        return float(np.mean(np.exp(-((others - at) ** 2).sum(axis=1) / (2 * width**2))))

    found = find_witness(old, window, relabellings=19)
    for row in range(30):
        expected = mean(window[row], np.delete(window, row, axis=0)) - mean(window[row], old)
        assert found.window[row] == pytest.approx(expected, abs=2e-6)
    expected = mean(old[3], window) - mean(old[3], np.delete(old, 3, axis=0))
    assert found.reference[3] == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.0, 0.05), (0.1, 0.06, 0.15), (0.3, 0.26, 0.34)])
def test_the_share_that_is_new_is_right_on_average_and_in_its_interval(share: float, low: float, high: float) -> None:
    rng = np.random.default_rng(11)
    found = [find_witness(rows(rng, 300), mixed(rng, 200, round(200 * share)), relabellings=39) for _ in range(10)]
    assert low <= np.mean([one.new_share.value for one in found]) <= high
    assert sum(one.new_share.low <= share <= one.new_share.high for one in found) >= 8
    if share == 0:
        assert sum(one.new_share.proven for one in found) <= 2


def test_the_rows_it_calls_new_are() -> None:
    rng = np.random.default_rng(2)
    found = find_witness(rows(rng, 400), mixed(rng, 200, 50))
    assert found.new_share.proven
    assert np.mean([row >= 150 for row in found.new]) > 0.9
    assert found.new_share.value == pytest.approx(len(found.new) / 200, abs=0.01)
    assert not found.gone_share.proven


def test_topics_that_are_gone_are_told_from_those_made_rarer_by_a_new_one() -> None:
    rng = np.random.default_rng(3)
    old = np.concatenate([rows(rng, 300, OLD[:9]), rows(rng, 100, OLD[9:])])
    found = find_witness(old, np.concatenate([rows(rng, 300, OLD[:9]), rows(rng, 100, (NEW,))]))
    assert found.gone_share.low <= 0.25 <= found.gone_share.high
    assert found.gone_share.proven
    assert np.mean([row >= 300 for row in found.gone]) > 0.85
    assert found.new_share.low <= 0.25 <= found.new_share.high


def test_a_window_of_something_else_altogether_is_all_new() -> None:
    rng = np.random.default_rng(4)
    found = find_witness(rows(rng, 200, OLD[:6]), rows(rng, 80, OLD[6:]))
    assert found.new_share.value > 0.9


def test_the_same_rows_give_the_same_witness() -> None:
    rng = np.random.default_rng(6)
    old, window = rows(rng, 100), mixed(rng, 60, 20)
    first, second = find_witness(old, window), find_witness(old.copy(), window.copy())
    assert (first.new, first.gone, first.new_share, first.gone_share) == (
        second.new,
        second.gone,
        second.new_share,
        second.gone_share,
    )


def test_a_repeated_text_is_no_news_by_being_repeated() -> None:
    """Templates make duplicates on both sides; a row is not its own witness, and its copies are on both sides."""
    rng = np.random.default_rng(7)
    texts = rows(rng, 40)
    found = [
        find_witness(texts[rng.integers(0, 40, 300)], texts[rng.integers(0, 40, 100)], relabellings=39)
        for _ in range(8)
    ]
    assert sum(one.new_share.proven for one in found) <= 1


def test_one_row_on_a_side_has_no_witness() -> None:
    rng = np.random.default_rng(8)
    with pytest.raises(ValueError, match="at least two rows on either side, got 5 and 1"):
        find_witness(rows(rng, 5), rows(rng, 1))


def test_representatives_are_of_the_mass_and_no_two_are_alike() -> None:
    rng = np.random.default_rng(9)
    groups = [rows(rng, 1, (topic,)) + 0.02 * rng.standard_normal((30, DIM)).astype(np.float32) for topic in (0, 1, 2)]
    outlier = -rows(rng, 1, (5,))
    chosen = representatives(np.concatenate([*groups, outlier]), 3)
    assert sorted(place // 30 for place in chosen) == [0, 1, 2]
    assert len(representatives(np.ones((20, DIM), np.float32), 3)) == 1
    assert representatives(np.empty((0, DIM), np.float32), 3) == ()
    assert pick(np.concatenate([outlier, groups[0]]), range(1, 31), 1)[0] >= 1
