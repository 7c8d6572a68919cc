"""Silence, baselines, burn rates and intervals, window by window."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import nan
from typing import Any

import pytest

from inferwatch.schemas.alerts import State
from inferwatch.schemas.metrics import FAULT, WindowMetric, wilson
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.alerting.evaluation import Memory

DAY = datetime(2026, 3, 1, tzinfo=UTC)
SIZE = timedelta(minutes=15)
SHOP = SeriesKey("shop")
Values = Mapping[int, float]


def rule(**changes: Any) -> Rule:
    base = {"name": "r", "metric": "error.rate", "min_events": 10}
    return Rule.model_validate(base | ({} if "burn_rate" in changes else {"when": "> 5 %"}) | changes)


def window(place: int) -> Window:
    return Window(DAY + place * SIZE, DAY + (place + 1) * SIZE)


def number(place: int, value: float, n: int = 100, series: SeriesKey = SHOP, **detail: Any) -> WindowMetric:
    interval = (nan, nan) if value != value else wilson(round(value * n), n)
    return WindowMetric(window(place), series, "error.rate", value, n, n, *interval, detail=detail)


def path(the_rule: Rule, values: Values, until: int | None = None, n: int = 100) -> list[tuple[int, str]]:
    """Return (window, new state) of each transition where only the windows in ``values`` have rows."""
    memory = Memory([the_rule], SIZE)
    for place, value in values.items():
        memory.feed(window(place), [number(place, value, n)])
    if until is not None:
        memory.advance(window(until).end)
    return [((one.at - DAY) // SIZE - 1, one.to_state.value) for one in memory.transitions]


@pytest.mark.parametrize(
    ("changes", "values", "expected"),
    [
        ({}, {0: 0.0, 1: 0.0}, [(5, "no_data")]),
        ({"no_data_after": "50m"}, {0: 0.0}, [(4, "no_data")]),
        ({}, {0: 0.1}, [(0, "firing"), (4, "no_data")]),
        ({"for": "15m"}, {0: 0.1}, [(0, "pending"), (4, "inactive"), (4, "no_data")]),
        ({"keep_firing_for": "2h"}, {0: 0.1, 1: 0.0}, [(0, "firing"), (1, "recovering"), (5, "no_data")]),
        ({}, {0: 0.1, 9: 0.2}, [(0, "firing"), (4, "no_data"), (9, "firing"), (13, "no_data")]),
        ({}, {0: 0.1, 9: 0.0}, [(0, "firing"), (4, "no_data"), (9, "resolved"), (13, "no_data")]),
        ({}, {0: 0.0, 9: 0.1}, [(4, "no_data"), (9, "resolved"), (9, "firing"), (13, "no_data")]),
        (
            {"for": "15m"}, {0: 0.0, 9: 0.1},
            [(4, "no_data"), (9, "resolved"), (9, "pending"), (13, "inactive"), (13, "no_data")],
        ),
        ({"no_data": "keep"}, {0: 0.1, 50: 0.0}, [(0, "firing"), (50, "resolved")]),
        ({"no_data": "resolve"}, {0: 0.1, 9: 0.1}, [(0, "firing"), (4, "resolved"), (9, "firing"), (13, "resolved")]),
        ({"no_data": "resolve", "for": "15m"}, {0: 0.1}, [(0, "pending"), (4, "inactive")]),
        ({"no_data": "fire"}, {0: 0.0, 9: 0.0}, [(4, "firing"), (9, "resolved"), (13, "firing")]),
        ({"no_data": "fire", "for": "15m"}, {0: 0.1}, [(0, "pending"), (4, "firing")]),
        ({"no_data": "fire"}, {0: 0.1, 9: 0.1}, [(0, "firing")]),
        ({}, {0: nan}, []),
        ({}, {0: 0.0, 1: nan, 2: nan, 3: nan, 4: nan}, [(4, "no_data")]),
    ],
)  # fmt: skip
def test_a_silence_is_a_state_of_its_own_and_never_a_zero(
    changes: dict[str, Any], values: Values, expected: list[tuple[int, str]]
) -> None:
    assert path(rule(**({"no_data_after": "1h"} | changes)), values, until=20 if 50 not in values else 51) == expected


def test_a_silence_that_was_judged_is_not_judged_again_when_earlier_rows_have_come() -> None:
    bank = SeriesKey("bank")
    memory = Memory([rule(no_data="fire", no_data_after="15m", applications=["shop"])], SIZE)
    memory.feed(window(0), [number(0, 0.0)])
    for place in (1, 2):
        memory.feed(window(place), [number(place, 0.0, series=bank)])
    memory.feed(window(1), [number(1, 0.0), number(1, 0.0, series=bank)])
    before = memory.transitions
    assert [one.to_state for one in before] == [State.FIRING, State.RESOLVED]
    memory.feed(window(2), [number(2, 0.0, series=bank)])
    assert memory.transitions == before


def test_a_number_that_a_revision_leaves_out_counts_in_no_baseline() -> None:
    memory = Memory([rule()], SIZE)
    memory.feed(window(0), [number(0, 0.5)])
    assert len(memory.numbers("error.rate", SHOP, DAY, DAY + SIZE)) == 1
    memory.feed(window(0), [])
    assert memory.numbers("error.rate", SHOP, DAY, DAY + SIZE) == []


def test_too_few_rows_are_no_silence() -> None:
    assert path(rule(no_data_after="30m"), dict.fromkeys(range(9), 0.5), n=9) == []


def test_a_silence_is_an_episode_of_its_own_unless_the_alert_fired() -> None:
    memory = Memory([rule(no_data_after="1h")], SIZE)
    for place, value in {0: 0.0, 9: 0.1, 20: 0.2, 21: 0.0}.items():
        memory.feed(window(place), [number(place, value)])
    silent, back, fired, unknown, again, resolved = memory.transitions
    assert silent.alert_id == back.alert_id != fired.alert_id
    assert (silent.since, silent.detail["reason"]) == (window(0).end, "no data")
    assert fired.alert_id == unknown.alert_id == again.alert_id == resolved.alert_id
    assert [one.told for one in (silent, back, fired, unknown, again, resolved)] == [True] * 4 + [False, True]
    assert [one.sequence for one in memory.transitions] == [1, 2, 3, 4, 5, 6]


def test_a_segment_that_goes_away_is_missed_only_where_it_fired() -> None:
    memory = Memory([rule(group_by=["model"], no_data_after="1h")], SIZE)
    models = {name: SeriesKey("shop", "model", name) for name in ("good", "bad")}
    memory.feed(window(0), [number(0, 0.0, series=models["good"]), number(0, 0.2, series=models["bad"])])
    memory.advance(window(50).end)
    assert [(one.labels["model"], one.to_state) for one in memory.transitions] == [
        ("bad", State.FIRING), ("bad", State.NO_DATA),
    ]  # fmt: skip


def test_what_cannot_be_computed_for_a_fault_of_ours_is_an_error() -> None:
    memory = Memory([rule(no_data_after="30m", no_data="keep")], SIZE)
    memory.feed(window(0), [number(0, 0.0)])
    for place in (1, 2, 3):
        memory.feed(window(place), [number(place, nan, **{FAULT: "detector failed: MemoryError"})])
    memory.feed(window(4), [number(4, 0.0)])
    failed, back = memory.transitions
    assert (failed.to_state, failed.at, failed.detail["reason"]) == (
        State.ERROR, window(2).end, "detector failed: MemoryError",
    )  # fmt: skip
    assert (back.to_state, back.alert_id) == (State.RESOLVED, failed.alert_id)


def test_few_rows_do_not_fire_where_the_lower_end_of_the_interval_has_to() -> None:
    sure = rule(when="ci_low > 5 %", resolve_when="< 5 %")
    assert path(sure, {0: 0.1}, n=20) == []
    assert path(sure, {0: 0.1, 1: 0.06, 2: 0.04}, n=1000) == [(0, "firing"), (2, "resolved")]


def test_a_number_without_an_interval_changes_nothing_where_one_is_asked_for() -> None:
    memory = Memory([rule(when="ci_low > 5 %")], SIZE)
    memory.feed(window(0), [WindowMetric(window(0), SHOP, "error.rate", 0.9, 100, 100)])
    assert memory.transitions == []


@pytest.mark.parametrize(
    ("compare", "when", "values", "expected"),
    [
        ({"to": "previous"}, "> 2", {0: 0.1, 1: 0.1, 2: 0.21, 3: 0.2}, [(2, "firing"), (3, "resolved")]),
        ({"to": "previous", "over": "15m"}, "> 2", {0: 0.1, 1: 0.1, 2: 0.21, 3: 0.5}, [(2, "firing")]),
        ({"to": "previous", "as": "difference"}, "> 5 %", {0: 0.1, 1: 0.16, 2: 0.1}, [(1, "firing"), (2, "resolved")]),
        ({"to": "yesterday"}, "> 2", {0: 0.1, 96: 0.3}, [(96, "firing")]),
        ({"to": "yesterday", "over": "15m"}, "> 2", {0: 0.1, 97: 0.3}, []),
        ({"to": "last_week"}, "> 2", {0: 0.1, 96: 0.01, 7 * 96: 0.3}, [(672, "firing")]),
        ({"to": "previous"}, "> 2", {0: 0.9}, []),
        ({"to": "previous"}, "> 2", {0: 0.0, 1: 0.0, 2: 0.01}, [(2, "firing")]),
    ],
)
def test_a_change_is_judged_against_an_earlier_period(
    compare: dict[str, Any], when: str, values: Values, expected: list[tuple[int, str]]
) -> None:
    assert path(rule(compare=compare, when=when, no_data="keep"), values) == expected


def test_a_budget_has_to_burn_fast_over_a_long_and_over_a_short_time() -> None:
    burn = rule(burn_rate={"objective": "99 %", "long": "1h", "short": "15m", "factor": 5}, no_data="keep")
    # 20 % of the rows of one window are 5 % of the hour's: fast enough, until the window after it is good.
    assert path(burn, {0: 0.0, 1: 0.0, 2: 0.0, 3: 0.2, 4: 0.0}) == []
    assert path(burn, {0: 0.0, 1: 0.0, 2: 0.0, 3: 0.24, 4: 0.0}) == [(3, "firing"), (4, "resolved")]
    assert path(burn, dict.fromkeys(range(8), 0.06)) == [(0, "firing")]
    memory = Memory([burn], SIZE)
    for place, value in {0: 0.0, 1: 0.0, 2: 0.0, 3: 0.24}.items():
        memory.feed(window(place), [number(place, value)])
    assert memory.transitions[0].detail["burn"] == pytest.approx({"long": 6.0, "short": 24.0, "n": 400})


def test_one_rule_is_judged_alike_whatever_the_others_look_back_to() -> None:
    short, long = rule(no_data_after="30m"), rule(name="other", no_data_after="1d")
    alone, together = Memory([short], SIZE), Memory([short, long], SIZE)
    for place in (0, 1, 40, 41):
        for memory in (alone, together):
            memory.feed(window(place), [number(place, 0.0, series=SeriesKey("bank"))])
            memory.feed(window(place), [number(place, 0.2 if place else 0.0)])
    assert [one for one in together.transitions if one.rule == "r"] == alone.transitions
