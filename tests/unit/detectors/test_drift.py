from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.features import FourierFeatures, median_distance
from inferwatch.detectors.drift.mmd import RandomFeatureMMD
from inferwatch.detectors.drift.reference import Reference, require_revision
from inferwatch.schemas.errors import Permanent

DIM = 32


def embeddings(rng: np.random.Generator, n: int, topics: int = 8, dim: int = DIM) -> F32:
    """Unit vectors around ``topics`` fixed directions, as sentence vectors of one application are."""
    centres = np.random.default_rng(7).standard_normal((12, dim))
    rows = centres[rng.integers(0, topics, n)] + 0.8 * rng.standard_normal((n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def reference(vectors: F32) -> Reference:
    return Reference("baseline", 1, "app", "output", "enc-1", tuple(map(str, range(len(vectors)))), vectors)


def test_random_features_approach_the_gaussian_kernel() -> None:
    rows = embeddings(np.random.default_rng(0), 60)
    width = median_distance(rows)
    phi = FourierFeatures(DIM, 8192, width, 1)(rows)
    distances = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(phi @ phi.T, np.exp(-distances / (2 * width**2)), atol=0.06)
    np.testing.assert_allclose(np.linalg.norm(phi, axis=1), 1, atol=1e-5)


def test_median_distance_survives_identical_rows() -> None:
    assert median_distance(np.ones((40, 3), np.float32)) == 1.0
    assert median_distance(np.array([[0, 0], [3, 4]], np.float32)) == pytest.approx(5)


@pytest.mark.parametrize("n", [50, 200])
def test_false_alarms_are_as_many_as_stated(n: int) -> None:
    """Calibration: of 400 windows without any change a share alpha has p <= alpha, within four standard errors."""
    rng = np.random.default_rng(n)
    test = RandomFeatureMMD(permutations=199, features=128)
    p = np.array([test.compare(reference(embeddings(rng, 300)), embeddings(rng, n)).p_value for _ in range(400)])
    for alpha in (0.05, 0.2, 0.5):
        assert abs((p <= alpha).mean() - alpha) < 4 * math.sqrt(alpha * (1 - alpha) / 400)
    assert p.min() >= 1 / 200


def test_a_new_topic_is_found_and_its_rows_are_named() -> None:
    rng = np.random.default_rng(3)
    base = reference(embeddings(rng, 600))
    fresh = np.random.default_rng(99).standard_normal(DIM) + 0.8 * rng.standard_normal((40, DIM))
    fresh /= np.linalg.norm(fresh, axis=1, keepdims=True)
    window = np.concatenate([embeddings(rng, 160), fresh.astype(np.float32)])
    found = RandomFeatureMMD().compare(base, window)
    assert found.p_value == 1 / 1000
    assert found.effect > 0.1
    assert (np.argsort(-found.witness)[:40] >= 160).mean() > 0.9
    calm = RandomFeatureMMD().compare(base, embeddings(rng, 200))
    assert calm.effect < 0.1 < calm.p_value


def test_the_effect_does_not_grow_with_the_number_of_rows() -> None:
    rng = np.random.default_rng(5)
    few, many = (
        RandomFeatureMMD().compare(reference(embeddings(rng, n)), embeddings(rng, n, topics=4)).effect
        for n in (200, 2000)
    )
    assert few == pytest.approx(many, rel=0.2)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base, window = embeddings(rng, 80), embeddings(rng, 40)
    test = RandomFeatureMMD(permutations=99, features=64)
    order = rng.permutation(40)
    one = test.compare(reference(base), window)
    two = test.compare(reference(base[rng.permutation(80)]), window[order])
    assert (one.statistic, one.p_value, one.effect) == (two.statistic, two.p_value, two.effect)
    np.testing.assert_array_equal(one.witness[order], two.witness)


def test_the_same_rows_give_no_drift_and_constant_rows_do_not_divide_by_zero() -> None:
    same = embeddings(np.random.default_rng(1), 60)
    found = RandomFeatureMMD().compare(reference(same), same)
    assert found.effect == 0
    assert found.p_value > 0.9
    constant = np.tile(same[:1], (50, 1))
    assert RandomFeatureMMD().compare(reference(constant), constant).p_value == 1
    moved = RandomFeatureMMD().compare(reference(constant), np.tile(same[1:2], (50, 1)))
    assert moved.p_value == 1 / 1000
    assert math.isfinite(moved.effect)


def test_too_few_rows_abstain_instead_of_giving_zero() -> None:
    rows = embeddings(np.random.default_rng(1), 100)
    for base, window, reason in (
        (rows, rows[:29], "too few rows in the window"),
        (rows, rows[:0], "too few rows in the window"),
        (rows[:10], rows, "too few rows in the reference"),
    ):
        found = RandomFeatureMMD(min_rows=30).compare(reference(base), window)
        assert found.abstained == reason
        assert math.isnan(found.p_value)
        assert math.isnan(found.effect)
        assert (found.n_reference, found.n_window, len(found.witness)) == (len(base), len(window), len(window))
    assert RandomFeatureMMD(min_rows=30).compare(reference(rows), rows[:30]).abstained == ""


def test_vectors_of_another_encoder_are_refused() -> None:
    rows = embeddings(np.random.default_rng(1), 50)
    with pytest.raises(Permanent, match=r"shape \(50, 16\).*32 columns"):
        RandomFeatureMMD().compare(reference(rows), rows[:, :16])
    with pytest.raises(Permanent, match="NaN or infinity"):
        RandomFeatureMMD().compare(reference(rows), np.full((50, DIM), np.nan, np.float32))
    with pytest.raises(Permanent, match=r"app\.output holds vectors of encoder enc-1.*is enc-2"):
        require_revision(reference(rows), "enc-2")
    require_revision(reference(rows), "enc-1")


def test_a_reference_needs_an_id_for_each_row() -> None:
    with pytest.raises(ValueError, match="one row for each id"):
        Reference("baseline", 1, "app", "output", "enc-1", ("a",), np.ones((2, 3), np.float32))


@pytest.mark.parametrize("wrong", [{"permutations": 0}, {"min_rows": 1}])
def test_impossible_settings_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be at least"):
        RandomFeatureMMD(**wrong)
