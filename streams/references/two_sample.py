"""The test that references and canaries are judged by."""

from __future__ import annotations

from inferwatch.detectors.drift.homogeneity import TwoSampleTest
from inferwatch.detectors.drift.mmd import RandomFeatureMMD
from inferwatch.schemas.settings import DriftSettings


def two_sample_test(settings: DriftSettings) -> TwoSampleTest:
    """Return a new test, to be let go of with the references that it was asked about: they come once.

    Its p-values must reach well below 0.01 / 8, the level of one of eight blocks.
    """
    return RandomFeatureMMD(permutations=max(999, settings.permutations), min_rows=settings.min_rows)
