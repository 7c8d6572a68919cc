"""How good scores are on labelled answers, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from inferwatch.detectors.base import F32

_SEED = 20261123
_BINS = 10
_auc: Any = roc_auc_score


def measure(labels: npt.NDArray[np.bool_], values: F32, threshold: float = 0.5) -> dict[str, Any]:
    """Return n, ROC-AUC and balanced accuracy at ``threshold`` with intervals, and the calibration error.

    Args:
        labels: (n,) bool, True where the answer is not supported.
        values: (n,) probabilities of that.
        threshold: from which on an answer is called unsupported.
    """
    return {
        "n": len(labels),
        "unsupported": int(labels.sum()),
        "auc": interval(labels, values, lambda y, s: float(_auc(y, s))),
        "balanced_accuracy": interval(labels, values, lambda y, s: balanced_accuracy(y, s >= threshold)),
        "ece": interval(labels, values, calibration_error),
    }


def balanced_accuracy(labels: npt.NDArray[np.bool_], called: npt.NDArray[np.bool_]) -> float:
    """Return the mean of the two classes' accuracies."""
    return float((called[labels].mean() + (~called[~labels]).mean()) / 2)


def calibration_error(labels: npt.NDArray[np.bool_], values: F32) -> float:
    """Return the expected calibration error over ten bins of equal width, classes weighted to one half each."""
    weights = np.where(labels, 0.5 / max(1, labels.sum()), 0.5 / max(1, (~labels).sum()))
    bins = np.minimum((values * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights * (labels - values.astype(np.float64)), _BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def interval(
    labels: npt.NDArray[np.bool_], values: F32, measured: Callable[[Any, Any], float], draws: int = 500
) -> list[float]:
    """Return a measure with its bootstrap 95 % interval."""
    rng = np.random.default_rng(_SEED)
    draws_of = (rng.integers(0, len(labels), len(labels)) for _ in range(draws))
    found = [measured(labels[rows], values[rows]) for rows in draws_of if 0 < labels[rows].sum() < len(labels)]
    low, high = np.quantile(found, [0.025, 0.975])
    return [round(float(x), 3) for x in (measured(labels, values), low, high)]
