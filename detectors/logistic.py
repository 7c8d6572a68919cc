"""From log odds to probabilities."""

from __future__ import annotations

import numpy as np

from inferwatch.detectors.base import F32


def probability(logits: F32) -> F32:
    """Return the (n,) float32 probabilities of (n,) log odds, without overflow at either end."""
    found: F32 = (0.5 * (1 + np.tanh(0.5 * logits))).astype(np.float32)
    return found
