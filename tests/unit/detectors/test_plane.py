from __future__ import annotations

import numpy as np

from inferwatch.detectors.drift.plane import project


def test_the_axes_are_the_references_and_the_window_has_no_say() -> None:
    rng = np.random.default_rng(0)
    old = (rng.standard_normal((80, 6)) * (5, 3, 1, 0.1, 0.1, 0.1) + 7).astype(np.float32)
    few, many = old[:3] + 100, np.concatenate([old[:3] + 100, old])
    plane, other = project(old, few), project(old, many)
    np.testing.assert_allclose(plane.reference, other.reference)
    np.testing.assert_allclose(plane.window, other.window[:3], rtol=1e-5)
    np.testing.assert_allclose(other.window[3:], plane.reference, atol=1e-4)
    np.testing.assert_allclose(plane.reference.mean(axis=0), 0, atol=1e-4)
    assert plane.reference.var(axis=0)[0] > plane.reference.var(axis=0)[1] > 4
    assert 0.9 < sum(plane.variance) < 1


def test_one_dimension_and_no_variance_are_no_error() -> None:
    plane = project(np.ones((4, 1), np.float32), np.zeros((2, 1), np.float32))
    assert plane.reference.shape == (4, 2)
    assert plane.window.shape == (2, 2)
    assert plane.variance == (0.0, 0.0)
