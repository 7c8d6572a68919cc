"""Feedback records -> rows of ``feedback_raw``, and a note of the windows whose inferences they are about.

Both calls follow the rules of ``pipeline.Pipeline``: a row is a function of its record, and committing again, whole
or cut differently, changes no view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import InvalidRecord
from inferwatch.schemas.feedback import BEFORE, Feedback, parse_feedback
from inferwatch.schemas.settings import Settings
from inferwatch.streams import rows
from inferwatch.streams.decode import decode_as
from inferwatch.streams.ports import DeadLetter, RawRecord, Store
from inferwatch.streams.redact import redact


@dataclass(frozen=True, slots=True)
class Remark:
    """One readable feedback record, its texts as they may be stored."""

    record: RawRecord
    feedback: Feedback


@dataclass(frozen=True, slots=True)
class Remarks:
    """A read batch, ready to be committed."""

    records: tuple[RawRecord, ...]
    remarks: tuple[Remark, ...]
    dead_letters: tuple[DeadLetter, ...]


class FeedbackIntake:
    """Stores feedback.

    Its windows are found in two ways that leave no gap between them. What is stored before the inference is joined
    when the inference's window is computed. What is stored after it looks the inference up, once the feedback itself
    is stored, and notes its window; so a window computed in between has either seen the feedback or is noted.
    """

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock

    def prepare(self, records: Sequence[RawRecord]) -> Remarks:
        """Read ``records``. Unreadable ones become dead letters; they never raise."""
        remarks: list[Remark] = []
        letters: list[DeadLetter] = []
        for record in records:
            try:
                read = decode_as(parse_feedback, record, max_future=self._settings.limits.max_future)
            except InvalidRecord as error:
                letters.append(DeadLetter(record, error.reason, error.detail))
            else:
                remarks.append(Remark(record, self._clean(read)))
        return Remarks(tuple(records), tuple(remarks), tuple(letters))

    def commit(self, prepared: Remarks) -> tuple[DeadLetter, ...]:
        """Insert a read batch and return its dead letters.

        Raises:
            StoreUnavailable: nothing is lost; call again with the same batch.
        """
        now = self._clock.now()
        if prepared.dead_letters:
            table = rows.dead_letters(prepared.dead_letters, self._settings, now)
            self._store.insert("dead_letters_raw", table, token=rows.token(prepared.dead_letters))
        if prepared.remarks:
            token = rows.token([remark.record for remark in prepared.remarks])
            self._store.insert("feedback_raw", _rows(prepared.remarks, now), token=token)
        if prepared.records:
            said_of = self._inferences(prepared.remarks)
            seen = [(one.record, at) for one in prepared.remarks for at in said_of.get(_key(one), ())]
            table = rows.progress(prepared.records, seen, self._settings.windows.step, now)
            # What was looked up may differ the next time, so the token must, too: these rows may repeat.
            token = f"{rows.token(prepared.records)}/{now.isoformat()}"
            self._store.insert("progress_raw", table, token=token)
        return prepared.dead_letters

    def _clean(self, read: Feedback) -> Feedback:
        privacy, limit = self._settings.privacy, self._settings.limits.max_text_chars
        comment, label = read.comment[:limit] if privacy.store_text else "", read.label
        if privacy.redact:
            comment, label = redact(comment)[0], redact(label)[0]
        return read.model_copy(update={"comment": comment, "label": label})

    def _inferences(self, remarks: Sequence[Remark]) -> dict[tuple[str, str], list[datetime]]:
        """Return (application, id) -> when the inferences of that id that are stored by now were logged."""
        if not remarks:
            return {}
        said = [one.feedback for one in remarks]
        found = self._store.query(
            "SELECT DISTINCT application, id, timestamp FROM inferences_raw "
            "WHERE application IN {applications:Array(String)} AND id IN {ids:Array(String)} "
            "AND timestamp >= {start:DateTime64(3, 'UTC')} AND timestamp <= {end:DateTime64(3, 'UTC')}",
            {
                "applications": sorted({one.application for one in said}),
                "ids": sorted({one.id for one in said}),
                "start": min(one.timestamp for one in said) - self._settings.windows.revise_for,
                "end": max(one.timestamp for one in said) + BEFORE,
            },
        )
        times: dict[tuple[str, str], list[datetime]] = {}
        for row in found.to_pylist():
            times.setdefault((row["application"], row["id"]), []).append(row["timestamp"])
        return times


def _key(remark: Remark) -> tuple[str, str]:
    return remark.feedback.application, remark.feedback.id


def _rows(remarks: Sequence[Remark], now: datetime) -> pa.Table:
    """Return the rows of ``feedback_raw``."""
    said = [one.feedback for one in remarks]
    return pa.table(
        {
            "topic": pa.array([one.record.topic for one in remarks], pa.string()),
            "partition": pa.array([one.record.partition for one in remarks], pa.uint32()),
            "offset": pa.array([one.record.offset for one in remarks], pa.uint64()),
            "application": pa.array([one.application for one in said], pa.string()),
            "id": pa.array([one.id for one in said], pa.string()),
            "timestamp": pa.array([one.timestamp for one in said], rows.INSTANT),
            "kind": pa.array([one.kind for one in said], pa.string()),
            "value": pa.array([one.value for one in said], pa.float64()),
            "label": pa.array([one.label for one in said], pa.string()),
            "comment": pa.array([one.comment for one in said], pa.string()),
            "ingested_at": pa.array([now] * len(said), rows.INSTANT),
        }
    )
