"""What has been stored and what has not: the store's progress against the extent of its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from inferwatch.schemas.clock import Clock
from inferwatch.schemas.windows import EPOCH
from inferwatch.streams.ports import Extent, Source, Store
from inferwatch.streams.watermark import Progress

NOTHING = Extent(0, 0)


@dataclass(slots=True)
class _Seen:
    """A partition at the last look. Times are of the monotonic clock, so that no step of the wall clock counts."""

    next_offset: int
    grown_at: float
    waiting_since: float | None = None


class ProgressWatch:
    """Follows every partition of a source, or of whatever was stored where there is none.

    How long a partition has been silent is measured here, between two looks. At the first look wall clocks are all
    there is: a partition has then been silent for as long as both this process's clock and that of whoever stored
    anything last say, so that one wrong clock makes none of them idle.
    """

    def __init__(self, store: Store, source: Source | None, clock: Clock) -> None:
        self._store = store
        self._source = source
        self._clock = clock
        self._seen: dict[tuple[str, int], _Seen] = {}

    def read(self) -> list[Progress]:
        """Return the progress of every partition.

        What is stored is read first and how far the source reaches after it. So "all of it is stored" is true of the
        moment of the second reading: a record that comes between the two makes a backlog, never the reverse, and a
        partition called idle held nothing then that is not stored. Read the other way round, a partition could be
        called idle although old records had come into it since. Rows are written before the progress that covers
        them, so whoever counts rows after this call counts all that the progress speaks of.

        Raises:
            StoreUnavailable, Retryable: call again; what the store and the source say is not known now.
        """
        wall, now = self._clock.now(), self._clock.monotonic()
        stored = self._stored()
        extents: Mapping[tuple[str, int], Extent] = {}
        if self._source is not None:
            extents = {(self._source.topic, number): extent for number, extent in self._source.extents().items()}
        wall = min(wall, max((updated_at for _, _, updated_at in stored.values()), default=wall))
        return [self._progress(place, stored, extents, wall, now) for place in sorted(stored.keys() | extents.keys())]

    def _progress(
        self,
        place: tuple[str, int],
        stored: Mapping[tuple[str, int], tuple[int, datetime, datetime]],
        extents: Mapping[tuple[str, int], Extent],
        wall: datetime,
        now: float,
    ) -> Progress:
        next_offset, latest, updated_at = stored.get(place, (0, EPOCH, wall))
        seen = self._seen.get(place)
        if seen is None:
            silent = max((wall - updated_at).total_seconds(), 0.0)
            seen = self._seen[place] = _Seen(next_offset, now - silent)
        elif next_offset > seen.next_offset:
            seen.next_offset, seen.grown_at, seen.waiting_since = next_offset, now, None
        extent = extents.get(place, NOTHING)
        # Records that the source itself has dropped can no longer be stored.
        if max(next_offset, extent.first) >= extent.end:
            seen.waiting_since = None
        elif seen.waiting_since is None:
            seen.waiting_since = now
        return Progress(
            *place,
            latest if latest > EPOCH else None,
            timedelta(seconds=now - seen.grown_at),
            None if seen.waiting_since is None else timedelta(seconds=now - seen.waiting_since),
        )

    def _stored(self) -> dict[tuple[str, int], tuple[int, datetime, datetime]]:
        only = "" if self._source is None else "WHERE topic = {topic:String}"
        rows = self._store.query(
            f"SELECT topic, partition, next_offset, max_timestamp, updated_at FROM progress {only}",
            None if self._source is None else {"topic": self._source.topic},
        ).to_pylist()
        return {
            (row["topic"], row["partition"]): (row["next_offset"], row["max_timestamp"], row["updated_at"])
            for row in rows
        }


class Arrivals:
    """Which stretches of event time records have been stored for since the last look.

    Time is counted in offsets, which no clock error, pause or delay of a worker can upset: within a partition, what is
    stored later has a higher offset, except for records stored again, which are the same rows.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: dict[str, int] = {"": 0}

    def skip(self) -> None:
        """Take note of everything stored so far, without returning it."""
        rows = self._store.query("SELECT topic, partition, next_offset FROM progress").to_pylist()
        self._seen = {"": 0} | {f"{row['topic']}/{row['partition']}": row["next_offset"] for row in rows}

    def read(self) -> list[tuple[datetime, datetime]]:
        """Return the intervals ``[first, last]`` that hold the event times of what was stored since the last look."""
        rows = self._store.query(
            "SELECT concat(topic, '/', toString(partition)) AS place, pane, max(p.next_offset) AS reached, "
            "max(p.max_timestamp) AS last FROM progress_raw AS p WHERE pane > toDateTime64(0, 3, 'UTC') "
            "AND p.next_offset > transform(place, {places:Array(String)}, {seen:Array(UInt64)}, toUInt64(0)) "
            "GROUP BY place, pane",
            {"places": list(self._seen), "seen": list(self._seen.values())},
        ).to_pylist()
        for row in rows:
            self._seen[row["place"]] = max(self._seen.get(row["place"], 0), row["reached"])
        return [(row["pane"], row["last"]) for row in rows]
