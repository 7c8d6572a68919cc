"""Do the texts depend on the hour of the day, or of the week? And which hours may share a reference?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32

Cycle = Literal["off", "hour-of-day", "hour-of-week"]
HOURS = {"hour-of-day": 24, "hour-of-week": 168}
LEVEL = 0.01
LEAST_DAYS = {"hour-of-day": 3, "hour-of-week": 14}
MOST_SLOTS = 24
_HALF_A_DAY = 12
SATURDAY = 5
_Matrix = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Seasonality:
    """What a history says of its seasons; a p-value is NaN where there are too few days.

    ``days`` counts the days with rows in at least twelve hours. The p-values are those of "the hour of the day explains
    nothing" and "the day of the week explains nothing beyond it".
    """

    days: int
    hour_of_day: float
    hour_of_week: float

    @property
    def asked_for(self) -> Cycle:
        """The references that the data ask for."""
        if self.hour_of_week <= LEVEL:
            return "hour-of-week"
        return "hour-of-day" if self.hour_of_day <= LEVEL else "off"


def seasonality(vectors: F32, days: _Matrix, hours: _Matrix, *, permutations: int = 999, seed: int = 0) -> Seasonality:
    """Test whether the hour explains how the mean vector moves.

    The statistics are sums of inner products of the hourly means of *different* days, so that the noise of the means,
    which days do not share, adds nothing on average. For the hour of the day, under the null each day's hours may be
    turned round the clock by any number of hours: a turn keeps what neighbouring hours have in common. For the week,
    what is left when each hour's mean over all days is taken away may be given to any day: whole days are permuted over
    the days of the week. Two weeks are too few to tell the seven days from one another so, as four days of weekend stay
    together in 2 % of the permutations; so the same is asked of working days and weekends, and the lesser p-value is
    doubled.

    Args:
        vectors: (n, dim) float32.
        days: (n,) int, consecutive numbers of the local days, such that 0 modulo 7 is a Monday.
        hours: (n,) int, local hour, 0 to 23.
        permutations: drawn for each test.
        seed: of the permutations.

    References:
        Hemerik and Goeman 2018, Exact testing with random permutations, arXiv:1411.7565.
        Politis and Romano 1992, A circular block-resampling procedure for stationary data.
        Phipson and Smyth 2010, Permutation p-values should never be zero, arXiv:1603.05766.
    """
    profile, present, numbers = _profiles(vectors, days, hours)
    count = len(numbers)
    rng = np.random.default_rng(seed)
    nothing = float("nan")
    by_hour = _turned(profile, present, permutations, rng) if count >= LEAST_DAYS["hour-of-day"] else nothing
    enough = count >= LEAST_DAYS["hour-of-week"] and len(np.unique(numbers % 7)) > 1
    by_week = nothing
    if enough:
        weekdays = numbers % 7
        likely = [_exchanged(profile, present, kinds, permutations, rng) for kinds in (weekdays, weekdays >= SATURDAY)]
        by_week = min(1.0, 2 * min(likely))
    return Seasonality(count, by_hour, by_week)


def _profiles(vectors: F32, days: _Matrix, hours: _Matrix) -> tuple[_Matrix, _Matrix, _Matrix]:
    """Return the (days, 24, dim) hourly means, which of them exist, and the days' numbers; days with gaps left out."""
    numbers, codes = np.unique(days, return_inverse=True)
    sums = np.zeros((len(numbers) * 24, vectors.shape[1]))
    cells = codes * 24 + hours
    np.add.at(sums, cells, vectors)
    counts = np.bincount(cells, minlength=len(sums)).reshape(-1, 24)
    means = sums.reshape(len(numbers), 24, -1) / np.maximum(counts, 1)[:, :, None]
    whole = (counts > 0).sum(axis=1) >= _HALF_A_DAY
    return means[whole], counts[whole] > 0, numbers[whole]


def _turned(profile: _Matrix, present: _Matrix, permutations: int, rng: np.random.Generator) -> float:
    weight = present[:, :, None]
    centre = (profile * weight).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
    own = (profile - centre) * weight
    count = len(own)
    # agreement[a, b, t]: day a against day b turned by t hours
    agreement = np.stack(
        [own.reshape(count, -1) @ np.roll(own, turn, axis=1).reshape(count, -1).T for turn in range(24)], axis=-1
    )
    first, second = np.triu_indices(count, 1)
    turns = np.concatenate([np.zeros((1, count), int), rng.integers(0, 24, (permutations, count))])
    found = agreement[first, second, (turns[:, second] - turns[:, first]) % 24].sum(axis=1)
    return _p_value(found)


def _exchanged(
    profile: _Matrix, present: _Matrix, kinds: _Matrix, permutations: int, rng: np.random.Generator
) -> float:
    weight = present[:, :, None]
    usual = (profile * weight).sum(axis=0) / np.maximum(weight.sum(axis=0), 1)
    own = ((profile - usual) * weight).reshape(len(profile), -1)
    agreement = own @ own.T
    np.fill_diagonal(agreement, 0)
    found = []
    for draw in range(permutations + 1):
        given = kinds if draw == 0 else rng.permutation(kinds)
        found.append(float(agreement[given[:, None] == given[None, :]].sum()))
    return _p_value(np.array(found))


def _p_value(found: _Matrix) -> float:
    """Return the p-value of the first number among all of them, that itself included."""
    reached = found >= found[0] - 1e-9 * np.abs(found).max(initial=0)
    return float(reached.sum() / len(found))


def slots(vectors: F32, hours: _Matrix, cycle: int, least: int) -> tuple[int, ...]:
    """Return which slot each hour of a cycle belongs to: runs of neighbouring hours with at least ``least`` rows.

    A run that is too small joins the neighbour that is more like it; then, while there are more than 24, the two
    neighbours that differ least join (Ward's criterion). The cycle is closed: its last hour neighbours the first.

    Args:
        vectors: (n, dim) float32.
        hours: (n,) int, the hour of the cycle, from 0.
        cycle: hours in the cycle: 24 or 168.
        least: rows.

    References:
        Ward 1963, Hierarchical grouping to optimize an objective function; with the constraint that groups are
        contiguous: Gordon 1973, Classification in the presence of constraints.
    """
    counts = np.bincount(hours, minlength=cycle).astype(float)
    sums = np.zeros((cycle, vectors.shape[1]))
    np.add.at(sums, hours, vectors)
    runs = [[hour] for hour in range(cycle)]
    while len(runs) > 1:
        smallest = int(np.argmin(counts))
        if counts[smallest] >= least and len(runs) <= MOST_SLOTS:
            break
        costs = _ward(sums, counts)
        if counts[smallest] < least:
            place = min((smallest - 1) % len(runs), smallest, key=lambda one: costs[one])
        else:
            place = int(np.argmin(costs))
        joined = (place + 1) % len(runs)
        runs[place] += runs[joined]
        sums[place] += sums[joined]
        counts[place] += counts[joined]
        del runs[joined]
        sums, counts = np.delete(sums, joined, axis=0), np.delete(counts, joined)
    found = [0] * cycle
    for slot, run in enumerate(sorted(runs, key=min)):
        for hour in run:
            found[hour] = slot
    return tuple(found)


def _ward(sums: _Matrix, counts: _Matrix) -> _Matrix:
    """Return by how much joining each run with the next adds to the variance within; 0 where one has no rows."""
    means = sums / np.maximum(counts, 1)[:, None]
    gaps = ((means - np.roll(means, -1, axis=0)) ** 2).sum(axis=1)
    following = np.roll(counts, -1)
    found: _Matrix = counts * following / np.maximum(counts + following, 1) * gaps
    return found
