"""From settings to an encoder."""

from __future__ import annotations

import logging

from inferwatch.detectors.base import Encoder
from inferwatch.detectors.encoder.cache import CachedEncoder
from inferwatch.detectors.encoder.choose import choose
from inferwatch.schemas.settings import EncoderSettings

logger = logging.getLogger(__name__)


def load_encoder(settings: EncoderSettings, *, prefer: str | None = None) -> Encoder:
    """Return the encoder that ``settings`` describe, behind a cache unless ``cache_texts`` is 0.

    Args:
        settings: the encoder's part of the configuration.
        prefer: with ``backend: auto``, the revision of the drift references there are, if any.

    Raises:
        Misconfigured: the model folder is missing or cannot be loaded, or the configured backend is not built.
    """
    chosen = choose(settings, prefer)
    encoder = chosen.encoder
    logger.info("encoder: %s, revision %s (%s)", encoder.backend, encoder.revision, chosen.reason)
    return CachedEncoder(encoder, settings.cache_texts) if settings.cache_texts else encoder
