"""Which rows a detector with a budget scores: strata, inclusion probabilities, the draw. Pure.

A row's stratum is its application and the band of its guide, the cheap score that says where risk is. Rows of
riskier bands are drawn more often (Neyman's allocation, with the guide read as a probability), none below the
budget's floor; the probability is stored with the row, and estimates weight by its inverse.

References: D. G. Horvitz & D. J. Thompson (1952), "A generalization of sampling without replacement from a finite
universe", JASA 47; J. Neyman (1934), "On the two different aspects of the representative method", JRSS 97. The floor
bounds the weights as in T. Hesterberg (1995), "Weighted average importance sampling and defensive mixture
distributions", Technometrics 37.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32
from inferwatch.schemas.settings import BudgetSettings

NOT_SAMPLED = "not sampled"
"""Why a score is missing of a row that the budget passed over."""
BOUNDS = (0.02, 0.1, 0.3, 0.7)
"""Where one band of the guide ends and the next begins. Band 0 is for rows the guide abstained on."""
BANDS = len(BOUNDS) + 2

_MIDDLES = (0.01, 0.06, 0.2, 0.5, 0.85)
# The standard deviation of a hit in each band. Beyond one half it would fall again; but the guide is no oracle, and
# rows it is sure of are those that people ask to see.
_RISKY = tuple(sqrt(min(middle, 0.5) * (1 - min(middle, 0.5))) for middle in _MIDDLES)
# As a second look at what the guide itself cannot decide, the plain standard deviation: it is largest at one half.
_UNCERTAIN = tuple(sqrt(middle * (1 - middle)) for middle in _MIDDLES)
_SPREADS = {"risky": _RISKY, "uncertain": _UNCERTAIN}


def bands(guide: F32) -> npt.NDArray[np.int64]:
    """Return the band of each of (n,) scores; NaN is band 0."""
    found = 1 + np.searchsorted(np.array(BOUNDS), guide.astype(np.float64), side="right")
    return np.where(np.isnan(guide), 0, found)


def probabilities(counts: Sequence[int], budget: BudgetSettings) -> tuple[float, ...]:
    """Return the inclusion probability of each band, such that rows in these proportions cost ``budget.share``.

    Each is within [floor, 1]. With ``prefer: risky`` it is not smaller than that of a band below, with
    ``uncertain`` it is largest in the band around one half. Rows without a guide get the plain share.

    Args:
        counts: rows seen in each band.
        budget: share, floor and which rows it prefers.
    """
    scored = counts[1:]
    total = sum(scored)
    if not total:
        return (budget.share,) * BANDS

    spreads = _SPREADS[budget.prefer]

    def at(scale: float) -> list[float]:
        return [min(1.0, max(budget.lowest, scale * spread)) for spread in spreads]

    low, high = 0.0, 1 / min(spreads)
    for _ in range(60):
        middle = (low + high) / 2
        cost = sum(count * probability for count, probability in zip(scored, at(middle), strict=True))
        low, high = (low, middle) if cost > budget.share * total else (middle, high)
    return (budget.share, *at(low))


def chance(application: str, inference: str, detector: str) -> float:
    """Return the place in [0, 1) of the row with id ``inference``: uniform over rows, and always the same for one row.

    A row is scored when its place is below its inclusion probability, so a record that comes again is decided as
    before. The hash has nothing in common with the one that picks a window's rows for drift.
    """
    text = "\0".join((detector, application, inference)).encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(text, digest_size=8, person=b"budget").digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53
