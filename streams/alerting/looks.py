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
    """Return ``looks`` as they came, each revision of a window after those before it, whatever the clocks said.

    A window may be seen for the first time long after later ones: where all of its rows came late.
    """
    seen: dict[Window, datetime] = {}
    found: list[Look] = []
    for one in sorted(looks, key=lambda one: (one.window, one.revision)):
        seen[one.window] = max(one.seen, seen.get(one.window, one.seen))
        found.append(replace(one, seen=seen[one.window]))
    return sorted(found, key=lambda one: (one.seen, one.revision > 0, one.window, one.revision))
