"""Rows for a reference from log files, read, redacted and encoded as the stream would; none of them is stored."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from inferwatch.detectors.base import Encoder
from inferwatch.schemas.drift_fields import texts_of
from inferwatch.schemas.errors import InvalidRecord, Misconfigured
from inferwatch.schemas.settings import Settings
from inferwatch.streams.encoding import Texts, drift_texts, text_in
from inferwatch.streams.pipeline import Entry, read
from inferwatch.streams.ports import RawRecord
from inferwatch.streams.references.sampling import Rows
from inferwatch.streams.telemetry import SILENT


@dataclass
class FileRows:
    """What was found in the files: rows with vectors, and why other records lent none."""

    rows: Rows
    records: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def rows_of(
    records: Iterable[RawRecord], settings: Settings, encoder: Encoder, application: str, field: str, rows: int
) -> FileRows:
    """Encode a hash-determined sample of at most ``rows`` texts of one field of one application.

    Only what is chosen is encoded, and at most one row of each conversation is. Which rows are chosen depends on their
    ids, not on their order.

    Raises:
        Misconfigured: no record is of ``application``; the message lists whose there are.
    """
    chosen: dict[str, tuple[bytes, Entry]] = {}
    found, applications = FileRows(Rows((), np.empty((0, encoder.dim), np.float32), (), ())), Counter[str]()
    for record in records:
        found.records += 1
        try:
            entry = read(record, settings)
        except InvalidRecord as error:
            found.refused[error.reason] += 1
            continue
        applications[entry.log.application] += 1
        if entry.log.application != application:
            found.refused["another application"] += 1
            continue
        if missing := next((name for name in texts_of(field) if not text_in(entry.item, name)), ""):
            found.refused[f"no {missing}"] += 1
            continue
        key = entry.log.conversation_id or f"\0{entry.log.id}"
        ranked = (hashlib.blake2b(entry.log.id.encode(), digest_size=8).digest(), entry)
        if key not in chosen or ranked[0] < chosen[key][0]:
            chosen[key] = ranked
        if len(chosen) > 4 * rows:
            chosen = dict(sorted(chosen.items(), key=lambda one: one[1][0])[:rows])
    if application not in applications:
        there = ", ".join(name for name, _ in applications.most_common(5)) or "none that can be read"
        raise Misconfigured(f"no record is of application {application!r}; those in the files: {there}")
    kept = sorted(chosen.values(), key=lambda one: one[0])[:rows]
    entries = [entry for _, entry in kept]
    texts = Texts(encoder, SILENT)
    items = [entry.item for entry in entries]
    texts.add(drift_texts(items, field))
    vectors = texts.of_field(items, field).vectors
    good = [place for place in range(len(entries)) if np.isfinite(vectors[place]).all()]
    if len(good) < len(entries):
        found.refused["encoder failed"] = len(entries) - len(good)
    found.rows = Rows(
        tuple(entries[place].log.id for place in good),
        np.ascontiguousarray(vectors[good], np.float32),
        tuple(entries[place].log.timestamp for place in good),
        (0,) * len(good),
    ).sorted()
    return found
