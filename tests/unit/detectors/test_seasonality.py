"""Seasons are found where there are some, at a stated level, and hours are put together for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferwatch.detectors.drift.seasonality import MOST_SLOTS, seasonality, slots


def history(
    seed: int, days: int, per_day: int = 120, *, daily: float = 0, weekend: float = 0, walk: float = 0, dim: int = 6
) -> tuple[Any, Any, Any]:
    """Rows with a daily wave, another weekend, or a mean that wanders from hour to hour."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), per_day)
    hour = rng.integers(0, 24, len(day))
    vectors = rng.standard_normal((len(day), dim))
    vectors[:, 0] += daily * np.cos(2 * np.pi * hour / 24)
    vectors[:, 1] += weekend * (day % 7 >= 5)
    steps = np.zeros((days * 24, dim))
    for at in range(1, len(steps)):
        steps[at] = 0.9 * steps[at - 1] + walk * rng.standard_normal(dim)
    return (vectors + steps[day * 24 + hour]).astype(np.float32), day, hour


def test_the_data_ask_for_what_they_have() -> None:
    assert seasonality(*history(1, 14)).asked_for == "off"
    assert seasonality(*history(1, 14, daily=0.7)).asked_for == "hour-of-day"
    assert seasonality(*history(1, 14, daily=0.7, weekend=0.7)).asked_for == "hour-of-week"


@pytest.mark.parametrize("walk", [0, 0.2])
def test_its_false_alarms_are_at_their_level_even_where_the_mean_wanders(walk: float) -> None:
    found = [seasonality(*history(seed, 14, 60, walk=walk), permutations=99) for seed in range(150)]
    assert np.mean([one.hour_of_day <= 0.05 for one in found]) < 0.11  # 0.05 and three standard errors
    assert np.mean([one.hour_of_week <= 0.05 for one in found]) < 0.11


def test_too_short_a_history_says_nothing() -> None:
    week = seasonality(*history(0, 7, daily=0.7, weekend=2))
    assert (week.days, np.isnan(week.hour_of_week), week.asked_for) == (7, True, "hour-of-day")
    day = seasonality(*history(0, 2, daily=2))
    assert np.isnan(day.hour_of_day)
    assert day.asked_for == "off"


def test_a_day_with_few_hours_does_not_count() -> None:
    vectors, day, hour = history(0, 5)
    kept = (day < 4) | (hour < 6)
    assert seasonality(vectors[kept], day[kept], hour[kept]).days == 4


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([24, 168]), st.integers(1, 200), st.integers(1, 400))
def test_slots_are_runs_of_hours_with_enough_rows(seed: int, cycle: int, least: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    hours = rng.integers(0, rng.integers(1, cycle + 1), n)
    found = np.array(slots(rng.standard_normal((n, 3)).astype(np.float32), hours, cycle, least))
    assert len(found) == cycle
    assert set(found) == set(range(found.max() + 1))
    assert found.max() < MOST_SLOTS
    borders = (found != np.roll(found, 1)).sum()
    assert borders in (0, found.max() + 1)  # round the clock each slot is one run
    if found.max():
        assert np.bincount(found[hours]).min() >= least


def test_hours_that_are_alike_share_a_slot() -> None:
    rng = np.random.default_rng(2)
    hours = np.repeat(np.arange(168), 5)
    night = (hours % 24 < 8).astype(np.float32)
    vectors = rng.standard_normal((len(hours), 3)).astype(np.float32) * 0.1 + night[:, None]
    found = np.array(slots(vectors, hours, 168, 30))
    nights = {found[hour] for hour in range(168) if hour % 24 < 8}
    days = {found[hour] for hour in range(168) if hour % 24 >= 8}
    assert not nights & days
