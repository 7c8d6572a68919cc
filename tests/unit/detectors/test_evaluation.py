"""The measures are those of scikit-learn, weights count rows, and a proposed threshold does what is said of it."""

from __future__ import annotations

from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from inferwatch.detectors.evaluation.bootstrap import bootstrap
from inferwatch.detectors.evaluation.calibration import calibration
from inferwatch.detectors.evaluation.quality import quality
from inferwatch.detectors.evaluation.ranking import Ranked
from inferwatch.detectors.evaluation.thresholds import LEAST_FLAGGED, operating, propose

_auc: Any = roc_auc_score
_average: Any = average_precision_score
_roc: Any = roc_curve

Rows = tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32], npt.NDArray[np.float64]]


def drawn(seed: int, n: int = 200, levels: int = 30) -> Rows:
    """Return labels, scores with ties that tell something of them, and whole weights."""
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < rng.uniform(0.1, 0.9)
    labels[:2] = True, False
    values = np.round(np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1) * levels) / levels
    return labels, values.astype(np.float32), rng.integers(1, 5, n).astype(np.float64)


seeds = st.integers(0, 10_000)


@settings(max_examples=30)
@given(seeds)
def test_the_measures_are_those_of_scikit_learn(seed: int) -> None:
    labels, values, weights = drawn(seed)
    curve = Ranked(labels, values).curve(weights)
    assert curve.area == pytest.approx(_auc(labels, values, sample_weight=weights))
    assert curve.average_precision == pytest.approx(_average(labels, values, sample_weight=weights))
    false, true, _ = _roc(labels, values, sample_weight=weights, drop_intermediate=False)
    for rate in (0.01, 0.05, 0.3):
        assert curve.hits_at(rate) == pytest.approx(true[false <= rate + 1e-12].max())


@settings(max_examples=30)
@given(seeds)
def test_a_row_of_weight_three_is_three_rows(seed: int) -> None:
    labels, values, weights = drawn(seed, 60)
    copies = weights.astype(int)
    many = (np.repeat(labels, copies), np.repeat(values, copies))
    one = quality(labels, values, weights, draws=2)
    same = quality(*many, draws=2)
    for name in ("auc", "average_precision", "tpr_at_1fpr", "tpr_at_5fpr", "ece"):
        assert getattr(one, name).value == pytest.approx(getattr(same, name).value), name


@settings(max_examples=30)
@given(seeds)
def test_the_order_of_the_rows_changes_nothing(seed: int) -> None:
    labels, values, weights = drawn(seed)
    turned = np.random.default_rng(seed).permutation(len(labels))
    a = calibration(labels, values, weights).error
    assert a == pytest.approx(calibration(labels[turned], values[turned], weights[turned]).error)
    b = Ranked(labels[turned], values[turned]).curve(weights[turned])
    assert Ranked(labels, values).curve(weights).area == pytest.approx(b.area)


def test_a_calibrated_score_has_a_small_error_and_one_too_high_by_a_fifth_has_a_fifth() -> None:
    rng = np.random.default_rng(1)
    values = rng.uniform(0, 0.8, 60_000)
    labels = rng.random(len(values)) < values
    weights = np.ones(len(values))
    found = calibration(labels, values, weights)
    assert found.error < 0.01
    np.testing.assert_allclose(found.share, 1 / 15, atol=1e-3)
    assert calibration(labels, values + 0.2, weights).error == pytest.approx(0.2, abs=0.01)


def test_intervals_hold_the_truth_as_often_as_they_say_and_groups_make_them_wider() -> None:
    truth = 0.9213504  # P(X < Y) of two normal distributions of variance 1, two apart
    held, widths = 0, []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        labels = np.arange(200) % 2 == 0
        found = quality(labels, rng.normal(2.0 * labels, 1).astype(np.float32), draws=200).auc
        held += found.low <= truth <= found.high
        widths.append(found.high - found.low)
    assert held >= 51
    labels, values, _ = drawn(3)
    twice = np.concatenate([labels, labels]), np.concatenate([values, values])
    groups = np.tile(np.arange(len(labels)), 2)
    alone, together = quality(*twice, draws=300).auc, quality(*twice, groups=groups, draws=300).auc
    assert together.high - together.low > 1.2 * (alone.high - alone.low)


def test_rows_of_one_kind_have_no_area_and_say_so() -> None:
    found = quality(np.ones(20, bool), np.linspace(0, 1, 20), draws=20)
    assert isnan(found.auc.value)
    assert found.as_json()["auc"] == {"value": None, "low": None, "high": None}
    with pytest.raises(ValueError, match="without NaN"):
        quality(np.ones(2, bool), np.array([0.5, np.nan]))


def test_the_same_seed_draws_the_same_rows() -> None:
    def mean(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.array([weights @ np.arange(len(weights)) / weights.sum()])

    assert bootstrap(mean, np.ones(30), draws=50)[0] == bootstrap(mean, np.ones(30), draws=50)[0]


@settings(max_examples=15)
@given(seeds, st.sampled_from([0.5, 0.7, 0.9]))
def test_a_proposed_threshold_keeps_its_promise_and_none_lower_does(seed: int, wanted: float) -> None:
    labels, values, weights = drawn(seed)
    found = propose(labels, values, weights, wanted)
    lower = [operating(labels, values, weights, float(level)) for level in np.unique(values)]
    good = [one for one in lower if one.precision.value >= wanted - 1e-9 and one.flagged >= LEAST_FLAGGED]
    if found.reached is None:
        assert not good
        assert found.best is not None
        assert found.best.precision.value < wanted
        return
    assert found.reached == operating(labels, values, weights, found.reached.threshold)
    assert found.reached.precision.value >= wanted - 1e-9
    assert found.reached.recall.value == pytest.approx(max(one.recall.value for one in good))
    if found.assured is not None:
        assert found.assured.precision.low >= wanted - 1e-9
        assert found.assured.threshold >= found.reached.threshold


def test_a_threshold_that_fits_noise_is_seen_through() -> None:
    rng = np.random.default_rng(2)
    labels, values = rng.random(60) < 0.5, rng.random(60)
    found = propose(labels, values, np.ones(60), 0.75)
    assert found.reached is not None
    assert found.assured is None
    assert found.unseen < 0.65


def test_too_few_labels_propose_nothing() -> None:
    found = propose(np.array([True, False, True]), np.array([0.9, 0.1, 0.8]), np.ones(3), 0.9)
    assert (found.reached, found.assured, found.best) == (None, None, None)
