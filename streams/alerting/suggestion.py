"""A threshold for a wanted rate of alerts, from recorded windows. Pure.

Every candidate threshold is back-tested by the code that decides live alerts, so that ``for``, ``min_events``, recovery
and revisions count. Of the candidates whose alerts, and those of every less sensitive one, are within the wanted rate,
the most sensitive is taken. Its interval are the thresholds whose count of alerts the wanted rate may well have given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import floor, inf, isfinite, isnan, log10, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri, pdtrik

from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Bound, Condition, Rule
from inferwatch.schemas.settings import WindowSettings
from inferwatch.streams.alerting.backtest import Episode, backtest, see
from inferwatch.streams.alerting.evaluation import Memory, Verdict
from inferwatch.streams.alerting.looks import Look
from inferwatch.streams.alerting.rules import concerns, kind_of

DAY = timedelta(days=1)
ENOUGH = 3
"""Alerts expected in the history, below which the interval says little."""
WIDE = 3
"""Candidates give between a third and three times the wanted rate."""
GROWTH = 1.4
"""From one candidate's rank among the numbers to the next one's."""
DIGITS = 3

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rate:
    """``fired`` alerts in ``days``; ``low`` and ``high`` are the exact 95 % interval of a Poisson mean, per day."""

    fired: int
    days: float

    @property
    def low(self) -> float:
        """Lower end, alerts a day."""
        return float(chdtri(2 * self.fired, 0.975)) / 2 / self.days if self.fired else 0.0

    @property
    def high(self) -> float:
        """Upper end, alerts a day."""
        return float(chdtri(2 * self.fired + 2, 0.025)) / 2 / self.days


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A threshold, the interval it is known to, and what it would have given; ``numbers`` is how many were judged."""

    condition: Condition
    low: float
    high: float
    rate: Rate
    numbers: int


class NoNumbers(ValueError):
    """No window has a number that the rule would judge."""


