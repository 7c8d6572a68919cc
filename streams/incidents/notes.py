"""What people say on an alert: notes, and that somebody has it in hand."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import pyarrow as pa

from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import NotFound
from inferwatch.streams.ports import Store
from inferwatch.streams.rows import INSTANT


class Kind(StrEnum):
    """An acknowledged alert is not repeated to its receivers; a note changes nothing."""

    NOTE = "note"
    ACKNOWLEDGEMENT = "acknowledgement"


@dataclass(frozen=True, slots=True)
class Note:
    """One line on an alert. ``at`` is when it was written, by the service's clock."""

    id: str
    alert_id: str
    kind: Kind
    author: str
    text: str
    at: datetime


class Notes:
    """Reads and writes the notes of alerts. Every call blocks."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def of(self, alert_id: str) -> list[Note]:
        """Return the notes and acknowledgements of an alert, oldest first."""
        rows = self._store.query(
            "SELECT id, alert_id, kind, author, text, n.at AS at FROM alert_notes AS n "
            "WHERE alert_id = {alert:String} ORDER BY n.at, id",
            {"alert": alert_id},
        ).to_pylist()
        return [Note(**row | {"kind": Kind(row["kind"])}) for row in rows]

    def add(self, alert_id: str, author: str, text: str, key: str) -> Note:
        """Write a note. The same ``key`` again, because an answer was lost, is the same note.

        Raises:
            NotFound: there is no such alert.
        """
        return self._write(alert_id, Kind.NOTE, author, text, _id(alert_id, key))

    def acknowledge(self, alert_id: str, author: str, text: str = "") -> Note:
        """Write that ``author`` has it in hand; the first time counts.

        Raises:
            NotFound: there is no such alert.
        """
        return self._write(
            alert_id, Kind.ACKNOWLEDGEMENT, author, text, _id(alert_id, f"{Kind.ACKNOWLEDGEMENT}/{author}")
        )

    def _write(self, alert_id: str, kind: Kind, author: str, text: str, identity: str) -> Note:
        known = self._store.query("SELECT 1 FROM alerts WHERE alert_id = {id:String} LIMIT 1", {"id": alert_id})
        if not known.num_rows:
            raise NotFound(f"there is no alert {alert_id!r}")
        there = next((one for one in self.of(alert_id) if one.id == identity), None)
        if there is not None:
            return there
        note = Note(identity, alert_id, kind, author, text, self._clock.now())
        rows = pa.table(
            {
                "id": [note.id],
                "alert_id": [note.alert_id],
                "kind": [note.kind.value],
                "author": [note.author],
                "text": [note.text],
                "at": pa.array([note.at], INSTANT),
            }
        )
        self._store.insert("alert_notes_raw", rows, token=f"alert_notes/{note.id}")
        return note


def _id(alert_id: str, key: str) -> str:
    return hashlib.sha256(f"{alert_id}\n{key}".encode()).hexdigest()[:24]
