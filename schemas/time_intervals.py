"""Recurring times, such as nights and weekends, in the terms of Alertmanager's time intervals."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from inferwatch.schemas.baselines import TimeZone

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_CLOCK = re.compile(r"(\d\d):(\d\d)")

Span = tuple[int, int]
"""First and last, both included."""


def _minutes(text: str) -> int:
    """Return the minutes since midnight of ``17:30``; ``24:00`` is the end of the day."""
    found = _CLOCK.fullmatch(text)
    minutes = int(found[1]) * 60 + int(found[2]) if found and int(found[2]) < 60 else -1
    if not 0 <= minutes <= 24 * 60:
        raise ValueError(f"must be a time of day from '00:00' to '24:00', got {text!r}")
    return minutes


def _time_of_day(text: str) -> str:
    _minutes(text)
    return text


def _span(text: str, number: Callable[[str], int]) -> Span:
    first, _, last = text.partition(":")
    found = number(first.strip()), number((last or first).strip())
    if found[0] > found[1] and (found[0] < 0) == (found[1] < 0):
        raise ValueError(f"must not end before it begins, got {text!r}")
    return found


def _named(names: Sequence[str]) -> Callable[[str], int]:
    def number(text: str) -> int:
        if text.lower() in names:
            return names.index(text.lower()) + 1
        if text.isdecimal() and names is MONTHS and 1 <= int(text) <= len(names):
            return int(text)
        raise ValueError(f"must be one of {', '.join(names)}, got {text!r}")

    return number


def _day(text: str) -> int:
    found = int(text) if re.fullmatch(r"-?\d{1,2}", text) else 0
    if not 1 <= abs(found) <= 31:
        raise ValueError(f"must be a day from 1 to 31, or from -1 (the month's last) to -31, got {text!r}")
    return found


def _year(text: str) -> int:
    if not re.fullmatch(r"\d{4}", text):
        raise ValueError(f"must be a year such as 2026, got {text!r}")
    return int(text)


def _spans(number: Callable[[str], int]) -> AfterValidator:
    def check(text: str) -> str:
        _span(text, number)
        return text

    return AfterValidator(check)


_weekday, _month = _named(WEEKDAYS), _named(MONTHS)


class TimeRange(BaseModel):
    """From ``start_time`` on, until ``end_time``: ``{start_time: "22:00", end_time: "24:00"}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_time: Annotated[str, AfterValidator(_time_of_day)]
    end_time: Annotated[str, AfterValidator(_time_of_day)]

    def model_post_init(self, _: object) -> None:
        if _minutes(self.start_time) >= _minutes(self.end_time):
            raise ValueError(
                f"end_time must be after start_time, got {self.start_time} to {self.end_time}; a night is two ranges, "
                "to 24:00 and from 00:00"
            )

    def holds(self, minute: int) -> bool:
        return _minutes(self.start_time) <= minute < _minutes(self.end_time)


class TimeInterval(BaseModel):
    """The times that satisfy every key given; a key's list is satisfied by any of its items.

    Local time of ``location``, so that nights stay nights when clocks change.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: tuple[TimeRange, ...] = Field(default=(), description="Times of day. Empty: all day.")
    weekdays: tuple[Annotated[str, _spans(_weekday)], ...] = Field(
        default=(), description="Names of days, or `monday:friday`."
    )
    days_of_month: tuple[Annotated[str, _spans(_day)], ...] = Field(
        default=(), description="`1:5`; negative days count from the end: `-3:-1`."
    )
    months: tuple[Annotated[str, _spans(_month)], ...] = Field(
        default=(), description="Names or numbers, or `june:august`."
    )
    years: tuple[Annotated[str, _spans(_year)], ...] = Field(default=(), description="`2026`, or `2026:2028`.")
    location: TimeZone = Field(default="UTC", description="IANA name of the time zone.")

    def holds(self, at: datetime) -> bool:
        """Return whether the aware time ``at`` is in it."""
        local = at.astimezone(ZoneInfo(self.location))
        minute, length = local.hour * 60 + local.minute, monthrange(local.year, local.month)[1]
        return (
            (not self.times or any(one.holds(minute) for one in self.times))
            and _any(self.weekdays, _weekday, local.isoweekday())
            and _any(self.months, _month, local.month)
            and _any(self.years, _year, local.year)
            and (not self.days_of_month or any(_in_month(one, local.day, length) for one in self.days_of_month))
        )


def _any(spans: Sequence[str], number: Callable[[str], int], value: int) -> bool:
    return not spans or any(first <= value <= last for first, last in (_span(one, number) for one in spans))


def _in_month(text: str, day: int, length: int) -> bool:
    first, last = (one if one > 0 else length + 1 + one for one in _span(text, _day))
    return first <= day <= last


class NamedIntervals(BaseModel):
    """Times with a name, for routes to be mute or active at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    time_intervals: tuple[TimeInterval, ...] = Field(min_length=1)

    def holds(self, at: datetime) -> bool:
        """Return whether ``at`` is in any of its intervals."""
        return any(one.holds(at) for one in self.time_intervals)
