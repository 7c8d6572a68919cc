"""The cross-encoder as it is packaged: what training changed of the encoder's transformer, and the two heads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]  # as in base.py, which needs more than there is where fit.py runs
BERT = "bert."
"""Begins the names of weights that the encoder has as well."""
_STEPS, _LEAST = 31, 1e-6


def differences(state: Mapping[str, F32], untrained: Mapping[str, F32]) -> dict[str, npt.NDArray[np.generic]]:
    """Return what training changed: matrices in whole steps (int8) of a size for each row, others as float16."""
    found: dict[str, npt.NDArray[np.generic]] = {}
    for name, value in state.items():
        tuned = name.startswith(BERT)
        change = value - untrained[name] if tuned else value
        if tuned and not change.any():
            continue
        if change.ndim == 2 and len(change) > 1:
            size = np.maximum(np.abs(change).max(axis=1, keepdims=True) / _STEPS, _LEAST).astype(np.float16)
            found[f"{name}/steps"] = np.clip(np.rint(change / size.astype(np.float32)), -127, 127).astype(np.int8)
            found[f"{name}/size"] = size
        else:
            found[name] = change.astype(np.float16)
    return found


def restored(untrained: Mapping[str, F32], held: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, F32]:
    """Return the weights of the untrained network with ``differences`` added.

    Raises:
        KeyError, ValueError: they are not of this network.
    """
    found = dict(untrained)
    for name in held:
        key, _, part = name.partition("/")
        if part == "size":
            continue
        change = held[name].astype(np.float32)
        if part:
            change = change * held[f"{key}/size"].astype(np.float32)
        if key.startswith(BERT) and change.shape != untrained[key].shape:
            raise ValueError(f"{key} has shape {untrained[key].shape}, what changed of it {change.shape}")
        found[key] = untrained[key] + change if key.startswith(BERT) else change
    return found
