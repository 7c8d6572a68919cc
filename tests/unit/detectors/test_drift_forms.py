from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.combination import DEPENDENCE, cauchy
from inferwatch.detectors.drift.far_tail import FarTail
from inferwatch.detectors.drift.reference import Reference
from inferwatch.detectors.drift.result import F64
from inferwatch.detectors.drift.spectral import SpectralTest
from inferwatch.detectors.drift.spectrum import POOLED_CONTENT
from inferwatch.detectors.drift.variety import agrees, loadings_of, packaged

TOPICS = 24
P = st.floats(1e-12, 0.98)


@given(P, st.integers(1, 5))
def test_equal_p_values_give_themselves_but_for_what_dependence_costs(p: float, tests: int) -> None:
    factor = DEPENDENCE if tests > 1 else 1
    assert cauchy(np.full((tests, 1), p))[0] == pytest.approx(min(factor * p, 1), rel=1e-6)


@given(st.lists(P, min_size=2, max_size=5))
def test_a_combination_costs_at_most_a_factor_of_how_many_are_combined(p: list[float]) -> None:
    found = cauchy(np.array(p)[:, None])[0]
    assert min(p) * (1 - 1e-6) <= found <= min(DEPENDENCE * max(*p, 1 / 2), 1) * (1 + 1e-6)
    one = np.array([1e-6, *(0.5 for _ in p)])[:, None]
    assert cauchy(one)[0] == pytest.approx(1e-6 * len(one) * DEPENDENCE, rel=1e-3)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_a_combination_of_dependent_tests_keeps_its_level(correlation: float) -> None:
    rng, draws = np.random.default_rng(3), 200_000
    common, own = rng.standard_normal((1, draws)), rng.standard_normal((3, draws))
    p = cauchy(norm.sf(math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own))
    for level in (0.05, 0.01, 0.001):
        error = math.sqrt(level / draws)
        assert level / DEPENDENCE - 3 * error <= (p <= level).mean() <= level + 3 * error


def test_a_certain_test_does_not_outweigh_another() -> None:
    assert cauchy(np.array([[1.0], [1e-6]]))[0] < 1e-5


def texts(rng: np.random.Generator, n: int, topics: slice, manner: float = 0.0) -> F32:
    """Unit vectors of an application that has some of the directions along which texts vary, by the packaged loadings.

    ``manner`` shifts all of them along one direction that has nothing to do with content.
    """
    loadings = packaged()
    own = np.zeros(loadings.shape[1])
    own[topics] = 1
    dim = len(loadings)
    style = np.random.default_rng(8).standard_normal(dim) / math.sqrt(dim)
    noise = 0.3 * rng.standard_normal((n, dim)) / math.sqrt(dim)
    rows = 0.5 + manner * style + (rng.standard_normal((n, len(own))) * own) @ loadings.T + noise
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def reference(vectors: F32) -> Reference:
    return Reference("baseline", 1, "app", "output", "enc-1", tuple(map(str, range(len(vectors)))), vectors)


USUAL = slice(0, TOPICS)


@pytest.mark.parametrize("n", [50, 300])
def test_the_level_is_kept_where_the_variety_of_texts_counts(n: int) -> None:
    rng = np.random.default_rng(n)
    p = []
    for _ in range(40):
        test, base = SpectralTest(variety=True), reference(texts(rng, 250, USUAL))
        assert test.prepare(base).content
        assert test.prepare(base).manner
        p += [test.compare(base, texts(rng, n, USUAL)).p_value for _ in range(3)]
    # Three windows share a reference, so that 120 are worth less than 120.
    for level in (0.05, 0.2, 0.5):
        assert abs(np.mean(np.array(p) <= level) - level) < 5 * math.sqrt(level * (1 - level) / 120)


def evidence(test: SpectralTest, base: F32, windows: list[F32]) -> float:
    return float(np.mean([-math.log10(test.compare(reference(base), one).p_value) for one in windows]))


