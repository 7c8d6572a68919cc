"""One encoder for all of these tests: loading it takes longer than most of them."""

from __future__ import annotations

import pytest

from inferwatch.detectors.encoder.cache import CachedEncoder
from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder


@pytest.fixture(scope="session")
def encoder() -> CachedEncoder:
    return CachedEncoder(SentenceTransformerEncoder(), 10_000)
