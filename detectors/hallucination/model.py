"""From grounding features to one calibrated probability."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32
from inferwatch.detectors.hallucination.grounding import FEATURES
from inferwatch.detectors.logistic import log_odds, probability
from inferwatch.schemas.errors import Misconfigured

PACKAGED = Path(__file__).with_name("weights.json")


@dataclass(frozen=True, eq=False)
class GroundingModel:
    """Logistic regression over ``FEATURES`` with weights never negative, and a rising map of what it says.

    Less support never lowers a probability. ``calibration`` is (k, 2): log odds of the regression, rising, and the log
    odds that belong there; lines between them, and beyond them what the nearest adds. Without any nothing is changed.
    """

    weights: F32
    bias: float
    metadata: dict[str, Any]
    calibration: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))

    def __call__(self, features: F32) -> F32:
        """Return (n,) float32 probabilities that a claim is not supported, for (n, f) columns of ``FEATURES``."""
        odds = log_odds(self.regression(features))
        if len(self.calibration):
            at, belongs = self.calibration.T
            odds = odds + np.interp(odds, at, belongs - at)
        return probability(odds.astype(np.float32))

    def regression(self, features: F32) -> F32:
        """Return what the regression says, (n,) float32 for (n, f) features, as ``entailment`` was fitted beside it."""
        return probability(features @ self.weights + np.float32(self.bias))

    def save(self, path: Path) -> None:
        held = {
            "weights": dict(zip(FEATURES, [round(float(w), 5) for w in self.weights], strict=True)),
            "bias": round(self.bias, 5),
            "calibration": self.calibration.round(4).tolist(),
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
            calibration = np.array(held["calibration"], np.float64).reshape(-1, 2)
            return cls(weights, float(held["bias"]), dict(held["metadata"]), calibration)
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise Misconfigured(
                f"{path} is not a grounding model: {error!r}; fit one with hallucination/fit.py"
            ) from error
