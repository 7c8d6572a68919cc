"""Scored entries -> Arrow tables with the columns of the ClickHouse tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa

from inferwatch.detectors.base import F32
from inferwatch.schemas.scores import Evidence
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import floor
from inferwatch.streams.ports import DeadLetter, RawRecord
from inferwatch.streams.redact import redact

if TYPE_CHECKING:
    from inferwatch.streams.pipeline import Prepared

INSTANT = pa.timestamp("ms", tz="UTC")
TEXTS = pa.map_(pa.string(), pa.string())
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def ids_digest(ids: Iterable[str]) -> str:
    """Return 32 hex digits for ids in any order: the end of the insert token of what they name."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:32]


def token(source: Sequence[RawRecord | DeadLetter]) -> str:
    """Return the insert token of these records' rows: a hash of their addresses, the same for the same rows."""
    digest = hashlib.sha256()
    for entry in source:
        record = entry.record if isinstance(entry, DeadLetter) else entry
        digest.update(f"{record.topic}/{record.partition}/{record.offset};".encode())
    return digest.hexdigest()


def inferences(
    prepared: Prepared,
    kept: Sequence[int],
    settings: Settings,
    detectors: Mapping[str, str],
    encoder_revision: str,
    now: datetime,
) -> pa.Table:
    """Return the rows of ``inferences_raw`` for the entries at positions ``kept``."""
    entries = [prepared.entries[row] for row in kept]
    logs = [entry.log for entry in entries]
    text = settings.privacy.store_text
    n = len(entries)
    columns: dict[str, pa.Array[Any]] = {
        "topic": pa.array([entry.record.topic for entry in entries], pa.string()),
        "partition": pa.array([entry.record.partition for entry in entries], pa.uint32()),
        "offset": pa.array([entry.record.offset for entry in entries], pa.uint64()),
        "timestamp": pa.array([log.timestamp for log in logs], INSTANT),
        "input": pa.array([entry.item.input if text else "" for entry in entries], pa.string()),
        "output": pa.array([entry.item.output if text else "" for entry in entries], pa.string()),
        "system": pa.array([entry.item.system if text else "" for entry in entries], pa.string()),
        "contexts": pa.array([list(entry.item.contexts) if text else [] for entry in entries], pa.list_(pa.string())),
        "input_chars": pa.array([len(log.input_text) for log in logs], pa.uint32()),
        "output_chars": pa.array([len(log.output_text) for log in logs], pa.uint32()),
        "truncated": pa.array(
            [
                prepared.entries[row].truncated or any(bool(own.cut[row]) for own in prepared.encoded.values())
                for row in kept
            ],
            pa.bool_(),
        ),
        "chunks": pa.array(
            [max((int(own.chunks[row]) for own in prepared.encoded.values()), default=0) for row in kept], pa.uint16()
        ),
        "redactions": pa.array([entry.redactions for entry in entries], pa.uint32()),
        "cost_usd": pa.array([log.cost_usd for log in logs], pa.float64()),
        "latency_ms": pa.array([log.latency_ms for log in logs], pa.float64()),
        "time_to_first_token_ms": pa.array([log.time_to_first_token_ms for log in logs], pa.float64()),
        "tags": pa.array([list(log.tags.items()) for log in logs], TEXTS),
        "detectors": pa.array([list(detectors.items())] * n, TEXTS),
        "encoder_revision": pa.array([encoder_revision] * n, pa.string()),
        "ingested_at": pa.array([now] * n, INSTANT),
    }
    for name in (
        "id", "application", "model", "provider", "operation", "prompt_name", "prompt_version", "tenant", "error",
        "finish_reason", "conversation_id", "trace_id", "span_id", "user_id",
    ):  # fmt: skip
        columns[name] = pa.array([getattr(log, name) for log in logs], pa.string())
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens"):
        columns[name] = pa.array([getattr(log.usage, name) for log in logs], pa.uint32())
    columns |= _scores(prepared, kept, text)
    chances = [(name, probabilities.tolist()) for name, probabilities in prepared.inclusion.items()]
    inclusion = [[(name, probabilities[row]) for name, probabilities in chances] for row in kept]
    columns["inclusion"] = pa.array(inclusion, pa.map_(pa.string(), pa.float32()))
    return pa.table(columns)


def _scores(prepared: Prepared, kept: Sequence[int], text: bool) -> dict[str, pa.Array[Any]]:
    values: list[list[tuple[str, float]]] = [[] for _ in kept]
    abstained: list[list[tuple[str, str]]] = [[] for _ in kept]
    evidence: list[list[dict[str, object]]] = [[] for _ in kept]
    for scores in prepared.scores:
        numbers = scores.values.tolist()
        for place, row in enumerate(kept):
            if scores.abstained[row]:
                abstained[place].append((scores.name, scores.abstained[row]))
                continue
            values[place].append((scores.name, numbers[row]))
            for item in scores.evidence[row]:
                evidence[place].append({"name": scores.name, **shown(item, text)})
    return {
        "scores": pa.array(values, pa.map_(pa.string(), pa.float32())),
        "abstained": pa.array(abstained, TEXTS),
        "evidence": pa.array([orjson.dumps(found).decode() for found in evidence], pa.string()),
    }


