"""Many series, one budget: q-values over the series of a window, and p-values as expected days between false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from inferwatch.detectors.drift.result import LEAST_P

DAY = timedelta(days=1)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return the q-value of each p-value; NaN stays NaN and counts as no test.

    Naming the series whose q-value is at most ``q`` keeps the expected share of wrong ones among those named at or
    below ``q``, for independent tests and for positively dependent ones (Benjamini and Yekutieli 2001), such as one
    incident seen by several fields.

    References:
        Benjamini and Hochberg 1995, Controlling the false discovery rate, JRSS B 57.

    >>> benjamini_hochberg([0.01, 0.04, float("nan"), 0.03])
    [0.03, 0.04, nan, 0.04]
    """
    values = np.asarray(p_values, np.float64)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    raised = values[order] * len(order) / np.arange(1, len(order) + 1)
    found = np.full(len(values), np.nan)
    found[order] = np.minimum(1.0, np.minimum.accumulate(raised[::-1])[::-1])
    return [float(value) for value in found]


def recurrence_days(p_value: float, every: timedelta, tests: float = 1) -> float:
    """Return in how many days evidence this strong is expected once where nothing has changed.

    With ``tests`` p-values looked at ``every`` so often, each of them valid, the expected number of evidences with a
    recurrence of at least N days is at most one in N days. That is linearity of expectation: it holds however the
    tests depend on one another, through shared rows, a shared reference or a shared cause.

    Args:
        p_value: of one of the tests; below 1e-12 it counts as 1e-12. NaN gives NaN.
        every: from one look to the next.
        tests: how many share the budget, scales and series multiplied.

    >>> round(recurrence_days(0.001, timedelta(minutes=5)), 2)
    3.47
    """
    if every <= timedelta(0) or tests <= 0:
        raise ValueError(f"every and tests must be positive, got every={every} tests={tests}")
    # Not max(LEAST_P, p): NaN has to stay.
    return every / DAY / (tests * (LEAST_P if p_value < LEAST_P else p_value))