def suggest(
    rule: Rule, looks: Sequence[Look], windows: WindowSettings, since: datetime, until: datetime, every: timedelta
) -> Suggestion:
    """Return the threshold in the direction of ``rule.when`` that gives one alert in ``every`` over the history.

    Args:
        rule: everything but the threshold; where it has a ``resolve_when``, that stays in proportion.
        looks: recorded windows, from before ``since`` on where the rule needs a past.
        windows: their length and step.
        since: start of the history, ``until`` its end.
        until: see there.
        every: the wanted time between two alerts.

    Raises:
        NoNumbers: there is nothing to go by.
    """
    looks = [replace(look, metrics=_of(rule, look.metrics)) for look in looks]
    values = judged(rule, looks, windows, since)
    if not len(values):
        raise NoNumbers(f"no window has a number of {rule.metric} from at least {rule.min_events} rows")
    rising = rule.when.rising
    thresholds = _Candidates(values, rising=rising)
    days = max(1, -(-(until - since) // DAY))
    wanted = (until - since) / every
    counts: dict[int, Counts] = {}

    def count(place: int) -> int:
        if place not in counts:
            found = fired(_at(rule, thresholds[place]), looks, windows, since, until)
            opened = [-(-(one.began - since) // DAY) - 1 for one in found]
            counts[place] = np.bincount(opened, minlength=days).astype(np.int64)
        return int(counts[place].sum())

    # An alert takes a number at least, so that candidates with few numbers beyond them are of no interest.
    place = 0
    while count(place) <= wanted * WIDE + WIDE and place < len(thresholds) - 1:
        place = min(len(thresholds) - 1, max(place + 1, int(wanted / WIDE), int(place * GROWTH)))
    while (chosen := _chosen(counts, wanted)) is not None and (gap := _gap(counts, chosen)) is not None:
        count(gap)
    best = _chosen(counts, wanted)
    places = sorted(counts)
    best = places[0] if best is None else best
    every_count = np.array([counts[one] for one in places])
    low, high = _interval(every_count, [thresholds[one] for one in places], wanted, counts[best])
    condition = _at(rule, thresholds[best]).when
    return Suggestion(condition, low, high, Rate(count(best), (until - since) / DAY), len(values))


def fired(
    rule: Rule, looks: Sequence[Look], windows: WindowSettings, since: datetime, until: datetime
) -> tuple[Episode, ...]:
    """Return the alerts that a number fires in ``[since, until)``; silences are not a matter of thresholds."""
    report = backtest([rule], looks, windows, since, until)
    return tuple(one for one in report.episodes if not one.silent)


def judged(rule: Rule, looks: Sequence[Look], windows: WindowSettings, since: datetime) -> npt.NDArray[np.float64]:
    """Return every finite number that ``rule`` judges, one an instance and window after ``since``."""
    never = _at(rule, inf if rule.when.rising else -inf)
    memory = Memory([never], windows.size, windows.step)
    found: list[float] = []
    for look in looks:
        numbers = [_number(rule.when.of, verdict) for verdict in see(memory, look)]
        if look.window.end > since:
            found += numbers
    return np.array([number for number in found if isfinite(number)], np.float64)


def _of(rule: Rule, metrics: Sequence[WindowMetric]) -> tuple[WindowMetric, ...]:
    """Return those of ``metrics`` that ``rule`` looks at, which are few of a window."""
    name, dimension = kind_of(rule)
    return tuple(
        one
        for one in metrics
        if one.metric == name and one.series.dimension == dimension and concerns(rule, one.series)
    )


def _number(of: Bound, verdict: Verdict) -> float:
    if of is Bound.VALUE or verdict.metric is None or isnan(verdict.judged):
        return verdict.judged
    return verdict.metric.ci_low if of is Bound.CI_LOW else verdict.metric.ci_high


def _at(rule: Rule, threshold: float) -> Rule:
    """Return ``rule`` with another threshold, and its recovery in proportion."""
    when = rule.when.model_copy(update={"threshold": threshold})
    recovery = rule.resolve_when
    if recovery is not None:
        share = recovery.threshold / rule.when.threshold if rule.when.threshold else 1.0
        recovery = recovery.model_copy(update={"threshold": threshold * share if share else 0.0})
    return rule.model_copy(update={"when": when, "resolve_when": recovery, "false_alarms": None})


class _Candidates:
    """Thresholds from the least sensitive to the most: one that no number passes, then one between any two."""

    def __init__(self, values: npt.NDArray[np.float64], *, rising: bool) -> None:
        distinct = np.unique(values)
        self._worst_first = distinct[::-1] if rising else distinct
        self._beyond = inf if rising else -inf

    def __len__(self) -> int:
        return len(self._worst_first)

    def __getitem__(self, place: int) -> float:
        worse = float(self._worst_first[place - 1]) if place else self._beyond
        return _short(float(self._worst_first[place]), worse)


def _short(near: float, far: float) -> float:
    """Return a number with few digits, near the middle, that ``far`` passes and ``near`` does not."""
    up = far > near
    middle = near if abs(far) == inf else (near + far) / 2
    if middle == 0:
        return 0.0
    for digits in range(DIGITS, 18):
        unit = 10.0 ** (floor(log10(abs(middle))) + 1 - digits)
        rounded = round(middle / unit) * unit
        if abs(far) == inf and (rounded < near if up else rounded > near):
            rounded += unit if up else -unit
        rounded = float(f"{rounded:.{digits}g}")
        if (near <= rounded < far) if up else (far < rounded <= near):
            return rounded
    return near


def _chosen(counts: dict[int, Counts], wanted: float) -> int | None:
    """Return the most sensitive candidate that is within ``wanted`` alerts, and all less sensitive ones with it."""
    found = None
    for place in sorted(counts):
        if counts[place].sum() > wanted:
            break
        found = place
    return found


def _gap(counts: dict[int, Counts], chosen: int) -> int | None:
    """Return a candidate in the middle between the ``chosen`` one and the next, where there is one."""
    following = min((place for place in counts if place > chosen), default=None)
    return None if following is None or following - chosen < 2 else (chosen + following) // 2


def _interval(
    counts: npt.NDArray[np.int64], thresholds: Sequence[float], wanted: float, chosen: Counts
) -> tuple[float, float]:
    """Return the thresholds whose count of alerts is one that the wanted rate gives in 95 of 100 histories.

    A Poisson count, its spread widened where the alerts of the ``chosen`` threshold come in clusters: by the variance
    of their counts a day over the mean. Between two candidates the threshold is taken to change as the count does.
    """
    few, many = (max(0.0, float(np.ceil(pdtrik(share, wanted)))) for share in (0.025, 0.975))
    mean = chosen.mean()
    wider = sqrt(max(1.0, float(chosen.var(ddof=1) / mean))) if mean and len(chosen) > 1 else 1.0
    bounds = (wanted - wider * (wanted - few), wanted + wider * (many - wanted))
    reached = np.maximum.accumulate(counts.sum(axis=1))
    ends = np.interp(bounds, reached, np.array(thresholds))
    return float(ends.min()), float(ends.max())