def test_other_content_is_found_sooner_by_who_knows_how_texts_vary() -> None:
    rng = np.random.default_rng(5)
    base = texts(rng, 300, USUAL)
    other = texts(rng, 1, slice(30, 60))[0] - 0.5 / np.linalg.norm(np.full(packaged().shape[0], 0.5))

    def window() -> F32:
        found = texts(rng, 300, USUAL)
        found[:24] += np.float32(0.7) * other.astype(np.float32)
        return found

    windows = [window() for _ in range(8)]
    without, with_it = (evidence(SpectralTest(variety=one), base, windows) for one in (False, True))
    assert with_it > without + 0.5


def test_another_manner_is_found_among_content_that_the_reference_did_not_show() -> None:
    rng = np.random.default_rng(6)
    base = texts(rng, 200, slice(0, 100))
    windows = [texts(rng, 100, slice(0, 100), manner=0.12) for _ in range(8)]
    without, with_it = (evidence(SpectralTest(variety=one), base, windows) for one in (False, True))
    assert with_it > without + 0.5


def test_the_variety_counts_for_vectors_of_its_encoder_only() -> None:
    rng = np.random.default_rng(7)
    own, loadings = texts(rng, 400, USUAL), packaged()

    def covariance(rows: F32) -> F64:
        found: F64 = np.cov(rows.T)
        return found

    rotated = own @ np.linalg.qr(rng.standard_normal((len(loadings), len(loadings))))[0].astype(np.float32)
    assert agrees(covariance(own), loadings)
    assert not agrees(covariance(rotated), loadings)
    assert not agrees(covariance(own[:, :32]), loadings)
    assert not agrees(covariance(np.repeat(own[:1], 9, axis=0)), loadings)
    assert SpectralTest().prepare(reference(own)).content
    assert not SpectralTest(variety=False).prepare(reference(own)).content
    assert not SpectralTest().prepare(reference(rotated)).content


@pytest.mark.parametrize(("rows", "forms"), [(300, 1), (POOLED_CONTENT, 2)])
def test_pooled_windows_are_looked_at_for_content_by_large_references_and_never_for_manner(
    rows: int, forms: int
) -> None:
    rng = np.random.default_rng(10)
    base, window = reference(texts(rng, rows, USUAL)), texts(rng, 100, slice(0, 40))
    test = SpectralTest()
    spectrum = test.prepare(base)
    whitened = spectrum.whitened(test.compare(base, window).total, len(window))
    each = [
        form.p_values(whitened[None, :] / len(window), np.array([len(window)]), rows)
        for form in (spectrum.distance, spectrum.content, spectrum.manner)
        if form is not None
    ]
    assert len(each) == 3
    assert test.pooled(base, whitened, len(window)) == cauchy(np.array(each[:forms]))[0]
    assert test.compare(base, window).p_value == cauchy(np.array(each))[0]


def test_the_far_tail_of_a_form_is_that_of_new_rows_not_of_the_reference_alone() -> None:
    rng = np.random.default_rng(12)
    everyone = texts(rng, 4000, slice(0, 100))
    spectrum = SpectralTest().prepare(reference(everyone[:500]))
    whitened = spectrum.whitening(spectrum.features(everyone[500:]))
    for form in (spectrum.distance, spectrum.content, spectrum.manner):
        assert form is not None
        seen = whitened if form.factor is None else whitened @ form.factor
        true = FarTail.of(np.maximum(np.linalg.eigvalsh(np.cov(seen.T)), 0))
        for deviations in (4, 8):
            assert math.log(form.far.factor(deviations)) == pytest.approx(
                math.log(true.factor(deviations)), rel=0.4, abs=0.1
            )


def test_loadings_are_those_of_the_covariance() -> None:
    rows = np.random.default_rng(9).standard_normal((500, 6)) * np.arange(1, 7)
    loadings, wanted = loadings_of(rows), np.cov(rows.T)
    np.testing.assert_allclose(loadings @ loadings.T, wanted / np.trace(wanted), atol=1e-12)
