"""From which score on to flag, so that a wanted share of the flagged rows is really bad."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, nan

import numpy as np

from inferwatch.detectors.evaluation.bootstrap import SEED, Estimate
from inferwatch.detectors.evaluation.ranking import F64, Curve, Labels, Ranked, Values
from inferwatch.schemas.metrics import score_interval

LEAST_FLAGGED = 5
"""Fewer flagged rows say nothing of a precision."""
DRAWS = 400


@dataclass(frozen=True, slots=True)
class Operating:
    """What one threshold does; intervals are Wilson's at the effective number of rows."""

    threshold: float
    flagged: int
    precision: Estimate
    recall: Estimate
    false_flags: Estimate


@dataclass(frozen=True, slots=True)
class Proposal:
    """Thresholds for a wanted precision, and what can be had where they do not exist.

    Attributes:
        reached: the lowest threshold whose precision is at least the wanted one; None: there is none.
        assured: the lowest at which even the low end of the precision's interval is; None: too few labels, or none.
        best: the threshold of the highest precision; None: fewer than 5 rows in all.
        unseen: mean precision on labels that a threshold was not chosen on (bootstrap, rows left out of a draw): what
            to expect of ``reached``, whose own precision was chosen to look good. NaN where it cannot be said.
    """

    wanted: float
    reached: Operating | None
    assured: Operating | None
    best: Operating | None
    unseen: float


def operating(labels: Labels, values: Values, weights: F64, threshold: float) -> Operating:
    """Return what ``threshold`` does to (n,) rows."""
    flagged = values >= threshold
    return Operating(
        threshold,
        int(flagged.sum()),
        _rate(labels, weights, flagged),
        _rate(flagged, weights, labels),
        _rate(flagged, weights, ~labels),
    )


def propose(labels: Labels, values: Values, weights: F64, precision: float) -> Proposal:
    """Propose thresholds that flag as much as possible at a ``precision`` in (0, 1].

    Args:
        labels: (n,) bool, whether a row is bad.
        values: (n,) scores in [0, 1], no NaN.
        weights: (n,) how many rows each stands for.
        precision: wanted share of bad rows among the flagged ones.
    """
    ranked = Ranked(labels, values)
    curve = ranked.curve(weights)
    counts = ranked.curve(np.ones(len(labels)))
    squares = ranked.curve(weights**2)
    enough = counts.hits + counts.false >= LEAST_FLAGGED
    if not enough.any():
        return Proposal(precision, None, None, None, nan)
    shares = np.where(enough, curve.precision, -1.0)
    effective = (curve.hits + curve.false) ** 2 / (squares.hits + squares.false)
    lows = [
        score_interval(p, n)[0] if p >= 0 else -1.0 for p, n in zip(shares.tolist(), effective.tolist(), strict=True)
    ]

    def at(place: int | None) -> Operating | None:
        return None if place is None else operating(labels, values, weights, _between(curve, place))

    return Proposal(
        precision,
        at(_lowest(shares, precision)),
        at(_lowest(np.array(lows), precision)),
        at(int(shares.argmax())),
        _unseen(ranked, labels, values, weights, precision),
    )


def _lowest(shares: F64, wanted: float) -> int | None:
    """Return the last place, that of the lowest threshold, where the share is as wanted."""
    good = np.flatnonzero(shares >= wanted - 1e-12)
    return int(good[-1]) if len(good) else None


def _between(curve: Curve, place: int) -> float:
    """Return the shortest number that flags what the threshold at ``place`` does: above the next lower score."""
    own = float(curve.thresholds[place])
    below = float(curve.thresholds[place + 1]) if place + 1 < len(curve.thresholds) else -1.0
    for digits in range(2, 8):
        short = floor(own * 10.0**digits) / 10.0**digits
        if below < short <= own:
            return short
    return own


def _rate(events: Labels, weights: F64, rows: Labels) -> Estimate:
    """Return the weighted share of ``events`` among ``rows``, with Wilson's interval at Kish's effective size."""
    own = weights[rows]
    if not own.sum():
        return Estimate(nan, nan, nan)
    rate = float(own[events[rows]].sum() / own.sum())
    low, high = score_interval(rate, float(own.sum() ** 2 / (own**2).sum()))
    return Estimate(rate, low, high)


def _unseen(ranked: Ranked, labels: Labels, values: Values, weights: F64, wanted: float) -> float:
    rng = np.random.default_rng(SEED)
    n = len(labels)
    found = []
    for _ in range(DRAWS):
        drawn = np.bincount(rng.integers(0, n, n), minlength=n)
        curve, counts = ranked.curve(weights * drawn), ranked.curve(drawn.astype(np.float64))
        shares = np.where(counts.hits + counts.false >= LEAST_FLAGGED, curve.precision, -1.0)
        place = _lowest(shares, wanted)
        if place is not None:
            rest = (drawn == 0) & (values >= curve.thresholds[place])
            if rest.any():
                found.append((float(weights[rest & labels].sum()), float(weights[rest].sum())))
    if len(found) < DRAWS / 10:
        return nan
    return sum(hits for hits, _ in found) / sum(flagged for _, flagged in found)
