"""From which event time on windows are compared with which version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from inferwatch.schemas.clock import Clock
from inferwatch.streams.ports import Store
from inferwatch.streams.references.stored import StoredReferences
from inferwatch.streams.rows import INSTANT

ROLLING = "rolling"
"""Origin of the references that follow the traffic; see ``rolling``."""

Places = dict[tuple[str, str], list[dict[str, Any]]]
"""(application, field) -> promotions as they are stored, what counts first."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """From ``effective_from`` on, windows are compared with this version; version 0 stands for none."""

    name: str
    version: int
    effective_from: datetime
    origin: str


class Promotions:
    """Reads and writes promotions, and the audit log of them.

    A promotion counts for the windows that start at ``effective_from`` or later, until one with a later
    ``effective_from``; of several with the same, the one made last. What a window is compared with is so a function of
    event time and of what is stored, not of when it is asked for.
    """

    def __init__(self, store: Store, clock: Clock, versions: StoredReferences) -> None:
        self._store = store
        self._clock = clock
        self._versions = versions
        self._seen: dict[tuple[str, datetime], Places] | None = None

    @contextmanager
    def once(self) -> Iterator[None]:
        """Within, promotions are read once for each event time, and again after ``add``: a window asks many times."""
        self._seen = {}
        try:
            yield
        finally:
            self._seen = None

    def until(self, application: str, field: str, revision: str, at: datetime) -> list[Promotion]:
        """Return what has been promoted for event times up to ``at``, what counts first; of one encoder revision.

        Of what is older than the last promotion of its kind, rolling or not, nothing is told. A retirement belongs to
        no revision, and ends the list: what was promoted before it counts no more.
        """
        seen = {} if self._seen is None else self._seen
        if (revision, at) not in seen:
            seen[revision, at] = self._read(revision, at)
        promotions = []
        for row in seen[revision, at].get((application, field), ()):
            if row["version"] == 0:
                break
            # Promotions that are older than the column do not say of which encoder they are.
            if (
                row["encoder_revision"]
                or self._versions.revision(application, field, row["name"], row["version"]) == revision
            ):
                promotions.append(Promotion(row["name"], row["version"], row["effective_from"], row["origin"]))
        return promotions

    def _read(self, revision: str, at: datetime) -> Places:
        found = self._store.query(
            "SELECT application, field, name, version, effective_from, origin, encoder_revision FROM promotions "
            "WHERE effective_from <= {at:DateTime64(3, 'UTC')} AND encoder_revision IN ('', {revision:String}) "
            "ORDER BY effective_from DESC, promoted_at DESC, name, version "
            f"LIMIT 1 BY application, field, origin = '{ROLLING}', if(encoder_revision = '', (name, version), ('', 0))",
            {"at": at, "revision": revision},
        ).to_pylist()
        places: Places = {}
        for row in found:
            places.setdefault((row["application"], row["field"]), []).append(row)
        return places

    def ever(self, application: str, field: str, name: str, revision: str) -> bool:
        """Return whether a version of this name has been promoted, at whatever event time."""
        found = self._store.query(
            "SELECT 1 FROM promotions WHERE application = {application:String} AND field = {field:String} "
            "AND name = {name:String} AND encoder_revision = {revision:String} LIMIT 1",
            {"application": application, "field": field, "name": name, "revision": revision},
        )
        return bool(found.num_rows)

    def retired_from(self, application: str, field: str, at: datetime) -> datetime | None:
        """Return since when there is to be no reference older than that, as known for event time ``at``."""
        found = self._store.query(
            "SELECT effective_from FROM promotions WHERE application = {application:String} "
            "AND field = {field:String} AND version = 0 AND effective_from <= {at:DateTime64(3, 'UTC')} "
            "ORDER BY effective_from DESC LIMIT 1",
            {"application": application, "field": field, "at": at},
        ).to_pylist()
        return next((row["effective_from"] for row in found), None)

    def add(
        self, application: str, field: str, promotion: Promotion, revision: str, actor: str, at: datetime, why: str
    ) -> None:
        """Write in the audit log who promotes what ``at`` which time, and why; then write the promotion down.

        In that order: what is promoted has its line in the log, wherever the process dies.
        """
        action = "promote" if promotion.version else "retire"
        self.audit(actor, action, f"reference {application}/{field}", why, at)
        now = self._clock.now()
        table = pa.table(
            {
                "application": [application],
                "field": [field],
                "name": [promotion.name],
                "version": pa.array([promotion.version], pa.uint32()),
                "effective_from": pa.array([promotion.effective_from], INSTANT),
                "encoder_revision": [revision],
                "origin": [promotion.origin],
                "promoted_at": pa.array([now], INSTANT),
            }
        )
        what = f"{application}/{field}/{promotion.name}/{promotion.version}"
        self._store.insert("promotions_raw", table, token=f"promotion/{what}/{now.isoformat()}")
        if self._seen is not None:
            self._seen.clear()

    def audit(self, actor: str, action: str, subject: str, detail: str, at: datetime) -> None:
        """Write one line of the audit log; the same again, at the same time, is one line."""
        table = pa.table(
            {
                "at": pa.array([at], INSTANT),
                "actor": [actor],
                "action": [action],
                "subject": [subject],
                "detail": [detail],
            }
        )
        token = f"audit/{actor}/{action}/{subject}/{at.isoformat()}"
        self._store.insert("audit_log_raw", table, token=token)