def shown(evidence: Evidence, text: bool) -> dict[str, object]:
    """Return a piece of evidence as it may be kept: without ``text``, the offsets and the score alone."""
    held = evidence.model_dump(exclude_defaults=True)
    return held if text else {name: value for name, value in held.items() if name not in ("text", "reason")}


def embeddings(prepared: Prepared, kept: Sequence[int], encoder_revision: str, now: datetime) -> pa.Table:
    """Return the rows of ``embeddings_raw``: one per entry and drift field that has text."""
    tables = []
    for field, encoded in prepared.encoded.items():
        vectors = encoded.vectors
        present = [row for row in kept if not np.isnan(vectors[row, 0])]
        logs = [prepared.entries[row].log for row in present]
        n = len(present)
        tables.append(
            pa.table(
                {
                    "application": pa.array([log.application for log in logs], pa.string()),
                    "field": pa.array([field] * n, pa.string()),
                    "timestamp": pa.array([log.timestamp for log in logs], INSTANT),
                    "id": pa.array([log.id for log in logs], pa.string()),
                    "encoder_revision": pa.array([encoder_revision] * n, pa.string()),
                    "vector": vector_array(vectors[present]),
                    "ingested_at": pa.array([now] * n, INSTANT),
                }
            )
        )
    return pa.concat_tables(tables) if tables else pa.table({})


def vector_array(vectors: F32) -> pa.Array[Any]:
    """Return (n, dim) float32 as an Arrow list array without a Python object per number."""
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]).cast(pa.list_(pa.float32()))


def progress(
    records: Sequence[RawRecord], seen: Iterable[tuple[RawRecord, datetime]], step: timedelta, now: datetime
) -> pa.Table:
    """Return the rows of ``progress_raw``: how far each source partition is stored, and what it brought for when.

    One row a partition with ``pane`` 1970, and one for each stretch of ``step`` of event time that its records fell
    into, so that nobody has to search the rows for windows that have become due.

    Args:
        records: all that was handled.
        seen: those of them that say something, with the event time of what they speak of.
        step: length of a stretch.
        now: when they were stored.
    """
    latest: dict[tuple[str, int, datetime], datetime] = {}
    following: dict[tuple[str, int], int] = {}
    for record in records:
        place = (record.topic, record.partition)
        following[place] = max(following.get(place, 0), record.offset + 1)
        latest.setdefault((*place, NEVER), NEVER)
    for record, at in seen:
        for pane in (NEVER, floor(at, step)):
            key = (record.topic, record.partition, pane)
            latest[key] = max(latest.get(key, NEVER), at)
    keys = sorted(latest)
    return pa.table(
        {
            "topic": pa.array([topic for topic, _, _ in keys], pa.string()),
            "partition": pa.array([partition for _, partition, _ in keys], pa.uint32()),
            "pane": pa.array([pane for _, _, pane in keys], INSTANT),
            "next_offset": pa.array([following[topic, partition] for topic, partition, _ in keys], pa.uint64()),
            "max_timestamp": pa.array([latest[key] for key in keys], INSTANT),
            "updated_at": pa.array([now] * len(keys), INSTANT),
        }
    )


def dead_letters(letters: Sequence[DeadLetter], settings: Settings, now: datetime) -> pa.Table:
    """Return the rows of ``dead_letters_raw``.

    The table holds what people may look at: redacted and cut like any other text. The raw bytes are on the
    dead-letter topic.
    """
    records = [letter.record for letter in letters]

    def shown(value: bytes | None) -> str:
        if value is None or not settings.privacy.store_text:
            return ""
        text = value[: settings.limits.max_text_chars].decode(errors="replace")
        return redact(text)[0] if settings.privacy.redact else text

    return pa.table(
        {
            "topic": pa.array([record.topic for record in records], pa.string()),
            "partition": pa.array([record.partition for record in records], pa.uint32()),
            "offset": pa.array([record.offset for record in records], pa.uint64()),
            "reason": pa.array([letter.reason for letter in letters], pa.string()),
            "detail": pa.array([shown(letter.detail.encode()) for letter in letters], pa.string()),
            "key": pa.array([shown(record.key) for record in records], pa.string()),
            "value": pa.array([shown(record.value) for record in records], pa.string()),
            "timestamp": pa.array([record.timestamp for record in records], INSTANT),
            "ingested_at": pa.array([now] * len(letters), INSTANT),
        }
    )
