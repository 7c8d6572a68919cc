"""The laws of one alert instance, in event time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.schemas.alerts import AlertState, State, Transition
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.alerting.evaluation import Memory
from inferwatch.streams.alerting.reading import Reading, read
from inferwatch.streams.alerting.state import step

DAY = datetime(2026, 3, 1, tzinfo=UTC)
SIZE = timedelta(minutes=15)
SERIES = SeriesKey("shop")


def rule(**changes: Any) -> Rule:
    return Rule.model_validate({"name": "r", "metric": "error.rate", "when": "> 5 %", "min_events": 10} | changes)


def number(place: int, value: float, n: int = 100, metric: str = "error.rate") -> WindowMetric:
    window = Window(DAY + place * SIZE, DAY + (place + 1) * SIZE)
    return WindowMetric(window, SERIES, metric, value, n, n)


def reading(the_rule: Rule, metric: WindowMetric) -> Reading:
    return read(the_rule, metric.window, metric, Memory([the_rule], SIZE), metric.window.start)


def run(the_rule: Rule, numbers: list[WindowMetric], state: AlertState | None = None) -> list[Transition]:
    found = []
    state = state or AlertState()
    for metric in numbers:
        state, transitions = step(the_rule, state, "f" * 16, SERIES.labels(), reading(the_rule, metric))
        found += transitions
    return found


def path(the_rule: Rule, *values: float, n: int = 100) -> list[tuple[int, str]]:
    """Return (window, new state) of each transition over windows 0, 1, 2, … with these values."""
    found = run(the_rule, [number(place, value, n) for place, value in enumerate(values)])
    return [((one.at - DAY) // SIZE - 1, one.to_state.value) for one in found]


@pytest.mark.parametrize(
    ("hold", "values", "expected"),
    [
        ("0s", [0.1], [(0, "firing")]),
        ("1s", [0.1, 0.1], [(0, "pending"), (1, "firing")]),
        ("15m", [0.1, 0.1], [(0, "pending"), (1, "firing")]),
        ("16m", [0.1, 0.1, 0.1], [(0, "pending"), (2, "firing")]),
        ("30m", [0.1, 0.1, 0.1], [(0, "pending"), (2, "firing")]),
        ("15m", [0.1, 0.0, 0.1, 0.1], [(0, "pending"), (1, "inactive"), (2, "pending"), (3, "firing")]),
        ("0s", [0.1, 0.1, 0.0, 0.1], [(0, "firing"), (2, "resolved"), (3, "firing")]),
        ("15m", [0.1, nan, 0.1], [(0, "pending"), (2, "firing")]),
        ("0s", [0.1, nan, nan, 0.0], [(0, "firing"), (3, "resolved")]),
        ("0s", [0.05, nan, 0.04], []),
    ],
)
def test_a_condition_fires_once_it_has_held_for_long_enough(
    hold: str, values: list[float], expected: list[tuple[int, str]]
) -> None:
    assert path(rule(**{"for": hold}), *values) == expected


def test_an_alert_keeps_firing_until_it_has_been_over_for_long_enough() -> None:
    kept = rule(keep_firing_for="30m", resolve_when="< 2 %")
    assert path(kept, 0.1, 0.0, 0.0, 0.0) == [(0, "firing"), (1, "recovering"), (3, "resolved")]
    assert path(kept, 0.1, 0.0, 0.03, 0.0, nan, 0.0) == [
        (0, "firing"), (1, "recovering"), (2, "firing"), (3, "recovering"), (5, "resolved"),
    ]  # fmt: skip


def test_nobody_is_told_of_an_alert_that_recovers_and_falls_back() -> None:
    kept = rule(keep_firing_for="30m")
    numbers = [number(place, value) for place, value in enumerate([0.1, 0.0, 0.1, 0.0, 0.0, 0.0])]
    found = run(kept, numbers)
    assert [one.to_state for one in found if one.told] == [State.FIRING, State.RESOLVED]
    assert [one.sequence for one in found] == [1, 2, 3, 4, 5]
    assert len({one.alert_id for one in found}) == 1


def test_recovery_has_its_own_threshold() -> None:
    assert path(rule(resolve_when="< 2 %"), 0.1, 0.03, 0.03, 0.01, 0.03) == [(0, "firing"), (3, "resolved")]


def test_too_few_rows_change_nothing_and_resolve_nothing() -> None:
    assert path(rule(), 0.5, n=9) == []
    assert run(rule(), [number(0, 0.5), number(1, 0.0, 9)])[-1].to_state is State.FIRING


def test_the_count_of_rows_needs_no_minimum() -> None:
    quiet = rule(metric="inferences", when="< 5", min_events=20)
    assert [one.to_state for one in run(quiet, [number(0, 3.0, 3, "inferences")])] == [State.FIRING]


def test_a_gap_in_time_counts_as_time() -> None:
    found = run(rule(**{"for": "30m"}), [number(0, 0.1), number(5, 0.1)])
    assert [one.to_state for one in found] == [State.PENDING, State.FIRING]


def test_an_episode_has_one_alert_id_and_says_since_when() -> None:
    found = run(rule(**{"for": "15m"}), [number(place, value) for place, value in enumerate([0, 0.1, 0.2, 0.0, 0.3])])
    pending, firing, resolved, again = found
    assert pending.alert_id == firing.alert_id == resolved.alert_id != again.alert_id
    assert {one.since for one in (pending, firing, resolved)} == {DAY + SIZE}
    assert (firing.value, firing.threshold, firing.n, firing.at) == (0.2, "> 0.05", 100, DAY + 3 * SIZE)
    assert len({one.id for one in found}) == 4


VALUES = st.lists(st.one_of(st.just(nan), st.floats(0, 1)), max_size=30)
RULES = st.builds(
    lambda hold, kept, recovery: rule(
        **{"for": hold, "keep_firing_for": kept} | ({"resolve_when": recovery} if recovery else {})
    ),
    st.sampled_from(["0s", "10m", "15m", "20m", "45m", "2h"]),
    st.sampled_from(["0s", "15m", "40m"]),
    st.sampled_from([None, "< 2 %", "<= 5 %"]),
)


@given(RULES, VALUES)
def test_it_never_fires_before_it_was_breached_for_long_enough(the_rule: Rule, values: list[float]) -> None:
    numbers = [number(place, value) for place, value in enumerate(values)]
    for fired in (one for one in run(the_rule, numbers) if one.to_state is State.FIRING and one.told):
        episode = [one for one in numbers if fired.since <= one.window.start and one.window.end <= fired.at]
        known = [one for one in episode if one.known]
        assert all(the_rule.when.holds(one.value) for one in known)
        assert known[0].window.start == fired.since
        assert fired.at - known[0].window.end >= the_rule.hold


@given(RULES, VALUES)
def test_firing_and_resolved_take_turns(the_rule: Rule, values: list[float]) -> None:
    found = run(the_rule, [number(place, value) for place, value in enumerate(values)])
    told = [one.to_state for one in found if one.told]
    assert told == [State.FIRING, State.RESOLVED] * (len(told) // 2) + [State.FIRING] * (len(told) % 2)
    assert all(before.to_state is after.from_state for before, after in pairwise(found))


@given(RULES, VALUES, st.integers(0, 30))
def test_a_state_kept_and_taken_up_again_gives_the_same(the_rule: Rule, values: list[float], cut: int) -> None:
    numbers = [number(place, value) for place, value in enumerate(values)]
    state = AlertState()
    found: list[Transition] = []
    for metric in numbers[:cut]:
        state, transitions = step(the_rule, state, "f" * 16, SERIES.labels(), reading(the_rule, metric))
        found += transitions
    assert found + run(the_rule, numbers[cut:], state) == run(the_rule, numbers)
