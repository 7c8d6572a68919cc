"""Scores as probabilities: the map, the detector that applies it, and the fit."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.base import Batch, Detector, Field, Item, Scores
from inferwatch.detectors.calibrated import Calibrated, Platt, calibrate
from inferwatch.detectors.evaluation.calibration import calibration
from inferwatch.detectors.evaluation.recalibration import enough, fit, left_out
from inferwatch.schemas.errors import Misconfigured

MAPS = st.builds(Platt, st.floats(0.05, 5), st.floats(-5, 5))
SCORES = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30)


class Lengths(Detector):
    """Two scores of the output's length in hundredths; one abstains on nothing."""

    name, version = "lengths", "3"
    reads = frozenset({Field.OUTPUT})
    emits = {"long": 0.5, "short": 0.25}  # noqa: RUF012

    def texts(self, item: Item) -> Iterable[str]:
        return ()

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        share = np.array([min(len(item.output), 100) / 100 for item in batch.items], np.float32)
        none = tuple("" if item.output else "no output" for item in batch.items)
        values = np.where([bool(reason) for reason in none], np.nan, share).astype(np.float32)
        empty = ((),) * len(none)
        return Scores("long", values, none, empty), Scores("short", (1 - values).astype(np.float32), none, empty)


def batch(*outputs: str) -> Batch:
    return Batch([Item(output=output) for output in outputs], {}, np.empty((0, 1), np.float32))


@given(MAPS, SCORES)
def test_a_map_stays_in_range_and_keeps_the_order(one: Platt, scores: list[float]) -> None:
    values = np.sort(np.array(scores, np.float32))
    found = one(values)
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= 0).all()


@given(MAPS, MAPS, SCORES)
def test_two_maps_are_one(first: Platt, second: Platt, scores: list[float]) -> None:
    # Where the first map says 0 or 1 to float32, what it was told is gone.
    values = np.clip(np.array(scores, np.float32), 0.05, 0.95)
    between = first(values)
    known = (between > 1e-3) & (between < 1 - 1e-3)
    np.testing.assert_allclose(second(between)[known], first.then(second)(values)[known], atol=2e-3)


def test_no_slope_and_no_shift_change_nothing() -> None:
    values = np.array([0, 0.2, 0.93, 1, np.nan], np.float32)
    np.testing.assert_allclose(Platt(1, 0)(values), values, atol=1e-5)


def test_a_calibrated_detector_flags_what_it_flagged_and_leaves_the_other_score() -> None:
    plain = Lengths()
    (own,) = calibrate([plain], {"long": Platt(0.5, -2)})
    outputs = ["x" * n for n in range(0, 120, 3)]
    before, other = plain.score(batch(*outputs))
    after, same = own.score(batch(*outputs))
    assert not np.allclose(before.values[1:], after.values[1:])
    assert after.abstained == before.abstained
    assert np.isnan(after.values[0])
    assert ((before.values >= plain.emits["long"]) == (after.values >= own.emits["long"])).all()
    np.testing.assert_array_equal(other.values, same.values)
    assert own.emits["short"] == plain.emits["short"]
    assert own.version != plain.version, "rows say under which calibration they were scored"
    assert (own.name, own.reads) == (plain.name, plain.reads)


def test_a_score_that_nobody_emits_is_named() -> None:
    with pytest.raises(Misconfigured, match=r"detectors\.calibration names 'wide'; .*'long', 'short'"):
        calibrate([Lengths()], {"wide": Platt(1, 0)})
    with pytest.raises(ValueError, match=r"not .'wide'"):
        Calibrated(Lengths(), {"wide": Platt(1, 0)})


def test_detectors_without_a_calibration_are_left_as_they_are() -> None:
    plain = Lengths()
    assert calibrate([plain], {}) == [plain]


def drawn(rng: np.random.Generator, n: int, truth: Platt) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and scores whose probabilities are ``truth`` of the scores."""
    values = (1 / (1 + np.exp(-rng.normal(0.5, 2, n)))).astype(np.float32)
    return rng.random(n) < truth(values), values


def test_a_fit_finds_the_slope_and_shift_that_labels_were_drawn_with() -> None:
    truth = Platt(0.6, -2.0)
    found = fit(*drawn(np.random.default_rng(1), 40_000, truth))
    assert found.slope == pytest.approx(truth.slope, abs=0.03)
    assert found.shift == pytest.approx(truth.shift, abs=0.05)


def test_a_hundred_labels_take_most_of_the_error_away() -> None:
    truth, rng = Platt(0.6, -2.0), np.random.default_rng(2)
    new = drawn(rng, 20_000, truth)
    before = calibration(*new, np.ones(20_000)).error
    after = []
    for _ in range(20):
        own = fit(*drawn(rng, 100, truth))
        after.append(calibration(new[0], own(new[1]), np.ones(20_000)).error)
    assert before > 0.3
    assert np.mean(after) < 0.05


def test_a_fit_does_not_depend_on_the_order_of_the_rows_and_counts_a_weight_as_so_many_rows() -> None:
    rng = np.random.default_rng(3)
    labels, values = drawn(rng, 300, Platt(0.8, -1.0))
    order = rng.permutation(300)
    assert fit(labels[order], values[order]) == fit(labels, values)
    weights = rng.integers(1, 4, 300).astype(np.float64)
    repeated = np.repeat(np.arange(300), weights.astype(int))
    weighted, long = fit(labels, values, weights), fit(labels[repeated], values[repeated])
    assert weighted.slope == pytest.approx(long.slope, abs=0.02), "but for the doubt, which weighs more on fewer rows"
    assert weighted.shift == pytest.approx(long.shift, abs=0.02)
    assert fit(labels, values, 7 * weights) == weighted


def test_a_score_that_tells_nothing_becomes_the_share_of_bad_rows() -> None:
    rng = np.random.default_rng(4)
    labels, values = rng.random(5_000) < 0.1, rng.random(5_000).astype(np.float32)
    found = fit(labels, values)(values)
    assert found.min() > 0.05
    assert found.max() < 0.2


def test_a_score_that_tells_all_stays_finite() -> None:
    labels = np.arange(40) < 20
    found = fit(labels, labels.astype(np.float32))
    assert np.isfinite([found.slope, found.shift]).all()
    assert 0.8 < found.of(1.0) <= 1


def test_the_error_on_rows_left_out_is_no_better_than_on_new_rows() -> None:
    """A fit looks better on its own rows; on those left out of it, it must not."""
    truth, rng = Platt(0.6, -2.0), np.random.default_rng(5)
    gaps = []
    for _ in range(30):
        labels, values = drawn(rng, 120, truth)
        ones = np.ones(120)
        new = drawn(rng, 120, truth)
        on_new = calibration(new[0], fit(labels, values)(new[1]), ones).error
        gaps.append(calibration(labels, left_out(labels, values, ones), ones).error - on_new)
    assert abs(np.mean(gaps)) < 0.02


def test_ten_labels_of_each_kind_are_enough() -> None:
    assert enough(np.arange(20) < 10)
    assert not enough(np.arange(40) < 9)
    assert not enough(np.arange(40) < 31)
