from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.classifier import ClassifierTest
from inferwatch.detectors.drift.features import FourierFeatures, median_distance
from inferwatch.detectors.drift.homogeneity import dispersion
from inferwatch.detectors.drift.marginals import MarginalTest
from inferwatch.detectors.drift.mmd import RandomFeatureMMD
from inferwatch.detectors.drift.reference import Reference, require_revision
from inferwatch.detectors.drift.result import LEAST_P, TwoSampleTest
from inferwatch.detectors.drift.spectral import SpectralTest
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


def permutation_p(test: SpectralTest, base: F32, window: F32, permutations: int, seed: int) -> float:
    """The same kind of statistic, judged by relabelling rows: slow, and exact at every size."""
    rows = np.concatenate([base, window])
    spectrum = test.prepare(reference(rows))
    features, rng = spectrum.whitening(spectrum.features(rows)), np.random.default_rng(seed)
    first = np.zeros((1 + permutations, len(rows)))
    first[0, len(base) :] = 1
    for labels in first[1:]:
        labels[rng.permutation(len(rows))[: len(window)]] = 1
    shifts = first @ features / len(window) - (1 - first) @ features / len(base)
    statistics = (shifts**2).sum(axis=1)
    return float((1 + (statistics[1:] >= statistics[0]).sum()) / (1 + permutations))


def test_windows_whose_mix_of_topics_varies_are_overdispersed() -> None:
    """40 windows of 60 rows, each of three topics of eight; their means vary more than those of independent rows."""
    rng = np.random.default_rng(31)
    test = SpectralTest(features=64)
    spectrum = test.prepare(reference(embeddings(rng, 800)))
    centres = np.random.default_rng(7).standard_normal((12, DIM))

    def window(n: int) -> F32:
        chosen = rng.choice(8, 3, replace=False)
        rows = centres[rng.choice(chosen, n)] + 0.8 * rng.standard_normal((n, DIM))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    varied = [window(60) for _ in range(40)]
    blocks = np.repeat(np.arange(40), 60)
    factor = dispersion(np.concatenate(varied), blocks.tolist(), 60)
    totals = [spectrum.whitened(spectrum.features(rows).sum(axis=0), 60) for rows in varied]
    assert factor > 2
    assert dispersion(embeddings(rng, 3000), np.repeat(np.arange(50), 60).tolist(), 60) < 1.3
    plain, allowed = (
        np.array([spectrum.p_value(total, 60, overdispersion=one) for total in totals]) for one in (1.0, factor)
    )
    assert (plain < 0.01).mean() > 0.5
    assert (allowed < 0.01).mean() < 0.1


TESTS = (SpectralTest, RandomFeatureMMD)


@pytest.mark.parametrize("kind", TESTS)
@pytest.mark.parametrize("n", [50, 400])
def test_false_alarms_are_as_many_as_stated(kind: type[SpectralTest], n: int) -> None:
    """Calibration: of 200 windows without any change a share alpha has p <= alpha, within four standard errors."""
    rng = np.random.default_rng(n)
    test = kind(features=64)
    p = np.array([test.compare(reference(embeddings(rng, 300)), embeddings(rng, n)).p_value for _ in range(200)])
    for alpha in (0.05, 0.2, 0.5):
        assert abs((p <= alpha).mean() - alpha) < 4 * math.sqrt(alpha * (1 - alpha) / 200)


