"""The fitted head: one weight for each dimension of the shared vectors, with where it came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32
from inferwatch.schemas.errors import Misconfigured

PACKAGED = Path(__file__).with_name("weights.npz")


def probability(logits: F32) -> F32:
    """Return the probabilities of log odds, without overflow at either end."""
    found: F32 = (0.5 * (1 + np.tanh(0.5 * logits))).astype(np.float32)
    return found


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Calibrated probability ``1 / (1 + exp(-(vectors @ weights + bias)))``.

    ``weights`` is (dim,) float32 with the calibration's slope already in it. ``metadata`` names the encoder
    revision the head belongs to, the data's hashes, the seed and the measured thresholds.
    """

    weights: F32
    bias: float
    metadata: dict[str, Any]

    def logits(self, vectors: F32) -> F32:
        """Return (n,) float32 log odds for (n, dim) vectors."""
        found: F32 = vectors @ self.weights + np.float32(self.bias)
        return found

    def __call__(self, vectors: F32) -> F32:
        """Return (n,) float32 probabilities for (n, dim) vectors."""
        return probability(self.logits(vectors))

    def save(self, path: Path) -> None:
        """Write the head; the same head gives the same bytes but for the archive's time stamp."""
        np.savez_compressed(
            path, weights=self.weights, bias=np.float32(self.bias), metadata=np.array(json.dumps(self.metadata))
        )

    @classmethod
    def load(cls, path: Path = PACKAGED) -> LinearHead:
        """Read a head.

        Raises:
            Misconfigured: the file is missing or not a head.
        """
        try:
            with np.load(path, allow_pickle=False) as held:
                return cls(held["weights"].astype(np.float32), float(held["bias"]), json.loads(str(held["metadata"])))
        except (OSError, KeyError, ValueError) as error:
            raise Misconfigured(f"{path} is not a toxicity head: {error}; train one with toxicity/train.py") from error
