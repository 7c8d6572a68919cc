"""Event-time windows and the series they are computed for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALL = "__all__"
"""Segment dimension and value of the series that holds every row of an application."""
OTHER = "__other__"
"""Segment value that takes every value beyond the cap."""


@dataclass(frozen=True, order=True, slots=True)
class Window:
    """Half-open event-time interval ``[start, end)`` in aware UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError(f"a window needs aware times, got {self.start!r} and {self.end!r}")
        if self.end <= self.start:
            raise ValueError(f"a window must end after it starts, got [{self.start}, {self.end})")

    @property
    def size(self) -> timedelta:
        return self.end - self.start

    def __contains__(self, at: datetime) -> bool:
        return self.start <= at < self.end


def floor(at: datetime, step: timedelta) -> datetime:
    """Return the latest multiple of ``step`` since the Unix epoch that is not after ``at``."""
    if step <= timedelta(0):
        raise ValueError(f"a step must be positive, got {step}")
    return EPOCH + ((at - EPOCH) // step) * step


def tumbling(at: datetime, size: timedelta) -> Window:
    """Return the tumbling window of length ``size``, aligned to the Unix epoch, that holds ``at``.

    >>> tumbling(datetime(2026, 1, 1, 0, 7, tzinfo=UTC), timedelta(minutes=5)).start.minute
    5
    """
    start = floor(at, size)
    return Window(start, start + size)


def sliding(at: datetime, size: timedelta, slide: timedelta) -> list[Window]:
    """Return the windows of length ``size`` that hold ``at``, oldest first; they start at multiples of ``slide``.

    ``slide`` divides ``size`` evenly, so there are ``size / slide`` of them.

    >>> found = sliding(datetime(2026, 1, 1, 0, 7, tzinfo=UTC), timedelta(minutes=10), timedelta(minutes=5))
    >>> [window.start.minute for window in found]
    [0, 5]
    """
    latest = floor(at, slide)
    starts = (latest - n * slide for n in reversed(range(size // slide)))
    return [Window(start, start + size) for start in starts]


@dataclass(frozen=True, order=True, slots=True)
class SeriesKey:
    """One monitored series: an application, or one segment of it."""

    application: str
    dimension: str = ALL
    value: str = ALL

    def labels(self) -> dict[str, str]:
        """Return the series as alert labels; the whole application has no segment label."""
        found = {"application": self.application}
        if self.dimension != ALL:
            found[self.dimension] = self.value
        return found
