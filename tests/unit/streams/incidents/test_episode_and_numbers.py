"""One alert's steps and numbers: which state it is in, which window was the worst, what was usual before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.incidents.condition import comparison, falls
from inferwatch.streams.incidents.episode import Episode, Step
from inferwatch.streams.incidents.numbers import Point, thin

T0 = datetime(2026, 3, 1, 14, tzinfo=UTC)
SIZE = timedelta(minutes=5)


def step(frm: str, to: str, place: int) -> Step:
    window = Window(T0 + place * SIZE, T0 + (place + 1) * SIZE)
    return Step(frm, to, window.end, window.end, 0.3, "> 0.02", 40, window, {})


def episode(*steps: Step, labels: dict[str, str] | None = None) -> Episode:
    return Episode(
        "f-1", "f", "toxic", "toxicity.output.rate", "critical", labels or {"application": "shop"}, T0, steps
    )


def test_an_alert_that_fires_is_not_over() -> None:
    found = episode(step("inactive", "pending", 0), step("pending", "firing", 1))
    assert (found.state, found.ended, found.bad_until) == ("firing", None, None)
    assert (found.opened.to_state, found.fired, found.size) == ("firing", T0 + 2 * SIZE, SIZE)


def test_the_window_that_resolved_it_was_well() -> None:
    found = episode(step("pending", "firing", 1), step("firing", "recovering", 3), step("recovering", "resolved", 5))
    assert (found.state, found.ended, found.bad_until) == ("resolved", T0 + 6 * SIZE, T0 + 5 * SIZE)


@pytest.mark.parametrize("state", ["no_data", "error"])
def test_a_silence_opens_an_alert_too(state: str) -> None:
    found = episode(step("inactive", state, 0))
    assert (found.opened.to_state, found.ended, found.fired) == (state, None, None)


def test_what_was_cancelled_is_over_and_never_opened() -> None:
    found = episode(step("inactive", "pending", 0), step("pending", "inactive", 1))
    assert (found.ended, found.fired, found.opened.to_state) == (T0 + 2 * SIZE, None, "inactive")


def test_its_series_is_read_from_its_labels() -> None:
    labels = {"application": "shop", "model": "m-2"}
    assert episode(step("", "firing", 0), labels=labels).series == SeriesKey("shop", "model", "m-2")
    assert episode(step("", "firing", 0)).series == SeriesKey("shop")


def point(place: int, value: float) -> Point:
    return Point(T0 + place * SIZE, T0 + (place + 1) * SIZE, value, nan, nan, 10, 10)


@given(st.lists(st.one_of(st.just(nan), st.floats(0, 1)), max_size=200), st.integers(1, 60), st.booleans())
def test_thinning_keeps_the_worst_and_counts_every_window(values: list[float], most: int, down: bool) -> None:
    points = [point(place, value) for place, value in enumerate(values)]
    found = thin(points, most, down=down)
    assert len(found) <= most
    assert sum(one.windows for one in found) == len(points)
    known = [value for value in values if value == value]
    worst = min if down else max
    assert worst((one.value for one in found if one.value == one.value), default=inf) == worst(known, default=inf)
    assert [one.end for one in found] == sorted(one.end for one in found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("> 0.08", (">", 0.08)),
        ("<= 5 %", ("<=", 0.05)),
        ("> 1e-05", (">", 1e-05)),
        ("ci_low > 0.02", (">", 0.02)),
        ("> 2 x baseline", None),
        ("ratio > 2", None),
        ("", None),
    ],
)
def test_a_condition_is_a_line_only_where_it_is_a_number(text: str, found: tuple[str, float] | None) -> None:
    assert comparison(text) == found


def test_which_way_is_bad_is_known_of_other_conditions_too() -> None:
    assert falls("< 50 % of baseline")
    assert not falls("> 2 x baseline")
    assert not falls("")
