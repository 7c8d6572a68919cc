from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isnan, nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from inferwatch.detectors.drift.multiplicity import benjamini_hochberg, recurrence_days
from inferwatch.detectors.drift.null import Moments, mean_and_deviation, tail
from inferwatch.detectors.drift.scan import Distance, Summary, reach, scales, scan
from inferwatch.schemas.windows import EPOCH, Window

MINUTES = timedelta(minutes=5)
DAY = datetime(2026, 3, 1, tzinfo=UTC)
DIM, REFERENCE = 12, 1000
NORMAL = Moments(size=DIM, spread=2 * DIM, square=DIM, mixed=2 * DIM, cube=0, cycle=DIM)


def left(place: int, rows: int, total: Any, step: timedelta = MINUTES) -> Summary:
    start = DAY + place * step
    return Summary(Window(start, start + MINUTES), rows, np.atleast_1d(np.asarray(total, np.float64)))


def rows_seen(total: np.ndarray[Any, Any], rows: int) -> float:
    """A tail that says how many rows were pooled, and that their totals were pooled with them."""
    assert total[0] == rows
    return 1 / rows


def test_scales_double_and_are_looked_at_four_times_a_span() -> None:
    found = scales(MINUTES, MINUTES, 5)
    assert [scale.span / MINUTES for scale in found] == [1, 2, 4, 8, 16]
    assert [scale.stride / MINUTES for scale in found] == [1, 1, 1, 2, 4]
    assert reach(found) == 20 * MINUTES
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        scales(MINUTES, MINUTES, 0)


def test_a_look_pools_the_windows_of_its_span_and_no_others() -> None:
    windows = [left(place, 2**place, 2**place) for place in range(8)]
    for place in range(8):
        found = scan(windows, windows[place].window.end, scales(MINUTES, MINUTES, 3), rows_seen)
        pooled = sum(2**one for one in range(max(0, place - 3), place + 1))
        assert found.rows == pooled
        assert found.p_value == 1 / pooled
        assert found.recurrence == pytest.approx(pooled * 5 / 1440 / 3)


def test_overlapping_windows_are_not_pooled() -> None:
    windows = [left(place, 1, 1, step=timedelta(minutes=1)) for place in range(30)]
    found = scan(windows, windows[-1].window.end, scales(MINUTES, timedelta(minutes=1), 3), rows_seen)
    assert found.rows == 4


def test_windows_beyond_a_gap_are_not_pooled() -> None:
    windows = [left(0, 100, 100), left(40, 7, 7)]
    assert scan(windows, windows[1].window.end, scales(MINUTES, MINUTES, 5), rows_seen).rows == 7
    assert isnan(scan(windows[:1], windows[1].window.end, scales(MINUTES, MINUTES, 5), rows_seen).recurrence)


def test_a_long_look_stays_until_the_next_and_unknown_looks_count_for_nothing() -> None:
    """Of 16 windows only the pooled ones are enough; a look is four windows apart."""
    chosen = scales(MINUTES, MINUTES, 5)
    start = (DAY - EPOCH) // MINUTES
    windows = [left(place, 1, 1) for place in range(40)]

    def enough(total: np.ndarray[Any, Any], rows: int) -> float:
        return total[0] / 1e6 if rows >= 16 else nan

    for place in range(20, 40):
        found = scan(windows[: place + 1], windows[place].window.end, chosen, enough)
        look = (start + place + 1) // 4 * 4
        assert found.since == EPOCH + (look - 16) * MINUTES
        assert found.rows == 16


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(20)))
def test_the_order_of_summaries_changes_nothing(order: list[int]) -> None:
    rng = np.random.default_rng(5)
    windows = [left(place, 50, rng.standard_normal(DIM)) for place in range(20)]

    def p_value(total: np.ndarray[Any, Any], rows: int) -> float:
        return tail(float((total / rows) @ (total / rows)), NORMAL, rows, REFERENCE)

    chosen = scales(MINUTES, MINUTES, 4)
    assert scan([windows[one] for one in order], windows[19].window.end, chosen, p_value) == scan(
        windows, windows[19].window.end, chosen, p_value
    )


def test_false_alarms_over_time_are_as_many_as_stated_with_one_frozen_reference_each() -> None:
    """60 streams of 2,000 windows, each against its own noisy reference; evidence worth 1 alarm in 100 windows.

    Counted are looks, as promised: a look that stays for some windows is one. The streams' counts differ widely, since
    an unlucky reference is unlucky throughout, so the interval is from their own spread.
    """
    chosen = scales(MINUTES, MINUTES, 6)
    rng = np.random.default_rng(8)
    streams, length, rows = 60, 2000, 300
    cuts = []
    for scale in chosen:
        pooled = int(scale.span / MINUTES) * rows

        def beyond(statistic: float, pooled: int = pooled, every: timedelta = scale.stride) -> float:
            worth = recurrence_days(tail(statistic, NORMAL, pooled, REFERENCE), every, len(chosen))
            return worth - 100 * MINUTES / timedelta(days=1)

        cuts.append(brentq(beyond, 0, 1))
    counts = np.zeros(streams)
    for stream in range(streams):
        error = rng.standard_normal(DIM) / np.sqrt(REFERENCE)
        sums = np.cumsum(rng.standard_normal((length, DIM)) * np.sqrt(rows), axis=0)
        for scale, cut in zip(chosen, cuts, strict=True):
            width, stride = int(scale.span / MINUTES), int(scale.stride / MINUTES)
            ends = np.arange(width, length, stride)
            means = (sums[ends] - sums[ends - width]) / (width * rows) - error
            counts[stream] += ((means**2).sum(axis=1) >= cut).sum()
    stated = length / 100
    error_of_mean = counts.std(ddof=1) / np.sqrt(streams)
    assert counts.mean() < stated + 3 * error_of_mean
    assert counts.mean() > stated / 3


