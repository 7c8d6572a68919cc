"""The fitted part of the injection detector: a linear head on the shared vectors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32
from inferwatch.detectors.logistic import probability
from inferwatch.schemas.errors import Misconfigured

PACKAGED = Path(__file__).with_name("weights.json")


@dataclass(frozen=True, eq=False)
class Head:
    """Probability ``1 / (1 + exp(-(vectors @ weights + bias)))``; ``weights`` is (dim,) float32."""

    weights: F32
    bias: float
    metadata: dict[str, Any]

    def __call__(self, vectors: F32) -> F32:
        """Return (n,) float32 probabilities for (n, dim) vectors."""
        return probability(vectors @ self.weights + np.float32(self.bias))

    def save(self, path: Path) -> None:
        """Write the head as JSON, weights with five digits."""
        held = {
            "metadata": self.metadata,
            "bias": round(self.bias, 5),
            "weights": [round(float(x), 5) for x in self.weights],
        }
        path.write_text(json.dumps(held) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path = PACKAGED) -> Head:
        """Read a head.

        Raises:
            Misconfigured: the file is missing or not a head.
        """
        try:
            held = json.loads(path.read_text("utf-8"))
            return cls(np.array(held["weights"], np.float32), float(held["bias"]), dict(held["metadata"]))
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise Misconfigured(f"{path} is not a head: {error}; fit one with its folder's train script") from error


def noisy_or(head: F32, rules: F32) -> F32:
    """Return the probability that the head or the rules are right, taking them as independent."""
    found: F32 = (1 - (1 - head) * (1 - rules)).astype(np.float32)
    return found
