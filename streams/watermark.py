"""How far event time has come, from what each partition has stored and still holds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known of one source partition.

    ``max_timestamp`` is the latest event time stored, None where nothing was. ``silent`` is how long its stored part
    has not grown. ``waiting`` is how long records of it have been seen lying in the source unstored without any of
    them being stored, None where everything is stored.
    """

    topic: str
    partition: int
    max_timestamp: datetime | None
    silent: timedelta
    waiting: timedelta | None = None

    def stalled(self, stall_timeout: timedelta) -> bool:
        """Return whether nobody seems to store what it holds."""
        return self.waiting is not None and self.waiting >= stall_timeout


def watermark(
    progress: Sequence[Progress], *, lateness: timedelta, idle_timeout: timedelta, stall_timeout: timedelta
) -> datetime | None:
    """Return the event time up to which rows are complete; None while that is unknown.

    A partition with records that are not stored yet is waited for, however long it is silent, until it has stalled:
    one that was never stored could hold records of any time, so nothing is complete before it. A partition all of
    which is stored is waited for while it is active, that is until it has been silent for ``idle_timeout``. The slowest
    of those waited for decides. When there are none, event time goes on at the speed of the clock from the latest
    event time seen, so that the last windows close although nothing arrives any more.

    The result can step back when an idle partition wakes up with old rows; ``closing.Closer`` never goes back.
    """
    awaited = [
        part
        for part in progress
        if not part.stalled(stall_timeout)
        and (part.waiting is not None or (part.silent < idle_timeout and part.max_timestamp is not None))
    ]
    times = [part.max_timestamp for part in awaited if part.max_timestamp is not None]
    if len(times) < len(awaited):
        return None
    if times:
        return min(times) - lateness
    seen = [(part.max_timestamp, part.silent) for part in progress if part.max_timestamp is not None]
    if not seen:
        return None
    return max(at for at, _ in seen) + max(min(silent for _, silent in seen), timedelta(0)) - lateness
