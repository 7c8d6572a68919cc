"""An incident that is not in any store: what pages and sentences are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import nan
from typing import Any

from inferwatch.schemas.windows import Window
from inferwatch.streams.incidents.episode import Episode, Step
from inferwatch.streams.incidents.incident import Incident
from inferwatch.streams.incidents.numbers import Numbers, Point

T0 = datetime(2026, 3, 1, 14, tzinfo=UTC)
SIZE = timedelta(minutes=5)


def step(frm: str, to: str, place: int, **other: Any) -> Step:
    """Return the transition at the end of window ``place``, counted from 14:00."""
    window = Window(T0 + place * SIZE, T0 + (place + 1) * SIZE)
    return replace(Step(frm, to, window.end, window.end, 0.3, "> 0.02", 40, window, {}), **other)


def episode(*steps: Step, **other: Any) -> Episode:
    """Return an alert since 14:00; without steps, one that fires."""
    steps = steps or (step("inactive", "firing", 0),)
    found = Episode("f-1", "f", "toxic", "toxicity.output.rate", "critical", {"application": "shop"}, T0, steps)
    return replace(found, **other)


def point(place: int, value: float, low: float = nan, high: float = nan, windows: int = 1) -> Point:
    """Return the number of window ``place``."""
    return Point(T0 + place * SIZE, T0 + (place + 1) * SIZE, value, low, high, 10, 10, windows)


def incident(points: Sequence[Point] = (), **other: Any) -> Incident:
    """Return an incident that nothing is known of but its numbers, and what ``other`` says."""
    start, end = T0 - 6 * SIZE, T0 + 6 * SIZE
    found = Incident(
        episode=episode(),
        rule=None,
        title="Toxic outputs: shop",
        description="",
        runbook_url="",
        condition="> 2 %",
        threshold=0.02,
        recovery=0.01,
        down=False,
        told={},
        numbers=Numbers(start, end, tuple(points), points[-1] if points else None, None, nan, 0),
        contributions=None,
        examples=(),
        findings=(),
        picture=False,
        sql="",
        deploys=(),
        neighbours=(),
        messages=(),
        silences=(),
        notes=(),
        gone=(),
    )
    return replace(found, **other)
