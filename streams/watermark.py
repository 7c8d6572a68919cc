"""How far event time has come, from what each partition has stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Progress:
    """What is stored of one source partition: its latest event time, and when (wall clock) it last grew."""

    topic: str
    partition: int
    max_timestamp: datetime
    updated_at: datetime


def watermark(
    progress: Sequence[Progress], now: datetime, *, lateness: timedelta, idle_timeout: timedelta
) -> datetime | None:
    """Return the event time up to which rows are believed complete; None before the first row.

    The slowest active partition decides. A partition that stored nothing for ``idle_timeout`` is not waited
    for. When all are idle, event time goes on at the speed of the wall clock from the latest event time seen, so
    that the last windows close although nothing arrives any more.

    The result can step back when an idle partition wakes up with old rows: callers keep the windows they have
    closed closed and republish them with a higher revision.
    """
    if not progress:
        return None
    active = [part for part in progress if now - part.updated_at < idle_timeout]
    if active:
        return min(part.max_timestamp for part in active) - lateness
    silent_for = now - max(part.updated_at for part in progress)
    return max(part.max_timestamp for part in progress) + max(silent_for, timedelta(0)) - lateness
