"""Which hours of the day or week share a part of a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

import orjson

from inferwatch.schemas.windows import Window

_HOUR = timedelta(hours=1)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Season:
    """``slots`` says of each local hour of the day (24) or week (168, from Monday) which slot it belongs to.

    Raises:
        ValueError: another number of hours.
    """

    zone: str
    slots: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.slots) not in (24, 168):
            raise ValueError(f"a season has 24 or 168 hours, got {len(self.slots)}")

    def hour(self, at: datetime) -> int:
        """Return the place of an instant's local hour in the cycle."""
        return hour_of(at, ZoneInfo(self.zone), len(self.slots))

    def of(self, window: Window) -> tuple[int, ...]:
        """Return the slots that ``window`` touches, in order."""
        if window.size >= len(self.slots) * _HOUR:
            return tuple(sorted(set(self.slots)))
        # Half an hour at a time: some zones are half an hour off, and a change of clocks may skip an hour.
        at, found = window.start, set()
        while at < window.end:
            found.add(self.slots[self.hour(at)])
            at += _HOUR / 2
        found.add(self.slots[self.hour(window.end - timedelta(microseconds=1))])
        return tuple(sorted(found))

    def label(self, slots: Sequence[int]) -> str:
        """Return the hours of some slots for people.

        >>> Season("UTC", (0,) * 8 + (1,) * 12 + (0,) * 4).label([1])
        '08-20h'
        """
        hours = [hour for hour, slot in enumerate(self.slots) if slot in slots]
        runs = [[hour for _, hour in run] for _, run in groupby(enumerate(hours), lambda one: one[1] - one[0])]
        if len(runs) > 1 and runs[0][0] == 0 and runs[-1][-1] == len(self.slots) - 1:
            runs = [*runs[1:-1], runs[-1] + runs[0]]
        return ", ".join(self._run(run[0], run[-1]) for run in runs)

    def _run(self, first: int, last: int) -> str:
        if len(self.slots) == 24:
            return f"{first:02}-{last + 1:02}h"
        return f"{_DAYS[first // 24]} {first % 24:02} - {_DAYS[last // 24]} {last % 24 + 1:02}h"

    def text(self) -> str:
        """Return it as it is stored."""
        return orjson.dumps({"zone": self.zone, "slots": self.slots}).decode()


def hour_of(at: datetime, zone: ZoneInfo, cycle: int) -> int:
    """Return the local hour of the day (``cycle`` 24), or of the week from Monday (168)."""
    local = at.astimezone(zone)
    return local.hour if cycle == 24 else local.weekday() * 24 + local.hour


def season_of(text: str) -> Season | None:
    """Read what ``Season.text`` wrote; None of an empty text."""
    if not text:
        return None
    found = orjson.loads(text)
    return Season(found["zone"], tuple(found["slots"]))
