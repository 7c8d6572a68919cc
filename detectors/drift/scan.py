"""Drift over time with a stated false-alarm rate: the last 1, 2, 4, ... windows pooled, each against the reference.

A sudden large change shows in one window, a small or slow one only in many together. So each scale pools the windows
of its span, and asks the two-sample test for the p-value of so many rows. A scale is looked at four times a span at
the most: looking more often would buy delay of a fraction of the span for a smaller budget at each look.

**What is promised.** The published number is the recurrence R in days. Where nothing has changed, the expected number
of looks with R >= N is at most one in N days. Each of J scales may be wrong at a rate of 1/(J N) a day, whatever
its stride; the rates add up because expectations do, so the promise does not ask for independence: windows, scales
and looks may share rows, and all of them share the reference, whose own chance is part of every p-value (1/n + 1/m).
An alert fires at a look or stays as it is, so pages are at most as many as looks. The promise is an average over
references as much as over time: one unlucky reference in many gives most of the false alarms there are, at the long
scales. The p-values are for windows that are samples of one source; where the mix of topics varies from window to
window without that being drift, the reference's ``dispersion`` widens the null.

**What is over does not count.** A span remembers a change that has ended for as long as it holds its windows. So spans
begin where the last drift ended: where some newest windows were nearer to the reference than half of the squared
distance of those before and with them, and by 2.5 standard errors nearer than a drift that goes on would be.
That only takes evidence away, so the promise stands.

**Why not otherwise.** CUSUM and Shiryaev-Roberts statistics are quicker for one known change, and need one; e-detectors
(Shin, Ramdas and Rinaldo 2022) promise an average run length without a model, but their increments must be
e-values given the past, and a frozen reference of finite size breaks that: its error is the same in every window, grows
in the product, and alarms for certain in the end. A window-limited scan is within a constant of the optimal delay
at every size of change (Lai 1995), and what it forgets is bounded.

References:
    Willsky and Jones 1976, A generalized likelihood ratio approach to the detection of jumps, IEEE TAC 21.
    Lai 1995, Sequential changepoint detection in quality control and dynamical systems, JRSS B 57.
    Li, Xie, Dai and Song 2015, M-statistic for kernel change-point detection, NeurIPS 28.
    Shin, Ramdas and Rinaldo 2022, E-detectors: a nonparametric framework for sequential change detection,
    arXiv:2203.03532.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isnan, nan, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.drift.multiplicity import recurrence_days
from inferwatch.schemas.windows import Window, floor

LOOKS = 4
"""How often a scale is looked at while its span passes once."""

OVER = 2.5
"""By how many standard errors the newest windows must be nearer to the reference for a drift to be over."""

Tail = Callable[[npt.NDArray[Any], int], float]
"""From the sum of the features of n rows, and n, to their p-value; NaN where n is too small."""
Shift = Callable[[npt.NDArray[Any], int], "Distance"]
"""From the same to how far they are from the reference."""


@dataclass(frozen=True, slots=True)
class Distance:
    """A ``squared`` distance of means, without bias; ``variance`` is its variance where the true one is 0.

    ``noise`` is the variance of either mean along the line between them, summed over both: where the true squared
    distance is D, the variance is ``variance + 4 D noise``.
    """

    squared: float
    variance: float
    noise: float


@dataclass(frozen=True, eq=False)
class Summary:
    """All that a window leaves behind: ``rows`` sampled rows, and the (D,) float64 sum of their features."""

    window: Window
    rows: int
    total: npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Scale:
    """``span`` of event time pooled, looked at every ``stride``; one span holds whole windows."""

    span: timedelta
    stride: timedelta


@dataclass(frozen=True, slots=True)
class Evidence:
    """The strongest look at the end of a window, as ``recurrence`` in days; NaN where no scale had enough rows.

    ``p_value`` is that look's, ``rows`` what it pooled, ``since`` where its span begins.
    """

    recurrence: float
    p_value: float
    rows: int
    since: datetime


def scales(size: timedelta, step: timedelta, count: int) -> tuple[Scale, ...]:
    """Return the scales of 1, 2, 4, ... windows of length ``size`` that start every ``step``.

    >>> [int(scale.stride / scale.span * 4) for scale in scales(timedelta(minutes=5), timedelta(minutes=5), 4)]
    [4, 2, 1, 1]
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    spans = [size * 2**power for power in range(count)]
    return tuple(Scale(span, step * max(1, span // step // LOOKS)) for span in spans)


def reach(chosen: Sequence[Scale]) -> timedelta:
    """Return how far before the end of a window the windows end that its evidence may look at."""
    return max(scale.span + scale.stride for scale in chosen)


def scan(
    summaries: Sequence[Summary], end: datetime, chosen: Sequence[Scale], tail: Tail, shift: Shift | None = None
) -> Evidence:
    """Return the strongest evidence there is at ``end``, a function of the summaries only, whatever their order.

    A scale's look is at the last multiple of its stride (since the Unix epoch) that is not after ``end``, and stays
    until the next. Of windows that overlap, only those are pooled that lie whole windows before the look.

    Args:
        summaries: of windows compared with one and the same reference.
        end: of the window just closed.
        chosen: from ``scales``.
        tail: p-value of pooled rows.
        shift: distance of pooled rows; without it, a drift that is over counts until its windows are forgotten.
    """
    since = None if shift is None else over_until(summaries, end, len(chosen), shift)
    best = Evidence(nan, nan, 0, end)
    for scale in chosen:
        look = floor(end, scale.stride)
        first = look - scale.span if since is None else max(since, look - scale.span)
        pooled = sorted(
            (one for one in summaries if first <= one.window.start and _whole_windows_before(look, one)),
            key=lambda one: one.window,
        )
        rows = sum(one.rows for one in pooled)
        if not rows:
            continue
        p_value = tail(np.sum([one.total for one in pooled], axis=0), rows)
        recurrence = recurrence_days(p_value, scale.stride, len(chosen))
        if not isnan(recurrence) and (isnan(best.recurrence) or recurrence > best.recurrence):
            best = Evidence(recurrence, p_value, rows, first)
    return best


def over_until(summaries: Sequence[Summary], end: datetime, count: int, shift: Shift) -> datetime | None:
    """Return where the last drift before ``end`` was over, if one was; in spans of up to 2^(count - 1) windows."""
    windows = sorted((one for one in summaries if _whole_windows_before(end, one)), key=lambda one: one.window)
    if not windows:
        return None
    sums = np.concatenate([np.zeros((1, len(windows[0].total))), np.cumsum([one.total for one in windows], axis=0)])
    rows = np.concatenate([[0], np.cumsum([one.rows for one in windows])])

    def between(start: int, stop: int) -> Distance | None:
        n = int(rows[stop] - rows[start])
        return shift(sums[stop] - sums[start], n) if n else None

    first = 0
    for stop in range(2, len(windows) + 1):
        newest = [(stop - 2**power, between(stop - 2**power, stop)) for power in range(count) if 2**power <= stop]
        for start, whole in newest[1:]:
            if start < first or whole is None:
                continue
            ended = next((at for at, now in newest if at > start and now is not None and _over(whole, now)), None)
            if ended is not None:
                first = ended
                break
    return windows[first].window.start if first else None


def _over(whole: Distance, now: Distance) -> bool:
    """Return whether the newest windows contradict that the drift of the ``whole`` span goes on."""
    error = sqrt(now.variance + 4 * max(0.0, whole.squared) * now.noise)
    return now.squared < min(whole.squared / 2, whole.squared - OVER * error)


def _whole_windows_before(end: datetime, one: Summary) -> bool:
    return one.window.end <= end and (end - one.window.end) % one.window.size == timedelta(0)
