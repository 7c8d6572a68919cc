"""Recurring times, in the local time of a place, over changes of its clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from inferwatch.schemas.time_intervals import TimeInterval

SUNDAY = datetime(2026, 3, 1, tzinfo=UTC)


def interval(**keys: Any) -> TimeInterval:
    return TimeInterval.model_validate(keys)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("keys", "inside", "outside"),
    [
        ({}, ["2026-03-01T00:00Z"], []),
        (
            {"times": [{"start_time": "09:00", "end_time": "17:30"}]},
            ["2026-03-01T09:00Z", "2026-03-01T17:29:59Z"],
            ["2026-03-01T08:59:59Z", "2026-03-01T17:30Z"],
        ),
        (
            {"times": [{"start_time": "22:00", "end_time": "24:00"}, {"start_time": "00:00", "end_time": "06:00"}]},
            ["2026-03-01T23:59:59Z", "2026-03-02T00:00Z"],
            ["2026-03-01T06:00Z", "2026-03-01T21:59Z"],
        ),
        ({"weekdays": ["saturday:sunday"]}, ["2026-02-28T00:00Z", "2026-03-01T23:59Z"], ["2026-03-02T00:00Z"]),
        ({"weekdays": ["Monday", "friday"]}, ["2026-03-02T12:00Z", "2026-03-06T12:00Z"], ["2026-03-03T12:00Z"]),
        ({"months": ["january:march", "12"]}, ["2026-03-31T00:00Z", "2026-12-01T00:00Z"], ["2026-04-01T00:00Z"]),
        ({"years": ["2026:2027"]}, ["2027-12-31T23:59Z"], ["2028-01-01T00:00Z"]),
        ({"days_of_month": ["1:3", "-1"]}, ["2026-03-03T00:00Z", "2028-02-29T00:00Z"], ["2028-02-28T00:00Z"]),
        ({"days_of_month": ["-2:-1"]}, ["2026-02-27T00:00Z"], ["2026-02-26T00:00Z"]),
        (
            {"times": [{"start_time": "09:00", "end_time": "10:00"}], "location": "Asia/Kolkata"},
            ["2026-03-01T03:30Z", "2026-03-01T04:29Z"],
            ["2026-03-01T09:30Z"],
        ),
    ],
)
def test_what_is_inside_and_what_is_not(keys: dict[str, Any], inside: list[str], outside: list[str]) -> None:
    found = interval(**keys)
    assert [one for one in inside if not found.holds(at(one))] == []
    assert [one for one in outside if found.holds(at(one))] == []


def test_office_hours_keep_to_the_local_clock_when_it_is_changed() -> None:
    """In 2026 Berlin's clocks go forward on 29 March and back on 25 October."""
    hours = interval(times=[{"start_time": "09:00", "end_time": "17:00"}], location="Europe/Berlin")
    for day, first in (("2026-03-28", "08:00"), ("2026-03-30", "07:00"), ("2026-10-26", "08:00")):
        begin = at(f"{day}T{first}Z")
        assert hours.holds(begin)
        assert not hours.holds(begin - timedelta(minutes=1))
        assert not hours.holds(begin + timedelta(hours=8))


def test_the_hour_that_there_is_twice_is_inside_twice_and_the_one_that_is_left_out_never() -> None:
    night = interval(times=[{"start_time": "02:00", "end_time": "03:00"}], location="Europe/Berlin")
    assert [night.holds(at(f"2026-10-25T0{hour}:30Z")) for hour in range(3)] == [True, True, False]
    assert not any(night.holds(at("2026-03-29T00:00Z") + minute * timedelta(minutes=1)) for minute in range(180))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"times": [{"start_time": "9:00", "end_time": "10:00"}]}, "must be a time of day"),
        ({"times": [{"start_time": "09:00", "end_time": "24:01"}]}, "must be a time of day"),
        ({"times": [{"start_time": "22:00", "end_time": "06:00"}]}, "a night is two ranges"),
        ({"weekdays": ["mon"]}, "must be one of monday"),
        ({"weekdays": ["friday:monday"]}, "must not end before it begins"),
        ({"months": ["13"]}, "must be one of january"),
        ({"days_of_month": ["0"]}, "must be a day from 1 to 31"),
        ({"days_of_month": ["5:1"]}, "must not end before it begins"),
        ({"years": ["26"]}, "must be a year"),
        ({"location": "Berlin"}, "must be a time zone"),
        ({"hours": []}, "Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_wrong(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        interval(**keys)
