"""What is no good reference is found, and how much windows vary is measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.homogeneity import LEVEL, dispersion, homogeneity
from inferwatch.detectors.drift.reference import Reference
from inferwatch.detectors.drift.spectral import SpectralTest

TEST = SpectralTest(min_rows=20)


def reference(vectors: F32) -> Reference:
    ids = tuple(f"id-{row}" for row in range(len(vectors)))
    return Reference("baseline", 1, "shop", "input", "enc-1", ids, vectors.astype(np.float32))


def rows(seed: int, n: int, dim: int = 8) -> F32:
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def test_a_homogeneous_period_is_rarely_refused() -> None:
    refused = sum(bool(homogeneity(TEST, reference(rows(seed, 150))).findings) for seed in range(50))
    assert refused <= 3  # of 50 at a level of 0.01; more come once in six hundred times


def test_an_hour_of_something_else_is_found_and_named() -> None:
    mixed = rows(0, 400)
    mixed[150:200, 0] += 2
    found = homogeneity(TEST, reference(mixed))
    assert (found.blocks, found.worst) == (8, 3)
    assert found.p_value < LEVEL
    assert "part 4 of 8 differs" in found.findings[0]


def test_a_text_that_is_sent_over_and_over_is_found() -> None:
    vectors = rows(0, 300)
    vectors[::2] = vectors[0]
    found = homogeneity(TEST, reference(vectors))
    assert found.repeated == pytest.approx(0.5)
    assert found.findings == ("one text makes up 50% of the rows",)


def test_too_few_rows_have_no_p_value_and_no_finding() -> None:
    found = homogeneity(TEST, reference(rows(0, 99)))
    assert np.isnan(found.p_value)
    assert found.findings == ()


def test_windows_of_independent_rows_have_dispersion_one() -> None:
    groups = np.repeat(np.arange(15), 40)
    found = np.array([dispersion(rows(seed, 600), groups, 500) for seed in range(200)])
    assert (found > 1).mean() < 0.1  # the level is 0.05


def test_dispersion_is_the_variance_of_window_means_against_that_of_independent_rows() -> None:
    rng = np.random.default_rng(5)
    windows, size, between = 40, 60, 0.1
    own = between * rng.standard_normal((windows, 8))
    vectors = rows(1, windows * size) + np.repeat(own, size, axis=0).astype(np.float32)
    found = dispersion(vectors, np.repeat(np.arange(windows), size), size)
    means = vectors.reshape(windows, size, 8).mean(axis=1)
    assert found == pytest.approx(means.var(axis=0, ddof=1).mean() / (1 / size), rel=0.05)
    assert dispersion(vectors, np.repeat(np.arange(windows), size), 500) > found


@settings(max_examples=30)
@given(st.integers(0, 1000), st.lists(st.integers(0, 4), min_size=1, max_size=60), st.floats(1, 1000))
def test_dispersion_is_at_least_one_and_depends_on_no_order(seed: int, groups: list[int], size: float) -> None:
    vectors = rows(seed, len(groups), 3)
    found = dispersion(vectors, groups, size)
    order = np.random.default_rng(seed).permutation(len(groups))
    assert found >= 1
    assert dispersion(vectors[order], [groups[row] for row in order], size) == pytest.approx(found, rel=1e-6)


def test_constant_vectors_have_no_dispersion() -> None:
    assert dispersion(np.ones((40, 3), np.float32), [0, 1] * 20, 100) == 1


def test_a_reference_has_no_dispersion_below_one() -> None:
    with pytest.raises(ValueError, match="at least 1, got"):
        Reference("baseline", 1, "shop", "input", "enc-1", ("a",), rows(0, 1), 0.5)
