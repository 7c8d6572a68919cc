"""An output given its input: what is left of its vector, and what a test of that sees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.base import F32, Encoded
from inferwatch.detectors.drift.given import encoded, rest
from inferwatch.detectors.drift.reference import Reference
from inferwatch.detectors.drift.spectral import SpectralTest

DIM = 48


def unit(rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> F32:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def answered(rng: np.random.Generator, n: int, *, manner: float = 0.0, topic: float = 0.0) -> tuple[F32, F32]:
    """Return outputs and inputs: what is asked varies much, the answer follows it, and ``manner`` shifts answers."""
    asked = rng.standard_normal((n, DIM)) + topic * np.eye(DIM)[0]
    answer = asked + 0.5 * rng.standard_normal((n, DIM)) + manner * np.eye(DIM)[1]
    return unit(answer), unit(asked)


@given(st.integers(0, 2**32), st.integers(1, 20))
def test_nothing_of_the_input_is_left_and_a_row_does_not_depend_on_its_neighbours(seed: int, n: int) -> None:
    outputs, inputs = answered(np.random.default_rng(seed), n)
    found = rest(outputs, inputs)
    assert found.dtype == np.float32
    np.testing.assert_allclose((found * inputs).sum(axis=1), 0, atol=1e-6)
    shared = (outputs * inputs).sum(axis=1)
    np.testing.assert_allclose(np.square(found).sum(axis=1), 1 - shared**2, atol=1e-5)
    alone = [rest(outputs[row : row + 1], inputs[row : row + 1])[0] for row in range(n)]
    np.testing.assert_array_equal(found, np.array(alone))


def test_an_output_that_repeats_its_input_leaves_nothing_and_without_a_text_there_is_no_vector() -> None:
    outputs, inputs = answered(np.random.default_rng(1), 3)
    np.testing.assert_allclose(rest(inputs, inputs), 0, atol=1e-6)
    outputs[1], inputs[2] = np.nan, np.nan
    found = encoded(
        Encoded(outputs, np.array([3, 0, 1]), np.array([False, False, True])),
        Encoded(inputs, np.array([1, 1, 0]), np.array([False, True, False])),
    )
    assert np.isnan(found.vectors).all(axis=1).tolist() == [False, True, True]
    assert (found.chunks.tolist(), found.cut.tolist()) == ([3, 1, 1], [False, True, True])


@pytest.fixture(scope="module")
def baseline() -> tuple[F32, F32]:
    return answered(np.random.default_rng(2), 400)


def p_values(baseline: tuple[F32, F32], window: tuple[F32, F32]) -> tuple[float, float]:
    """Return the p-values of outputs as they are, and given their inputs."""
    found = []
    for old, new in ((baseline[0], window[0]), (rest(*baseline), rest(*window))):
        ids = tuple(map(str, range(len(old))))
        found.append(SpectralTest().compare(Reference("r", 1, "app", "output", "enc", ids, old), new).p_value)
    return found[0], found[1]


def test_another_manner_stands_out_where_questions_vary(baseline: tuple[F32, F32]) -> None:
    rng = np.random.default_rng(3)
    found = np.array([p_values(baseline, answered(rng, 100, manner=0.5)) for _ in range(10)])
    assert (found[:, 1] < found[:, 0]).all()
    assert np.median(found[:, 1]) < 0.01 < np.median(found[:, 0])


def test_other_questions_answered_as_before_stand_out_less(baseline: tuple[F32, F32]) -> None:
    rng = np.random.default_rng(4)
    found = np.array([p_values(baseline, answered(rng, 100, topic=1.0)) for _ in range(10)])
    assert (found[:, 0] < 0.001).all()
    assert np.median(found[:, 1]) > 0.05
