"""Numbers of closed windows, with their counts and intervals."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan, nan, sqrt
from typing import Any

from inferwatch.schemas.windows import SeriesKey, Window

FAULT = "error"
"""Key of a metric's ``detail`` that says for which fault of the service there is no number."""


@dataclass(frozen=True, slots=True)
class WindowMetric:
    """One number of one closed window of one series.

    ``n`` is how many rows the number is computed from and ``total`` how many the window holds; their
    ratio is the metric's coverage. ``ci_low``/``ci_high`` is a 95 % interval, NaN where none is defined.
    ``value`` is NaN when the number does not exist (``n`` too small), never 0 in its place.
    ``detail`` explains a number to people (drift: examples, statistic, reference); it is not compared.
    """

    window: Window
    series: SeriesKey
    metric: str
    value: float
    n: int
    total: int
    ci_low: float = nan
    ci_high: float = nan
    revision: int = 0
    detail: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def known(self) -> bool:
        return not isnan(self.value)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a rate ``hits / n``; (NaN, NaN) for ``n == 0``.

    References: E. B. Wilson (1927), "Probable inference, the law of succession, and statistical
    inference", JASA 22. Holds its coverage for small ``n`` and for rates near 0, unlike the normal interval.

    >>> low, high = wilson(0, 100)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.037)
    """
    if not 0 <= hits <= n:
        raise ValueError(f"hits must be within 0..n, got hits={hits} n={n}")
    if n == 0:
        return nan, nan
    return score_interval(hits / n, n)


def score_interval(rate: float, n: float, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return Wilson's interval of a ``rate`` that is as certain as one seen in ``n`` rows; ``n`` need not be whole."""
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)
