"""Closed windows in the order in which the rules get to see them, late revisions in between. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.windows import Window


@dataclass(frozen=True, slots=True)
class Look:
    """One revision of one window: its numbers, and when they became known.

    ``passed`` is the event time up to which windows without rows had been judged by then; None where that is not known.
    """

    window: Window
    revision: int
    seen: datetime
    metrics: tuple[WindowMetric, ...] = ()
    passed: datetime | None = None


def in_order(looks: Iterable[Look]) -> list[Look]:
    """Return ``looks`` as they came: windows by their times, each revision after what was there when it was made.

    Windows are closed in the order of event time whatever the clocks say, and a revision comes after the window and the
    revisions before it.
    """
    sorted_looks = sorted(looks, key=lambda one: (one.revision > 0, one.window, one.revision))
    found: list[Look] = []
    latest: datetime | None = None
    of_window: dict[Window, datetime] = {}
    for one in sorted_looks:
        before = of_window.get(one.window) if one.revision else latest
        seen = one.seen if before is None else max(one.seen, before)
        of_window[one.window] = seen
        latest = latest if one.revision else seen
        found.append(replace(one, seen=seen))
    return sorted(found, key=lambda one: (one.seen, one.revision > 0, one.window, one.revision))
