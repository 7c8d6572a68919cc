"""The versions of references in ClickHouse."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as default
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.reference import Reference
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.windows import Window
from inferwatch.streams.ports import Store
from inferwatch.streams.references.seasons import Season, season_of
from inferwatch.streams.rows import INSTANT, vector_array

_KEPT = 128
"""Versions kept loaded, some 8 MB each: of 64 applications, two fields each, none is read again for every window."""
_VERSION = (
    "application = {application:String} AND field = {field:String} AND name = {name:String} "
    "AND version = {version:UInt32}"
)


@dataclass(frozen=True, slots=True)
class ReferenceInfo:
    """One version of one reference, without its vectors.

    ``origin`` is period, file, first-windows, deploy or rolling. ``findings`` is what spoke against it when it was
    built. ``active_from`` is the event time from which windows are compared with it, if it is the one promoted for the
    latest time; ``active`` says so.
    """

    name: str
    version: int
    application: str
    field: str
    encoder_revision: str
    rows: int
    slots: int
    origin: str
    period_start: datetime
    period_end: datetime
    created_at: datetime
    dispersion: float
    findings: tuple[str, ...]
    active: bool
    active_from: datetime | None


@dataclass(frozen=True)
class Draft:
    """A reference that is not stored yet: n rows, their times and slots, and what was found of them."""

    name: str
    application: str
    field: str
    encoder_revision: str
    period: tuple[datetime, datetime]
    ids: tuple[str, ...]
    vectors: F32
    timestamps: tuple[datetime, ...]
    slots: tuple[int, ...]
    origin: str
    season: Season | None = None
    dispersion: float = 1.0
    verdict: dict[str, Any] = default(default_factory=dict)

    @property
    def findings(self) -> tuple[str, ...]:
        return tuple(self.verdict.get("findings", ()))

    def reference(self, version: int = 0) -> Reference:
        """Return all its rows as a reference."""
        return Reference(
            self.name, version, self.application, self.field, self.encoder_revision, self.ids, self.vectors,
            self.dispersion,
        )  # fmt: skip


class Frozen:
    """A loaded version: hands out the part of it that a window is compared with, the same object every time."""

    def __init__(self, whole: Reference, slots: npt.NDArray[Any], season: Season | None) -> None:
        self.whole = whole
        self._slots = slots
        self._season = season
        self._parts: dict[tuple[int, ...], Reference] = {}

    def at(self, window: Window) -> Reference:
        if self._season is None:
            return self.whole
        wanted = self._season.of(window)
        if wanted not in self._parts:
            rows = np.flatnonzero(np.isin(self._slots, wanted))
            whole = self.whole
            self._parts[wanted] = Reference(
                f"{whole.name} ({self._season.label(wanted)})",
                whole.version,
                whole.application,
                whole.field,
                whole.encoder_revision,
                tuple(whole.ids[row] for row in rows),
                whole.vectors[rows],
                whole.dispersion,
            )
        return self._parts[wanted]


class StoredReferences:
    """Reads and writes versions. A version never changes, so what was loaded is kept (the last 32)."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._loaded: OrderedDict[tuple[str, str, str, int], Frozen] = OrderedDict()

    def next_version(self, draft: Draft) -> int:
        """Return which version of its name ``draft`` would be."""
        last = self._store.query(
            "SELECT max(version) AS version FROM references_raw WHERE application = {application:String} "
            "AND field = {field:String} AND name = {name:String}",
            {"application": draft.application, "field": draft.field, "name": draft.name},
        ).to_pylist()
        return int(last[0]["version"] or 0) + 1

    def save(self, draft: Draft, version: int) -> None:
        """Store ``draft`` as ``version`` of its name."""
        n, now = len(draft.ids), self._clock.now()
        constant = {
            "name": draft.name,
            "application": draft.application,
            "field": draft.field,
            "encoder_revision": draft.encoder_revision,
            "origin": draft.origin,
            "season": draft.season.text() if draft.season else "",
            "verdict": orjson.dumps(draft.verdict).decode(),
        }
        table = pa.table(
            {
                **{column: pa.array([value] * n, pa.string()) for column, value in constant.items()},
                "version": pa.array([version] * n, pa.uint32()),
                "position": pa.array(range(n), pa.uint32()),
                "id": pa.array(draft.ids, pa.string()),
                "vector": vector_array(draft.vectors),
                "timestamp": pa.array(draft.timestamps, INSTANT),
                "slot": pa.array(draft.slots, pa.uint16()),
                "dispersion": pa.array([draft.dispersion] * n, pa.float64()),
                "period_start": pa.array([draft.period[0]] * n, INSTANT),
                "period_end": pa.array([draft.period[1]] * n, INSTANT),
                "created_at": pa.array([now] * n, INSTANT),
            }
        )
        token = f"reference/{draft.application}/{draft.field}/{draft.name}/{version}/{now.isoformat()}"
        self._store.insert("references_raw", table, token=token)

    def versions(self, application: str = "", field: str = "", name: str = "") -> list[ReferenceInfo]:
        """Return every version of every reference, or those of one application, field or name."""
        given = {"application": application, "field": field, "name": name}
        wanted = {column: value for column, value in given.items() if value}
        where = " AND ".join(f"{column} = {{{column}:String}}" for column in wanted) or "1"
        found = self._store.query(
            "SELECT name, version, application, field, encoder_revision, rows, slots, origin, period_start, "
            "period_end, created_at, dispersion, verdict, p.effective_from AS active_from, "
            "p.version != 0 AND (name, version) = (p.name, p.version) AS active "
            "FROM reference_versions AS r LEFT JOIN ("
            "  SELECT application, field, argMax(name, (q.effective_from, promoted_at)) AS name,"
            "    argMax(version, (q.effective_from, promoted_at)) AS version, max(q.effective_from) AS effective_from"
            "  FROM promotions AS q GROUP BY application, field"
            f") AS p ON r.application = p.application AND r.field = p.field WHERE {where} "
            "ORDER BY application, field, name, version",
            wanted,
        ).to_pylist()
        infos = []
        for row in found:
            row["findings"] = tuple(orjson.loads(row.pop("verdict") or "{}").get("findings", ()))
            row["active"] = bool(row["active"])
            row["active_from"] = row["active_from"] if row["active"] else None
            infos.append(ReferenceInfo(**row))
        return infos

    def verdict(self, application: str, field: str, name: str, version: int) -> dict[str, Any]:
        """Return what was found of a version when it was built."""
        found = self._store.query(
            f"SELECT verdict FROM references_raw WHERE {_VERSION} LIMIT 1", _key(application, field, name, version)
        ).to_pylist()
        return dict(orjson.loads(found[0]["verdict"] or "{}")) if found else {}

    def made_of(
        self, application: str, field: str, name: str, revision: str, period: tuple[datetime, datetime]
    ) -> int | None:
        """Return the version of a name that was frozen from ``period``, if there is one; of several the first."""
        found = self._store.query(
            "SELECT min(version) AS version FROM references_raw WHERE application = {application:String} "
            "AND field = {field:String} AND name = {name:String} AND encoder_revision = {revision:String} "
            "AND period_start = {start:DateTime64(3, 'UTC')} AND period_end = {end:DateTime64(3, 'UTC')}",
            {
                "application": application,
                "field": field,
                "name": name,
                "revision": revision,
                "start": period[0],
                "end": period[1],
            },
        ).to_pylist()
        return int(found[0]["version"] or 0) or None

    def newest_revision(self) -> str | None:
        """Return the encoder revision of the reference made last, None where there is no reference."""
        rows = self._store.query("SELECT encoder_revision FROM references_raw ORDER BY created_at DESC LIMIT 1")
        return next((str(row["encoder_revision"]) for row in rows.to_pylist()), None)

    def revision(self, application: str, field: str, name: str, version: int) -> str:
        """Return the encoder revision of a version; empty where there is no such version."""
        found = self._store.query(
            f"SELECT encoder_revision FROM references_raw WHERE {_VERSION} LIMIT 1",
            _key(application, field, name, version),
        ).to_pylist()
        return str(found[0]["encoder_revision"]) if found else ""

    def load(self, application: str, field: str, name: str, version: int) -> Frozen:
        """Return a stored version, ready to be asked for the part that a window is compared with."""
        key = (application, field, name, version)
        if key in self._loaded:
            self._loaded.move_to_end(key)
            return self._loaded[key]
        found = read(self._store, *key)
        if found is None:
            raise KeyError(f"no version {version} of reference {name!r} of {application!r}, field {field!r}")
        self._loaded[key] = found
        if len(self._loaded) > _KEPT:
            self._loaded.popitem(last=False)
        return self._loaded[key]


