"""What a detector says of many texts or items, through the encoder of the service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferwatch.detectors.base import F32, Batch, Detector, Encoder, Item
from inferwatch.detectors.encoder.load import load_encoder
from inferwatch.schemas.settings import EncoderSettings

BATCH = 512


@dataclass(frozen=True)
class Said:
    """(n,) values of one score, 0 where the detector abstained, because such a row is flagged at no threshold."""

    values: F32
    threshold: float
    coverage: float


def encoder() -> Encoder:
    """Return the int8 encoder that a service takes, with its cache."""
    return load_encoder(EncoderSettings(backend="onnx-int8"))


def score(detector: Detector, own: Encoder, items: Sequence[Item], name: str) -> Said:
    """Return one score of ``items``."""
    place = list(detector.emits).index(name)
    found = [np.empty(0, np.float32)]
    for start in range(0, len(items), BATCH):
        batch = Batch.encode(items[start : start + BATCH], [detector], own)
        found.append(detector.score(batch)[place].values)
    values = np.concatenate(found)
    covered = ~np.isnan(values)
    return Said(np.nan_to_num(values), detector.emits[name], float(covered.mean()) if len(values) else 0.0)


def toxicity(detector: Detector, own: Encoder, texts: Sequence[str]) -> Said:
    """Return the toxicity of ``texts`` as a model's outputs."""
    return score(detector, own, [Item(output=text) for text in texts], "toxicity.output")
