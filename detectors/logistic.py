"""From log odds to probabilities and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32


def probability(logits: F32) -> F32:
    """Return the (n,) float32 probabilities of (n,) log odds, without overflow at either end."""
    found: F32 = (0.5 * (1 + np.tanh(0.5 * logits))).astype(np.float32)
    return found


def log_odds(probabilities: npt.NDArray[Any], edge: float = 1e-6) -> npt.NDArray[np.float64]:
    """Return the (n,) log odds of (n,) probabilities, which count as ``edge`` from 0 and 1 at least; NaN stays NaN."""
    held = np.clip(probabilities.astype(np.float64), edge, 1 - edge)
    found: npt.NDArray[np.float64] = np.log(held / (1 - held))
    return found
