"""Intervals of rates and counts, and whether one method finds less than another on the same draws."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, chi2

Flags = npt.NDArray[np.bool_]


def rate(hits: int, of: int) -> dict[str, float]:
    """Return a rate and its exact 95 % interval (Clopper and Pearson)."""
    interval = binomtest(hits, of).proportion_ci(0.95, method="exact")
    return {"hits": hits, "of": of, "rate": hits / of, "low": float(interval.low), "high": float(interval.high)}


def poisson(events: int, exposure: float) -> dict[str, float]:
    """Return events for one unit of exposure and the exact 95 % interval of a Poisson mean (Garwood)."""
    low = chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    return {
        "events": events,
        "exposure": exposure,
        "mean": events / exposure,
        "low": float(low) / exposure,
        "high": float(chi2.ppf(0.975, 2 * events + 2) / 2) / exposure,
    }


def lower(own: Flags, other: Flags) -> float:
    """Return the one-sided exact McNemar p-value of ``own`` finding less than ``other`` on the same draws."""
    lost, won = int((other & ~own).sum()), int((own & ~other).sum())
    return float(binomtest(lost, lost + won, alternative="greater").pvalue) if lost + won else 1.0


def detected(null: npt.NDArray[np.float64], scores: npt.NDArray[np.float64], level: float, seed: int) -> Flags:
    """Return which scores exceed the level's quantile of the null scores; of equal ones, chance decides.

    With k null scores the threshold is the one that a further null score would exceed with a chance of at most
    ``level``. Scores that take few values would otherwise not reach the level; chance is the same for all methods.
    """
    rng = np.random.default_rng(seed)
    jitter = rng.random(len(null) + len(scores))
    # Ranks among all: ties in the order of the jitter.
    order = np.lexsort((jitter, np.concatenate([null, scores])))
    ranks = np.empty(len(order), int)
    ranks[order] = np.arange(len(order))
    threshold = np.sort(ranks[: len(null)])[min(len(null) - 1, int(np.ceil((1 - level) * (len(null) + 1))) - 1)]
    found: Flags = ranks[len(null) :] > threshold
    return found