@pytest.mark.parametrize("kind", TESTS)
def test_the_fast_null_agrees_with_permutation_also_among_duplicates(kind: type[SpectralTest]) -> None:
    """Half of the rows are one of a few texts, and the window has some of a rare one: p-values from 0.003 to 1."""
    rng = np.random.default_rng(11)
    few = embeddings(np.random.default_rng(12), 6)

    def rows(n: int, rare: int) -> F32:
        found = embeddings(rng, n)
        found[: n // 2] = few[rng.integers(0, 5, n // 2)]
        found[n // 2 : n // 2 + rare] = few[5]
        return found

    test = kind(features=64)
    pairs = []
    for rare in (1, 2, 4, 6):
        base, window = rows(400, 3), rows(120, rare)
        fast = test.compare(reference(base), window).p_value
        pairs.append((math.log10(fast), math.log10(permutation_p(test, base, window, 999, rare))))
    for fast, exact in pairs:
        assert fast == pytest.approx(exact, abs=0.45)


def test_a_new_topic_is_found_and_its_rows_are_named() -> None:
    rng = np.random.default_rng(3)
    base = reference(embeddings(rng, 600))
    fresh = np.random.default_rng(99).standard_normal(DIM) + 0.8 * rng.standard_normal((40, DIM))
    fresh /= np.linalg.norm(fresh, axis=1, keepdims=True)
    window = np.concatenate([embeddings(rng, 160), fresh.astype(np.float32)])
    found = SpectralTest().compare(base, window)
    assert found.p_value < 1e-6
    assert found.effect > 0.1
    assert (np.argsort(-found.witness)[:40] >= 160).mean() > 0.9
    calm = SpectralTest().compare(base, embeddings(rng, 200))
    assert calm.effect < 0.1 < calm.p_value


@pytest.mark.parametrize("test", [ClassifierTest(), MarginalTest(components=8)])
def test_the_other_tests_keep_their_level_and_see_a_new_topic(test: TwoSampleTest) -> None:
    rng = np.random.default_rng(21)
    p = [test.compare(reference(embeddings(rng, 200)), embeddings(rng, 100)).p_value for _ in range(60)]
    assert (np.array(p) <= 0.1).mean() < 0.1 + 3 * math.sqrt(0.1 * 0.9 / 60)
    base, window = embeddings(rng, 400), embeddings(rng, 200, topics=12)
    found = test.compare(reference(base), window)
    assert found.p_value < 0.005
    assert found.effect > 0.1
    order = rng.permutation(200)
    again = test.compare(reference(base[::-1]), window[order])
    assert (again.p_value, again.statistic) == (found.p_value, found.statistic)
    np.testing.assert_array_equal(again.witness, found.witness[order])
    assert test.compare(reference(base), window[:9]).abstained == "too few rows in the window"


def test_the_effect_does_not_grow_with_the_number_of_rows() -> None:
    rng = np.random.default_rng(5)
    few, many = (
        SpectralTest().compare(reference(embeddings(rng, n)), embeddings(rng, n, topics=4)).effect for n in (200, 2000)
    )
    assert few == pytest.approx(many, rel=0.2)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base, window = embeddings(rng, 80), embeddings(rng, 40)
    test = SpectralTest(features=64)
    order = rng.permutation(40)
    one = test.compare(reference(base), window)
    two = test.compare(reference(base[rng.permutation(80)]), window[order])
    assert (one.statistic, one.p_value, one.effect) == (two.statistic, two.p_value, two.effect)
    np.testing.assert_array_equal(one.witness[order], two.witness)


def test_the_same_rows_give_no_drift_and_constant_rows_do_not_divide_by_zero() -> None:
    same = embeddings(np.random.default_rng(1), 60)
    found = SpectralTest().compare(reference(same), same)
    assert found.effect == 0
    assert found.p_value > 0.9
    constant = np.tile(same[:1], (50, 1))
    assert SpectralTest().compare(reference(constant), constant).p_value == 1
    moved = SpectralTest().compare(reference(constant), np.tile(same[1:2], (50, 1)))
    assert moved.p_value == LEAST_P
    assert math.isfinite(moved.effect)


def test_too_few_rows_abstain_instead_of_giving_zero() -> None:
    rows = embeddings(np.random.default_rng(1), 100)
    for base, window, reason in (
        (rows, rows[:29], "too few rows in the window"),
        (rows, rows[:0], "too few rows in the window"),
        (rows[:10], rows, "too few rows in the reference"),
    ):
        found = SpectralTest(min_rows=30).compare(reference(base), window)
        assert found.abstained == reason
        assert math.isnan(found.p_value)
        assert math.isnan(found.effect)
        assert (found.n_reference, found.n_window, len(found.witness)) == (len(base), len(window), len(window))
    assert SpectralTest(min_rows=30).compare(reference(rows), rows[:30]).abstained == ""


def test_vectors_of_another_encoder_are_refused() -> None:
    rows = embeddings(np.random.default_rng(1), 50)
    with pytest.raises(Permanent, match=r"shape \(50, 16\).*32 columns"):
        SpectralTest().compare(reference(rows), rows[:, :16])
    with pytest.raises(Permanent, match="NaN or infinity"):
        SpectralTest().compare(reference(rows), np.full((50, DIM), np.nan, np.float32))
    with pytest.raises(Permanent, match=r"app\.output holds vectors of encoder enc-1.*is enc-2"):
        require_revision(reference(rows), "enc-2")
    require_revision(reference(rows), "enc-1")


def test_a_reference_needs_an_id_for_each_row() -> None:
    with pytest.raises(ValueError, match="one row for each id"):
        Reference("baseline", 1, "app", "output", "enc-1", ("a",), np.ones((2, 3), np.float32))


@pytest.mark.parametrize("wrong", [{"ridge": 0}, {"min_rows": 9}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        SpectralTest(**wrong)  # type: ignore[arg-type]
