"""Read this file first: a batch of raw records becomes rows. The source does not matter (Kafka, files).

    prepare: decode -> redact -> one encoder pass over the distinct texts -> detectors score -> Arrow tables
    commit:  duplicates out -> dead letters, embeddings, inferences, severe rows, progress inserted, in that order

``prepare`` is arithmetic and may run while an earlier batch is being committed. ``commit`` is idempotent: a
record's row is a function of the record, its sorting key (application, timestamp, id) does not depend on the
batch it came in, and the views read one row per key. So a batch may be delivered again, whole or cut
differently, after any crash, and no number in a view changes. (Which rows a detector with a budget scores depends on
the sampling plan as well: see ``plans``.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inferwatch.detectors.base import F32, Detector, Encoded, Encoder, Item, Scores
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import InvalidRecord
from inferwatch.schemas.inference import InferenceLog
from inferwatch.schemas.settings import Settings
from inferwatch.streams import rows
from inferwatch.streams.decode import decode
from inferwatch.streams.duplicates import find_duplicates
from inferwatch.streams.plans import Plans
from inferwatch.streams.ports import DeadLetter, RawRecord, Store
from inferwatch.streams.redact import redact
from inferwatch.streams.scoring import Scoring
from inferwatch.streams.severe import severe_rows
from inferwatch.streams.telemetry import BATCH_SCORING, EVENT_TO_ROW, SCORED, SILENT, Recorder


@dataclass(frozen=True, slots=True)
class Entry:
    """One readable record: where it came from, what it says, and its texts as they may be seen and stored."""

    record: RawRecord
    log: InferenceLog
    item: Item
    redactions: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """A scored batch, ready to be committed. ``encoded`` maps a drift field to what is known of its (entries,) texts.

    ``inclusion`` maps a score of a detector with a budget to the (entries,) probabilities of being scored.
    """

    records: tuple[RawRecord, ...]
    entries: tuple[Entry, ...]
    scores: tuple[Scores, ...]
    inclusion: dict[str, F32]
    encoded: dict[str, Encoded]
    dead_letters: tuple[DeadLetter, ...]


class Pipeline:
    """Scores batches of raw records and stores them.

    Args:
        settings: the validated configuration.
        encoder: the one sentence encoder.
        detectors: each scores every record or abstains.
        store: where the rows go.
        clock: stamps ``ingested_at`` and says when to read sampling plans again.
        recorder: is told how much went through and how long it took.
    """

    def __init__(
        self,
        settings: Settings,
        encoder: Encoder,
        detectors: Sequence[Detector],
        store: Store,
        clock: Clock,
        recorder: Recorder = SILENT,
    ) -> None:
        self._settings = settings
        self._encoder = encoder
        self._detectors = tuple(detectors)
        self._store = store
        self._clock = clock
        self._recorder = recorder
        self._scoring = Scoring(
            encoder,
            self._detectors,
            settings.drift.fields,
            settings.detectors.budgets,
            Plans(store, settings.detectors.budgets, clock),
            clock,
            recorder,
        )

    def use(self, settings: Settings) -> None:
        """Note rows for the ``event_rules`` of ``settings`` from the next batch on; all else in it is as it was."""
        self._settings = settings

    def prepare(self, records: Sequence[RawRecord]) -> Prepared:
        """Decode and score ``records``. Unreadable ones become dead letters; they never raise."""
        started = self._clock.monotonic()
        entries: list[Entry] = []
        letters: list[DeadLetter] = []
        for record in records:
            try:
                entries.append(read(record, self._settings))
            except InvalidRecord as error:
                letters.append(DeadLetter(record, error.reason, error.detail))
        scored = self._scoring.score([entry.log for entry in entries], [entry.item for entry in entries])
        self._recorder.add(SCORED, len(entries))
        self._recorder.observe(BATCH_SCORING, [self._clock.monotonic() - started])
        return Prepared(tuple(records), tuple(entries), scored.scores, scored.inclusion, scored.encoded, tuple(letters))

    def commit(self, prepared: Prepared) -> tuple[DeadLetter, ...]:
        """Insert a prepared batch and return every dead letter of it, duplicates included.

        Raises:
            StoreUnavailable: nothing is lost; call again with the same batch.
        """
        now = self._clock.now()
        duplicates = find_duplicates(self._store, prepared.entries, self._settings.limits.duplicate_horizon)
        kept = [row for row in range(len(prepared.entries)) if row not in duplicates]
        letters = (*prepared.dead_letters, *duplicates.values())
        if letters:
            self._insert("dead_letters_raw", rows.dead_letters(letters, self._settings, now), letters)
        if kept:
            stored = [prepared.entries[row].record for row in kept]
            embeddings = rows.embeddings(prepared, kept, self._encoder.revision, now)
            if embeddings.num_rows:
                self._insert("embeddings_raw", embeddings, stored)
            versions = {detector.name: detector.version for detector in self._detectors}
            table = rows.inferences(prepared, kept, self._settings, versions, self._encoder.revision, now)
            self._insert("inferences_raw", table, stored)
            severe = severe_rows(self._settings.event_rules, prepared, kept, now)
            if severe.num_rows:
                self._insert("severe_rows_raw", severe, stored)
            self._recorder.observe(EVENT_TO_ROW, self._ages(prepared.entries[row] for row in kept))
        if prepared.records:
            # Progress is written last: what it covers is stored. It also moves over dead letters.
            seen = ((entry.record, entry.log.timestamp) for entry in prepared.entries)
            progress = rows.progress(prepared.records, seen, self._settings.windows.step, now)
            self._insert("progress_raw", progress, prepared.records)
        return letters

    def _ages(self, entries: Iterable[Entry]) -> npt.NDArray[np.float64]:
        """Return how many seconds ago each entry happened; 0 for one that is yet to come by its producer's clock."""
        happened = np.array([entry.log.timestamp.timestamp() for entry in entries])
        return np.maximum(self._clock.now().timestamp() - happened, 0.0)

    def _insert(self, table: str, data: pa.Table, source: Sequence[RawRecord | DeadLetter]) -> None:
        self._store.insert(table, data, token=rows.token(source))


def read(record: RawRecord, settings: Settings) -> Entry:
    """Decode ``record``, and cut and redact its texts as ``settings`` want.

    Raises:
        InvalidRecord: it is no inference log.
    """
    log = decode(record, max_future=settings.limits.max_future)
    limit = settings.limits.max_text_chars
    redactions = 0
    truncated = False

    def clean(text: str) -> str:
        nonlocal redactions, truncated
        if not text:
            return text
        if len(text) > limit:
            text = f"{text[:limit]} […cut from {len(text)} characters]"
            truncated = True
        if not settings.privacy.redact:
            return text
        text, found = redact(text)
        redactions += found
        return text

    item = Item(
        clean(log.input_text),
        clean(log.output_text),
        tuple(clean(text) for text in log.contexts),
        clean(log.system),
        tuple(clean(text) for text in log.samples),
        log.logprobs,
    )
    if log.error or log.tags:
        tags = {name: clean(value) for name, value in log.tags.items()}
        log = log.model_copy(update={"error": clean(log.error), "tags": tags})
    return Entry(record, log, item, redactions, truncated)
