"""Log files through the service's decoding, redaction and scoring, with nothing stored: ``inferwatch score``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NoReturn

from inferwatch.detectors.base import Detector, Encoder
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import Permanent
from inferwatch.schemas.settings import Settings
from inferwatch.streams import rows
from inferwatch.streams.pipeline import Entry, Pipeline, Prepared
from inferwatch.streams.ports import RawRecord


@dataclass(frozen=True, slots=True)
class Problem:
    """A record that could not be read: where it is in its file, from 1 on, and why."""

    place: int
    reason: str
    detail: str


class Nowhere:
    """The store of those who keep nothing."""

    def insert(self, *_: object, **__: object) -> NoReturn:
        raise Permanent("nothing is stored here")

    query = insert


def prepare(
    values: Iterable[tuple[int, bytes]],
    settings: Settings,
    encoder: Encoder,
    detectors: Sequence[Detector],
    clock: Clock,
) -> Iterator[Prepared]:
    """Score the records of a file in batches; the offset of a record is its place.

    Budgets do not hold: whoever names a file wants every score of it.

    Args:
        values: the place of each record and its bytes (``logfiles.numbered``).
        settings: the configuration that the service would run with.
        encoder: the one sentence encoder.
        detectors: each scores every record or abstains.
        clock: its time stands in for the time a record was written, against which future timestamps are judged.
    """
    whole = settings.model_copy(update={"detectors": settings.detectors.model_copy(update={"budgets": {}})})
    pipeline = Pipeline(whole, encoder, detectors, Nowhere(), clock)
    now = clock.now()
    records = (RawRecord("file", 0, place, now, value) for place, value in values)
    while batch := list(islice(records, settings.kafka.batch_records)):
        yield pipeline.prepare(batch)


def problems(prepared: Prepared) -> list[Problem]:
    """Return the records of a batch that could not be read."""
    return [Problem(letter.record.offset, letter.reason, letter.detail) for letter in prepared.dead_letters]


def described(
    prepared: Prepared, thresholds: Mapping[str, float], text: bool, encoder: str
) -> Iterator[dict[str, Any]]:
    """Yield what is said of each readable record of a batch, ready for JSON.

    Args:
        prepared: the scored batch.
        thresholds: score -> from which value on it is a hit.
        text: whether evidence may show texts.
        encoder: its revision.
    """
    for row, entry in enumerate(prepared.entries):
        scores = {}
        for one in prepared.scores:
            limit, reason = thresholds[one.name], one.abstained[row]
            value = None if reason else float(one.values[row])
            scores[one.name] = {
                "value": None if value is None else round(value, 6),
                "abstained": reason,
                "threshold": limit,
                "hit": None if value is None else value >= limit,
                "evidence": [rows.shown(piece, text) for piece in one.evidence[row]],
            }
        yield _about(entry) | {"encoder": encoder, "scores": scores}


def _about(entry: Entry) -> dict[str, Any]:
    log = entry.log
    return {
        "line": entry.record.offset,
        "id": log.id,
        "application": log.application,
        "timestamp": log.timestamp.isoformat(),
        "redactions": entry.redactions,
        "truncated": entry.truncated,
    }
