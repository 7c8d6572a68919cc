"""What goes wrong on the demo's day, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from inferwatch.schemas.windows import Window

WINDOW = timedelta(minutes=15)
"""Length of the demo's windows; incidents start and end at their borders."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One planted failure: what it is, which rules may find it, and when it lasts."""

    name: str
    rules: tuple[str, ...]
    period: Window
    story: str


def planted(day: datetime) -> tuple[Incident, ...]:
    """Return the three incidents of the day that starts at ``day``, far enough apart to tell their alerts apart."""

    def lasting(hours: float, minutes: int) -> Window:
        start = day + timedelta(hours=hours)
        return Window(start, start + timedelta(minutes=minutes))

    return (
        Incident(
            "new-topic",
            ("input-drift",),
            lasting(8, 105),
            "a battery recall is announced: 45 % of the customers ask about something nobody asked before",
        ),
        Incident(
            "toxic-answers",
            ("toxic-answers",),
            lasting(13.5, 90),
            "model sparrow-2 abuses the customer in three of ten answers",
        ),
        Incident(
            "invented-answers",
            ("unsupported-answers",),
            lasting(18.5, 105),
            "prompt version v7 makes up numbers, policies and people",
        ),
    )
