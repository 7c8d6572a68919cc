"""What the bare encoder is asked: every distinct text that scoring some records needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32, Detector, Encoder
from inferwatch.detectors.encoder.cache import CachedEncoder
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.settings import Settings
from inferwatch.streams.pipeline import Pipeline
from tests.bench.workloads import raw

BACKENDS: dict[str, dict[str, Any]] = {
    "torch fp32": {"backend": "torch", "dtype": "float32"},
    "torch bf16": {"backend": "torch", "dtype": "bfloat16"},
    "onnx-int8": {"backend": "onnx-int8"},
    "static": {"backend": "static"},
}
"""What is compared: a name and the settings that load it."""
STATIC: dict[str, Any] = {
    "encoder": BACKENDS["static"],
    "detectors": {"enabled": []},
    "kafka": {"batch_records": 2048, "batch_bytes": 2**22},
}
"""The settings of the static tier: no detector with weights of another encoder, and fewer, larger inserts."""


class Listening:
    """An encoder that notes the distinct texts it is asked for and does no work."""

    def __init__(self, like: Encoder) -> None:
        self._like = like
        self.revision, self.family, self.dim = like.revision, like.family, like.dim
        self.texts: dict[str, None] = {}

    def encode(self, texts: Sequence[str]) -> F32:
        self.texts.update(dict.fromkeys(texts))
        return np.zeros((len(texts), self._like.dim), np.float32)


def distinct_texts(
    values: Sequence[bytes], settings: Settings, encoder: Encoder, detectors: list[Detector]
) -> list[str]:
    """Return the distinct texts that scoring ``values`` asks the encoder for, in order."""
    listening = Listening(encoder)
    pipeline = Pipeline(settings, listening, detectors, None, SystemClock())  # type: ignore[arg-type]
    records = raw(values)
    for start in range(0, len(records), settings.kafka.batch_records):
        pipeline.prepare(records[start : start + settings.kafka.batch_records])
    return list(listening.texts)


def bare(encoder: Encoder) -> Encoder:
    """Return the encoder without its cache."""
    return encoder.inner if isinstance(encoder, CachedEncoder) else encoder


def describe(encoder: Encoder) -> dict[str, str]:
    """Return what is known of an encoder."""
    named = {name: str(getattr(encoder, name)) for name in ("backend", "dtype") if hasattr(encoder, name)}
    return {"revision": encoder.revision} | named
