"""Mute and active times of a route. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from inferwatch.schemas.time_intervals import NamedIntervals
from inferwatch.streams.alerting.route.tree import Node


def muted(route: Node, intervals: Mapping[str, NamedIntervals], now: datetime) -> bool:
    """Return whether ``route`` sends nothing at ``now``: it is in a mute time, or in none of its active times."""
    if any(intervals[name].holds(now) for name in route.mute):
        return True
    return bool(route.active) and not any(intervals[name].holds(now) for name in route.active)
