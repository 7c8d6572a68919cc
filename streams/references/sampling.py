"""Rows of a period for a reference: which there are, and a hash-determined sample of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as default
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from inferwatch.detectors.base import F32
from inferwatch.streams.ports import Store
from inferwatch.streams.references.seasons import Season
from inferwatch.streams.references.stored import in_order, vectors_of

PANES = 20
PANE_ROWS = 100


@dataclass(frozen=True)
class Scope:
    """The vectors of one field of one application in ``[start, end)``; ``where`` narrows them down further."""

    application: str
    field: str
    start: datetime
    end: datetime
    revision: str | None = None
    where: str = "1"
    parameters: Mapping[str, Any] = default(default_factory=dict)

    @property
    def condition(self) -> str:
        revision = "1" if self.revision is None else "encoder_revision = {revision:String}"
        return (
            "application = {application:String} AND field = {field:String} "
            "AND timestamp >= {start:DateTime64(3, 'UTC')} AND timestamp < {end:DateTime64(3, 'UTC')} "
            f"AND {revision} AND {self.where}"
        )

    @property
    def bound(self) -> dict[str, Any]:
        own = {"application": self.application, "field": self.field, "start": self.start, "end": self.end}
        return own | ({"revision": self.revision} if self.revision is not None else {}) | dict(self.parameters)


@dataclass(frozen=True)
class Rows:
    """n rows in the order of their times; ``slots`` is 0 without a season."""

    ids: tuple[str, ...]
    vectors: F32
    timestamps: tuple[datetime, ...]
    slots: tuple[int, ...]

    @classmethod
    def of(cls, table: pa.Table) -> Rows:
        """Read a table of id, timestamp, vector and perhaps slot."""
        slots = _column(table, "slot") if "slot" in table.column_names else [0] * table.num_rows
        ids, times = tuple(_column(table, "id")), tuple(_column(table, "timestamp"))
        return cls(ids, vectors_of(table), times, tuple(slots)).sorted()

    def sorted(self) -> Rows:
        """Return them in the order of their times, and of their ids where those are equal."""
        order = np.array(sorted(range(len(self.ids)), key=lambda row: (self.timestamps[row], self.ids[row])), int)
        times, slots = in_order(self.timestamps, order), in_order(self.slots, order)
        return Rows(in_order(self.ids, order), self.vectors[order], times, slots)


def revisions(store: Store, scope: Scope) -> dict[str, int]:
    """Return encoder revision -> vectors."""
    rows = store.query(
        f"SELECT encoder_revision, count() AS n FROM embeddings WHERE {scope.condition} GROUP BY 1 ORDER BY 1",
        scope.bound,
    )
    return {str(row["encoder_revision"]): int(row["n"]) for row in rows.to_pylist()}


def start_of_last(store: Store, scope: Scope, rows: int) -> datetime | None:
    """Return from when on ``scope`` holds ``rows`` vectors, counted from its end; None if it holds fewer."""
    found = store.query(
        f"SELECT timestamp FROM embeddings WHERE {scope.condition} "
        "ORDER BY timestamp DESC LIMIT 1 OFFSET {skip:UInt64}",
        scope.bound | {"skip": rows - 1},
    ).to_pylist()
    return found[0]["timestamp"] if found else None


def start_of_first(store: Store, scope: Scope) -> datetime | None:
    """Return the time of the first vector of ``scope``; None if it holds none."""
    found = store.query(
        f"SELECT timestamp FROM embeddings WHERE {scope.condition} ORDER BY timestamp LIMIT 1", scope.bound
    ).to_pylist()
    return found[0]["timestamp"] if found else None


def sample(store: Store, scope: Scope, rows: int, season: Season | None = None) -> Rows:
    """Return at most ``rows`` vectors, or as many of each slot of ``season``; at most one of a conversation.

    Rows of one conversation are alike: as independent ones they would promise more than they know.
    """
    columns = "id, timestamp, CAST(vector, 'Array(Float32)') AS vector"
    if season is None:
        table = store.query(
            f"SELECT {columns} FROM embeddings WHERE {scope.condition} ORDER BY cityHash64(id), id LIMIT {{n:UInt32}}",
            scope.bound | {"n": 2 * rows},
        )
        return Rows.of(_one_of_each(store, scope, table).slice(0, rows))
    hour = "toHour(timestamp, {zone:String})"
    if len(season.slots) == 168:
        hour = f"(toDayOfWeek(timestamp, 0, {{zone:String}}) - 1) * 24 + {hour}"
    table = store.query(
        f"SELECT {columns}, arrayElement({{slots:Array(UInt16)}}, {hour} + 1) AS slot FROM embeddings "
        f"WHERE {scope.condition} ORDER BY cityHash64(id), id LIMIT {{n:UInt32}} BY slot",
        scope.bound | {"n": rows, "zone": season.zone, "slots": list(season.slots)},
    )
    return Rows.of(_one_of_each(store, scope, table))


def panes(store: Store, scope: Scope, size: timedelta, least: int) -> tuple[Rows, list[int], float]:
    """Return up to 100 rows of each of up to 20 windows, which window each is of, and the rows of a usual window.

    Only windows with ``least`` rows are looked at: drift is measured in no smaller ones.
    """
    pane = "intDiv(toUnixTimestamp64Milli(timestamp), {size:Int64})"
    width = size // timedelta(milliseconds=1)
    counts = store.query(
        f"SELECT {pane} AS pane, count() AS n FROM embeddings WHERE {scope.condition} GROUP BY pane "
        "HAVING n >= {least:UInt64} ORDER BY cityHash64(pane), pane LIMIT {panes:UInt32}",
        scope.bound | {"size": width, "least": least, "panes": PANES},
    ).to_pylist()
    if len(counts) < 2:
        return Rows((), np.empty((0, 0), np.float32), (), ()), [], 0.0
    table = store.query(
        f"SELECT id, timestamp, CAST(vector, 'Array(Float32)') AS vector, {pane} AS pane FROM embeddings "
        f"WHERE {scope.condition} AND pane IN {{chosen:Array(Int64)}} "
        "ORDER BY cityHash64(id), id LIMIT {n:UInt32} BY pane",
        scope.bound | {"size": width, "chosen": [row["pane"] for row in counts], "n": PANE_ROWS},
    )
    found = Rows.of(_one_of_each(store, scope, table, by="pane"))
    groups = [round(at.timestamp() * 1000) // width for at in found.timestamps]
    return found, groups, float(np.median([row["n"] for row in counts]))


def _one_of_each(store: Store, scope: Scope, table: pa.Table, by: str = "") -> pa.Table:
    """Return the first row of each conversation (in each ``by``), and every row that belongs to none."""
    ids = _column(table, "id")
    if not ids:
        return table
    known = store.query(
        "SELECT id, conversation_id FROM inferences WHERE application = {application:String} "
        "AND timestamp >= {start:DateTime64(3, 'UTC')} AND timestamp < {end:DateTime64(3, 'UTC')} "
        "AND conversation_id != '' AND id IN {ids:Array(String)}",
        {"application": scope.application, "start": scope.start, "end": scope.end, "ids": ids},
    )
    if not known.num_rows:
        return table
    conversations = dict(zip(_column(known, "id"), _column(known, "conversation_id"), strict=True))
    groups = _column(table, by) if by else [0] * len(ids)
    seen: set[tuple[object, str]] = set()
    kept = []
    for place, (id_, group) in enumerate(zip(ids, groups, strict=True)):
        key = (group, conversations.get(id_, ""))
        if not key[1] or key not in seen:
            seen.add(key)
            kept.append(place)
    return table.take(pa.array(kept, pa.int64()))


def _column(table: pa.Table, name: str) -> list[Any]:
    return table[name].to_pylist()
