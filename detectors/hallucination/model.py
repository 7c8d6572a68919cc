"""From grounding features to one calibrated probability."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32
from inferwatch.detectors.hallucination.grounding import FEATURES
from inferwatch.detectors.logistic import probability
from inferwatch.schemas.errors import Misconfigured

PACKAGED = Path(__file__).with_name("weights.json")


@dataclass(frozen=True, eq=False)
class GroundingModel:
    """Logistic regression over ``FEATURES`` with weights never negative: less support never lowers it."""

    weights: F32
    bias: float
    metadata: dict[str, Any]

    def __call__(self, features: F32) -> F32:
        """Return (n,) float32 probabilities that a claim is not supported, for (n, f) columns of ``FEATURES``."""
        return probability(features @ self.weights + np.float32(self.bias))

    def save(self, path: Path) -> None:
        held = {
            "weights": dict(zip(FEATURES, [round(float(w), 5) for w in self.weights], strict=True)),
            "bias": round(self.bias, 5),
            "metadata": self.metadata,
        }
        path.write_text(json.dumps(held, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path = PACKAGED) -> GroundingModel:
        """Read a model.

        Raises:
            Misconfigured: the file is missing or not a grounding model.
        """
        try:
            held = json.loads(path.read_text("utf-8"))
            weights = np.array([held["weights"][name] for name in FEATURES], np.float32)
            return cls(weights, float(held["bias"]), dict(held["metadata"]))
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise Misconfigured(
                f"{path} is not a grounding model: {error!r}; fit one with hallucination/fit.py"
            ) from error
