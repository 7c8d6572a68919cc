"""The test that references and canaries are judged by."""

from __future__ import annotations

from inferwatch.detectors.drift.spectral import SpectralTest
from inferwatch.schemas.settings import DriftSettings


def two_sample_test(settings: DriftSettings) -> SpectralTest:
    """Return a new test, to be let go of with the references that it was asked about: they come once."""
    return SpectralTest(min_rows=settings.min_rows)
