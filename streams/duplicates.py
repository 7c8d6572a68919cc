"""Which records of a batch carry an ``id`` that another record already has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from inferwatch.streams.ports import DeadLetter, Store

if TYPE_CHECKING:
    from inferwatch.streams.pipeline import Entry

Address = tuple[str, int, int]


def find_duplicates(store: Store, entries: Sequence[Entry], horizon: timedelta) -> dict[int, DeadLetter]:
    """Return the position in ``entries`` -> dead letter of every record whose id belongs to another record.

    The first record of an (application, id) within ``horizon`` wins: the one stored, else the first of the batch. A
    record that is itself stored already is a redelivery, not a duplicate. Copies that two workers store at the same
    moment share their sorting key when their timestamps agree, and the views show one.

    Args:
        store: where earlier records are.
        entries: of one batch, in order.
        horizon: two records further apart in event time are two records, whatever their ids. Producers retry within
            minutes; what is searched, and with it the cost, grows with horizon and traffic.
    """
    if not entries:
        return {}
    owners: dict[tuple[str, str], list[tuple[Address, datetime]]] = {}
    stored = store.query(
        "SELECT application, id, topic, partition, offset, timestamp FROM inferences_raw "
        "WHERE application IN {applications:Array(String)} AND id IN {ids:Array(String)} "
        "AND timestamp BETWEEN {start:DateTime64(3, 'UTC')} AND {end:DateTime64(3, 'UTC')}",
        {
            "applications": sorted({entry.log.application for entry in entries}),
            "ids": sorted({entry.log.id for entry in entries}),
            "start": min(entry.log.timestamp for entry in entries) - horizon,
            "end": max(entry.log.timestamp for entry in entries) + horizon,
        },
    )
    for row in stored.to_pylist():
        address = (row["topic"], row["partition"], row["offset"])
        owners.setdefault((row["application"], row["id"]), []).append((address, row["timestamp"]))
    found: dict[int, DeadLetter] = {}
    for position, entry in enumerate(entries):
        key = (entry.log.application, entry.log.id)
        address = (entry.record.topic, entry.record.partition, entry.record.offset)
        known = owners.setdefault(key, [])
        near = [owner for owner, at in known if abs(at - entry.log.timestamp) <= horizon]
        if not near:
            known.append((address, entry.log.timestamp))
        elif address not in near:
            first = "/".join(map(str, min(near)))
            detail = f"'id' {entry.log.id!r} of application {entry.log.application!r} is already taken by {first}"
            found[position] = DeadLetter(entry.record, "duplicate_id", detail)
    return found