def test_many_windows_show_what_one_does_not() -> None:
    rng = np.random.default_rng(9)
    shift = np.full(DIM, 0.025)
    windows = [left(place, 300, (rng.standard_normal((300, DIM)) + shift).sum(axis=0)) for place in range(16)]

    def p_value(total: np.ndarray[Any, Any], rows: int) -> float:
        return tail(float((total / rows) @ (total / rows)), NORMAL, rows, 20_000)

    end = windows[-1].window.end
    one = scan(windows[-1:], end, scales(MINUTES, MINUTES, 1), p_value)
    many = scan(windows, end, scales(MINUTES, MINUTES, 5), p_value)
    assert one.recurrence < 1
    assert many.recurrence > 30
    assert many.rows > 1000


def test_recurrence_is_the_time_between_looks_over_their_chance() -> None:
    assert recurrence_days(0.01, timedelta(hours=1)) == pytest.approx(100 / 24)
    assert recurrence_days(0.01, timedelta(hours=1), tests=4) == pytest.approx(25 / 24)
    assert recurrence_days(0.0, timedelta(days=1)) == pytest.approx(1e12)
    assert isnan(recurrence_days(nan, timedelta(days=1)))
    with pytest.raises(ValueError, match="must be positive"):
        recurrence_days(0.1, timedelta(0))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_q_values_are_those_of_the_step_up_procedure(p_values: list[float]) -> None:
    """Rejecting q <= level is rejecting the k smallest, k the largest with p_(k) <= level k / n."""
    q_values = benjamini_hochberg(p_values)
    n = len(p_values)
    for level in (0.05, 0.2, 0.5):
        ordered = sorted(p_values)
        passing = [k for k in range(1, n + 1) if ordered[k - 1] * n / k <= level]
        cut = ordered[passing[-1] - 1] if passing else -1.0
        assert [q <= level for q in q_values] == [p <= cut for p in p_values]


def test_unknown_p_values_are_no_tests() -> None:
    found = benjamini_hochberg([0.01, nan, 0.02])
    assert found[0] == pytest.approx(0.02)
    assert isnan(found[1])
    assert benjamini_hochberg([]) == []


def p_value(total: np.ndarray[Any, Any], rows: int) -> float:
    """The p-value of the mean of normal rows against a reference whose mean is 0 and known."""
    return tail(float(((total / rows) ** 2).sum()), NORMAL, rows, 1e9)


def shift(total: np.ndarray[Any, Any], rows: int) -> Distance:
    usual, error = mean_and_deviation(NORMAL, rows, 1e9)
    return Distance(float(((total / rows) ** 2).sum()) - usual, error**2, 1 / rows)


def recurrences(means: list[Any], rows: int, seed: int, **given: Any) -> np.ndarray[Any, Any]:
    """The recurrence at the end of each window of ``rows`` normal rows with these means."""
    rng = np.random.default_rng(seed)
    windows = [
        left(place, rows, rows * mean + sqrt(rows) * rng.standard_normal(DIM)) for place, mean in enumerate(means)
    ]
    chosen = scales(MINUTES, MINUTES, 7)
    return np.array(
        [
            scan(windows[max(0, place - 80) : place + 1], one.window.end, chosen, p_value, **given).recurrence
            for place, one in enumerate(windows)
        ]
    )


@pytest.mark.parametrize("rows", [60, 500])
def test_a_drift_that_is_over_counts_no_longer(rows: int) -> None:
    calm, strong = np.zeros(DIM), 0.8 * np.eye(DIM)[0]
    found = recurrences([calm] * 64 + [strong] * 8 + [calm] * 64, rows, seed=rows, shift=shift)
    assert found[:64].max() < 30
    assert found[65:72].min() > 30
    assert found[80:].max() < 3, "as many windows after its end as it lasted"


def test_a_weak_drift_that_goes_on_is_not_taken_for_over() -> None:
    weak = [0.09 * np.eye(DIM)[0]] * 300
    plain = recurrences(weak, 100, seed=5)[80:] > 30
    found = recurrences(weak, 100, seed=5, shift=shift)[80:] > 3
    assert plain.mean() > 0.9
    assert found[plain].mean() > 0.95