def read(store: Store, application: str, field: str, name: str, version: int) -> Frozen | None:
    """Return a stored version; None where there is none."""
    table = store.query(
        "SELECT id, vector, slot, season, encoder_revision, dispersion FROM references "
        f"WHERE {_VERSION} ORDER BY position",
        _key(application, field, name, version),
    )
    if not table.num_rows:
        return None
    first = {column: table[column][0].as_py() for column in ("season", "encoder_revision", "dispersion")}
    ids = tuple(map(str, table["id"].to_pylist()))
    spread = max(1.0, first["dispersion"])
    whole = Reference(name, version, application, field, first["encoder_revision"], ids, vectors_of(table), spread)
    return Frozen(whole, table["slot"].to_numpy(), season_of(first["season"]))


def _key(application: str, field: str, name: str, version: int) -> dict[str, Any]:
    return {"application": application, "field": field, "name": name, "version": version}


def vectors_of(table: pa.Table) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the ``vector`` column as (n, dim) float32."""
    if table.num_rows == 0:
        return np.empty((0, 0), np.float32)
    flat = pc.list_flatten(table["vector"]).to_numpy()
    return np.asarray(flat, np.float32).reshape(table.num_rows, -1)


def in_order(values: Sequence[Any], order: npt.NDArray[Any]) -> tuple[Any, ...]:
    """Return ``values`` in another order."""
    return tuple(values[place] for place in order.tolist())
