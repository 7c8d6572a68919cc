"""From settings to an encoder."""

from __future__ import annotations

from inferwatch.detectors.base import Encoder
from inferwatch.detectors.encoder.cache import CachedEncoder
from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder
from inferwatch.schemas.settings import EncoderSettings


def load_encoder(settings: EncoderSettings) -> Encoder:
    """Return the encoder that ``settings`` describe, behind a cache unless ``cache_texts`` is 0.

    Raises:
        Misconfigured: the model folder is missing or cannot be loaded.
    """
    encoder = SentenceTransformerEncoder(
        settings.model, dtype=settings.dtype, threads=settings.threads, batch_size=settings.batch_size
    )
    return CachedEncoder(encoder, settings.cache_texts) if settings.cache_texts else encoder
