"""Frozen drift baselines: built from a period, named, versioned, promoted. Kept in ClickHouse."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inferwatch.detectors.drift.reference import Reference
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.streams.ports import Store
from inferwatch.streams.rows import INSTANT, vector_array

SMALLEST = 50
"""A baseline of fewer vectors says too little about what is normal."""


@dataclass(frozen=True, slots=True)
class ReferenceInfo:
    """One version of one reference, without its vectors. ``active``: windows are compared with it."""

    name: str
    version: int
    application: str
    field: str
    encoder_revision: str
    rows: int
    period_start: datetime
    period_end: datetime
    created_at: datetime
    active: bool


class References:
    """Builds, lists, promotes and loads references."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._loaded: dict[tuple[str, str, str, int], Reference] = {}

    def build(
        self,
        application: str,
        field: str,
        start: datetime,
        end: datetime,
        *,
        name: str = "baseline",
        rows: int = 1000,
        once: bool = False,
    ) -> Reference:
        """Freeze a hash-determined sample of at most ``rows`` vectors of ``[start, end)`` as a new version.

        With ``once``, a version of the same name, revision and period that is there already is returned instead: an
        earlier attempt may have stored it and not lived, or not heard, to tell.

        Raises:
            Misconfigured: the period holds fewer than 50 vectors, or vectors of several encoder revisions.
        """
        scope = {"application": application, "field": field, "start": start, "end": end}
        where = (
            "application = {application:String} AND field = {field:String} "
            "AND timestamp >= {start:DateTime64(3, 'UTC')} AND timestamp < {end:DateTime64(3, 'UTC')}"
        )
        revisions = self._store.query(
            f"SELECT encoder_revision, count() AS n FROM embeddings WHERE {where} GROUP BY 1 ORDER BY 1", scope
        ).to_pylist()
        what = f"reference {name!r} of {application!r}, field {field!r}, [{start.isoformat()}, {end.isoformat()})"
        if len(revisions) > 1:
            found = ", ".join(f"{row['encoder_revision']} ({row['n']} rows)" for row in revisions)
            raise Misconfigured(f"{what}: the period mixes encoder revisions {found}; choose a period with one")
        n = revisions[0]["n"] if revisions else 0
        if n < SMALLEST:
            raise Misconfigured(f"{what}: the period holds {n} vectors, at least {SMALLEST} are needed")
        revision = str(revisions[0]["encoder_revision"])
        if once:
            wanted = (name, application, field, revision, start, end)
            for info in self.list():
                period = (info.period_start, info.period_end)
                if wanted == (info.name, info.application, info.field, info.encoder_revision, *period):
                    return self._load(info)
        sample = self._store.query(
            f"SELECT id, CAST(vector, 'Array(Float32)') AS vector FROM embeddings WHERE {where} "
            "ORDER BY cityHash64(id), id LIMIT {rows:UInt32}",
            scope | {"rows": rows},
        )
        previous = self._store.query(
            "SELECT max(version) AS version FROM references_raw WHERE application = {application:String} "
            "AND field = {field:String} AND name = {name:String}",
            {"application": application, "field": field, "name": name},
        ).to_pylist()
        version = int(previous[0]["version"] or 0) + 1
        reference = Reference(
            name,
            version,
            application,
            field,
            revision,
            tuple(map(str, sample["id"].to_pylist())),
            vectors_of(sample),
        )
        self._insert(reference, start, end)
        return reference

    def _insert(self, reference: Reference, start: datetime, end: datetime) -> None:
        n = len(reference.ids)
        now = self._clock.now()
        constant = {
            "name": reference.name,
            "application": reference.application,
            "field": reference.field,
            "encoder_revision": reference.encoder_revision,
        }
        table = pa.table(
            {
                **{column: pa.array([value] * n, pa.string()) for column, value in constant.items()},
                "version": pa.array([reference.version] * n, pa.uint32()),
                "position": pa.array(range(n), pa.uint32()),
                "id": pa.array(reference.ids, pa.string()),
                "vector": vector_array(reference.vectors),
                "period_start": pa.array([start] * n, INSTANT),
                "period_end": pa.array([end] * n, INSTANT),
                "created_at": pa.array([now] * n, INSTANT),
            }
        )
        token = f"reference/{reference.application}/{reference.field}/{reference.name}/{reference.version}"
        self._store.insert("references_raw", table, token=f"{token}/{now.isoformat()}")

    def promote(self, application: str, field: str, name: str, version: int) -> None:
        """Compare windows with this version from now on.

        Raises:
            Misconfigured: there is no such version; the message lists those there are.
        """
        known = [info for info in self.list() if (info.application, info.field) == (application, field)]
        if not any((info.name, info.version) == (name, version) for info in known):
            there = ", ".join(f"{info.name} v{info.version}" for info in known) or "none"
            raise Misconfigured(
                f"{application!r}, field {field!r} has no reference {name!r} v{version}; it has: {there}"
            )
        now = self._clock.now()
        table = pa.table(
            {
                "application": [application],
                "field": [field],
                "name": [name],
                "version": pa.array([version], pa.uint32()),
                "promoted_at": pa.array([now], INSTANT),
            }
        )
        token = f"promotion/{application}/{field}/{name}/{version}/{now.isoformat()}"
        self._store.insert("promotions_raw", table, token=token)
        audit = pa.table(
            {
                "at": pa.array([now], INSTANT),
                "actor": ["inferwatch"],
                "action": ["promote"],
                "subject": [f"reference {application}/{field}"],
                "detail": [f"{name} v{version}"],
            }
        )
        self._store.insert("audit_log_raw", audit, token=f"audit/{token}")

    def list(self) -> list[ReferenceInfo]:
        """Return every version of every reference, without vectors."""
        found = self._store.query(
            "SELECT r.name AS name, r.version AS version, r.application AS application, r.field AS field, "
            "any(r.encoder_revision) AS encoder_revision, uniqExact(r.position) AS rows, "
            "min(r.period_start) AS period_start, max(r.period_end) AS period_end, max(r.created_at) AS created_at, "
            "(r.name, r.version) = (any(p.name), any(p.version)) AS active "
            "FROM references_raw AS r LEFT JOIN ("
            "  SELECT application, field, argMax(name, promoted_at) AS name, argMax(version, promoted_at) AS version"
            "  FROM promotions_raw GROUP BY application, field"
            ") AS p ON r.application = p.application AND r.field = p.field "
            "GROUP BY r.name, r.version, r.application, r.field ORDER BY application, field, name, version"
        )
        return [ReferenceInfo(**(row | {"active": bool(row["active"])})) for row in found.to_pylist()]

    def newest_revision(self) -> str | None:
        """Return the encoder revision of the reference made last, None where there is no reference."""
        rows = self._store.query("SELECT encoder_revision FROM references_raw ORDER BY created_at DESC LIMIT 1")
        return next((str(row["encoder_revision"]) for row in rows.to_pylist()), None)

    def active(self, application: str, field: str, encoder_revision: str) -> Reference | None:
        """Return the promoted reference, or None when there is none of this encoder revision."""
        for info in self.list():
            if info.active and (info.application, info.field, info.encoder_revision) == (
                application,
                field,
                encoder_revision,
            ):
                return self._load(info)
        return None

    def _load(self, info: ReferenceInfo) -> Reference:
        key = (info.application, info.field, info.name, info.version)
        if key not in self._loaded:
            table = self._store.query(
                "SELECT id, vector FROM references WHERE application = {application:String} AND field = {field:String} "
                "AND name = {name:String} AND version = {version:UInt32} ORDER BY position",
                dict(zip(("application", "field", "name", "version"), key, strict=True)),
            )
            self._loaded[key] = Reference(
                info.name,
                info.version,
                info.application,
                info.field,
                info.encoder_revision,
                tuple(map(str, table["id"].to_pylist())),
                vectors_of(table),
            )
        return self._loaded[key]


def vectors_of(table: pa.Table) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the ``vector`` column as (n, dim) float32."""
    if table.num_rows == 0:
        return np.empty((0, 0), np.float32)
    flat = pc.list_flatten(table["vector"]).to_numpy()
    return np.asarray(flat, np.float32).reshape(table.num_rows, -1)
