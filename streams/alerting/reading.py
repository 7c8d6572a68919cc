"""What one window says of one alert instance: the number its rule judges, or why there is none. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from math import inf, isnan, nan
from typing import Any, NamedTuple, Protocol

from inferwatch.schemas.comparisons import BurnRate, Change, Comparison
from inferwatch.schemas.metrics import FAULT as FAULT
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Bound, Condition, Rule
from inferwatch.schemas.windows import SeriesKey, Window

COUNT = "inferences"
"""The count of rows is known however few they are, so ``min_events`` does not apply to it."""
TOTALS = (".sum", ".count")
"""End the metrics that add up: the mean of several windows is not weighted by their rows."""


@dataclass(frozen=True, slots=True)
class Newest:
    """Which windows a series has numbers of: the end of the newest before a window, and whether later ones have one."""

    before: datetime | None
    later: bool = False


class Number(NamedTuple):
    """A window's number, and from how many rows."""

    value: float
    n: int


class Past(Protocol):
    """The numbers of other windows."""

    def numbers(
        self, metric: str, series: SeriesKey, start: datetime, end: datetime, every: timedelta | None = None
    ) -> Sequence[Number]:
        """Return the known numbers of the published windows within ``[start, end)``, oldest first.

        With ``every``, those that end a multiple of it before ``end``: of sliding windows, some that do not overlap.
        """
        ...

    def newest(self, metric: str, dimension: str, since: datetime, end: datetime) -> Mapping[SeriesKey, Newest]:
        """Return the series of ``dimension`` with numbers of windows that end in ``[since, end)`` or after ``end``."""
        ...


class Kind(StrEnum):
    """What can be done with a window."""

    JUDGED = "judged"
    KEPT = "kept"
    """There is data, too little of it to judge."""
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Reading:
    """One window of one instance.

    ``bounds`` are the number that is judged and the ends of its interval, NaN where there is none. ``silent`` is how
    long there has been no number at the window's end, ``seen`` the end of the last window with one; None where it is
    longer ago than one looks. ``detail`` says how ``bounds`` came about.
    """

    window: Window
    kind: Kind
    metric: WindowMetric | None = None
    bounds: Mapping[Bound, float] = field(default_factory=dict)
    seen: datetime | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fault(self) -> str:
        """For which fault of the service there is no number; empty where there is none to name."""
        return str(self.metric.detail.get(FAULT, "")) if self.metric is not None else ""

    @property
    def judged(self) -> float:
        """The number that is judged."""
        return self.bounds.get(Bound.VALUE, nan)

    def silent_for(self, length: timedelta) -> bool:
        """Return whether there has been no number for ``length``."""
        return self.seen is None or self.window.end - self.seen >= length

    def holds(self, condition: Condition) -> bool:
        """Return whether the number satisfies ``condition``."""
        return condition.holds(self.bounds.get(condition.of, nan))


def read(rule: Rule, window: Window, metric: WindowMetric | None, past: Past, seen: datetime | None = None) -> Reading:
    """Return what ``metric``, the rule's own of ``window``, says; None where the window has none of the instance."""
    if metric is None or not metric.known:
        return Reading(window, Kind.MISSING, metric, seen=seen)
    bounds = {Bound.VALUE: metric.value, Bound.CI_LOW: metric.ci_low, Bound.CI_HIGH: metric.ci_high}
    detail: dict[str, Any] = {}
    enough = metric.metric == COUNT or metric.n >= rule.min_events
    if rule.burn_rate is not None:
        burn, n = _burn(rule.burn_rate, metric, past)
        bounds = {Bound.VALUE: min(burn)}
        enough = n >= rule.min_events
        detail = {"burn": {"long": burn[0], "short": burn[1], "n": n}}
    elif rule.compare is not None and enough:
        baseline, n = _baseline(rule.compare, metric, past)
        enough = not isnan(baseline) and (metric.metric == COUNT or n >= rule.min_events)
        bounds = {bound: _changed(rule.compare.change, value, baseline) for bound, value in bounds.items()}
        detail = {"baseline": {"value": baseline, "n": n}}
    if not enough or isnan(bounds.get(rule.when.of, nan)):
        return Reading(window, Kind.KEPT, metric, seen=seen)
    if detail or rule.when.of is not Bound.VALUE:
        detail["judged"] = bounds[rule.when.of]
    return Reading(window, Kind.JUDGED, metric, bounds, seen, detail)


def _burn(burn: BurnRate, metric: WindowMetric, past: Past) -> tuple[tuple[float, float], int]:
    """Return how many times as fast as allowed the budget burns over the long and the short time, and the rows."""
    window = metric.window

    def rate(length: timedelta) -> tuple[float, int]:
        before = past.numbers(metric.metric, metric.series, window.end - length, window.start, window.size)
        own = [*before, Number(metric.value, metric.n)]
        rows = sum(one.n for one in own)
        return (sum(one.value * one.n for one in own) / rows if rows else nan), rows

    (long, n), (short, _) = rate(burn.long), rate(burn.short)
    return (long / burn.budget, short / burn.budget), n


def _baseline(compare: Comparison, metric: WindowMetric, past: Past) -> tuple[float, int]:
    """Return the number of the earlier period, NaN where it has none, and the rows that it is from."""
    start, end = period(compare, metric.window)
    found = past.numbers(metric.metric, metric.series, start, end)
    rows = sum(one.n for one in found)
    if metric.metric == COUNT or metric.metric.endswith(TOTALS):
        return (sum(one.value for one in found) / len(found) if found else nan), rows
    return (sum(one.value * one.n for one in found) / rows if rows else nan), rows


def period(compare: Comparison, window: Window) -> tuple[datetime, datetime]:
    """Return the earlier period that ``window`` is compared with: right before it, or around the same time of day."""
    back = compare.to.back
    if not back:
        return window.start - compare.over, window.start
    middle = window.start + window.size / 2 - back
    around = max(compare.over, window.size) / 2
    return middle - around, middle + around


def _changed(change: Change, value: float, baseline: float) -> float:
    if change is Change.DIFFERENCE or isnan(value) or isnan(baseline):
        return value - baseline
    if baseline == 0:
        return 1.0 if value == 0 else inf
    return value / baseline
