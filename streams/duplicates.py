"""Which records of a batch carry an ``id`` that another record already has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from inferwatch.streams.ports import DeadLetter, Store

if TYPE_CHECKING:
    from inferwatch.streams.pipeline import Entry

HORIZON = timedelta(days=1)
"""A repeated id is looked for this far around the batch's event times; producers retry within minutes."""

Address = tuple[str, int, int]


def find_duplicates(store: Store, entries: Sequence[Entry]) -> dict[int, DeadLetter]:
    """Return the position in ``entries`` -> dead letter of every record whose id belongs to another record.

    The first record of an (application, id) wins: the one stored, else the first of the batch. A record that is
    itself stored already is a redelivery, not a duplicate. Copies that two workers store at the same moment
    share their sorting key when their timestamps agree, and the views show one.
    """
    if not entries:
        return {}
    owners: dict[tuple[str, str], set[Address]] = {}
    stored = store.query(
        "SELECT application, id, topic, partition, offset FROM inferences_raw "
        "WHERE application IN {applications:Array(String)} AND id IN {ids:Array(String)} "
        "AND timestamp BETWEEN {start:DateTime64(3, 'UTC')} AND {end:DateTime64(3, 'UTC')}",
        {
            "applications": sorted({entry.log.application for entry in entries}),
            "ids": sorted({entry.log.id for entry in entries}),
            "start": min(entry.log.timestamp for entry in entries) - HORIZON,
            "end": max(entry.log.timestamp for entry in entries) + HORIZON,
        },
    )
    for row in stored.to_pylist():
        address = (row["topic"], row["partition"], row["offset"])
        owners.setdefault((row["application"], row["id"]), set()).add(address)
    found: dict[int, DeadLetter] = {}
    for position, entry in enumerate(entries):
        key = (entry.log.application, entry.log.id)
        address = (entry.record.topic, entry.record.partition, entry.record.offset)
        owned = owners.setdefault(key, {address})
        if address not in owned:
            first = "/".join(map(str, min(owned)))
            detail = f"'id' {entry.log.id!r} of application {entry.log.application!r} is already taken by {first}"
            found[position] = DeadLetter(entry.record, "duplicate_id", detail)
    return found
