"""Texts -> vectors and scores, one encoder pass for all. What fails costs its own rows their scores, nothing more.

A text that the encoder cannot take, a detector with a bug, an item that a detector chokes on: the rows concerned
abstain with the reason, their neighbours are scored, and coverage shows it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inferwatch.detectors.base import F32, Batch, Detector, Encoder, Item, Scores
from inferwatch.schemas.clock import Clock
from inferwatch.streams.telemetry import ABSTENTIONS, DETECTOR_SECONDS, ERRORS, SCORES, SILENT, Recorder, reason_class

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scored:
    """What is known of n items. ``vectors`` maps a field to (n, dim) float32, NaN where there is no text."""

    scores: tuple[Scores, ...]
    vectors: dict[str, F32]


class Scoring:
    """Scores items with every detector, over one encoder pass.

    Args:
        encoder: the one sentence encoder.
        detectors: each scores every item or abstains.
        fields: whose vectors are wanted too: ``input``, ``output``.
        clock: for the time that detectors take.
        recorder: is told scores, abstentions, errors and times.
    """

    def __init__(
        self,
        encoder: Encoder,
        detectors: Sequence[Detector],
        fields: Sequence[str],
        clock: Clock,
        recorder: Recorder = SILENT,
    ) -> None:
        self._encoder = encoder
        self._detectors = tuple(detectors)
        self._fields = tuple(fields)
        self._clock = clock
        self._recorder = recorder

    def score(self, items: Sequence[Item]) -> Scored:
        """Return scores and vectors of ``items``; never raises for what an item, a detector or the encoder does."""
        broken: list[dict[int, str]] = [{} for _ in self._detectors]
        wanted: dict[str, None] = {}
        for row, item in enumerate(items):
            for place, detector in enumerate(self._detectors):
                try:
                    wanted.update(dict.fromkeys(detector.texts(item)))
                except Exception as error:
                    broken[place][row] = self._failed(f"detector {detector.name}", "detector", error)
        wanted.update(dict.fromkeys(text for item in items for field in self._fields if (text := _text(item, field))))
        texts = list(wanted)
        vectors, lost = self._encode(texts)
        batch = Batch(items, {text: row for row, text in enumerate(texts)}, vectors)
        found: list[Scores] = []
        for detector, rows in zip(self._detectors, broken, strict=True):
            if lost:
                for row, item in enumerate(items):
                    if row not in rows and (reason := next(filter(None, map(lost.get, detector.texts(item))), None)):
                        rows[row] = reason
            started = self._clock.monotonic()
            found += self._score(detector, batch, rows)
            self._recorder.add(DETECTOR_SECONDS, self._clock.monotonic() - started, detector.name)
        self._count(found)
        return Scored(tuple(found), {field: self._gather(batch, field) for field in self._fields})

    # Encoding ------------------------------------------------------------------------------------------------------

    def _encode(self, texts: Sequence[str]) -> tuple[F32, dict[str, str]]:
        """Return (n, dim) vectors and text -> reason of those that have none (NaN).

        When the encoder raises, it is asked again for halves, down to the one text that it cannot take: too little
        memory for all may be enough for half, and one text costs nobody else's scores. An encoder that takes nothing
        at all is not asked for every text on its own.
        """
        vectors = np.full((len(texts), self._encoder.dim), np.nan, np.float32)
        lost: dict[str, str] = {}
        failures, works = 0, False
        parts = [(0, len(texts))] if texts else []
        while parts:
            start, end = parts.pop()
            try:
                vectors[start:end] = self._encoder.encode(texts[start:end])
                works = True
            except Exception as error:
                failures += 1
                reason = self._failed("the encoder", "encoder", error)
                hopeless = not works and failures > 4 + len(texts).bit_length()
                if hopeless:
                    end, parts = len(texts), []
                if hopeless or end - start == 1:
                    lost |= dict.fromkeys(texts[start:end], reason)
                else:
                    middle = (start + end) // 2
                    parts += [(middle, end), (start, middle)]
        for row in np.flatnonzero(~np.isfinite(vectors).all(axis=1)).tolist():
            lost.setdefault(texts[row], "encoder failed: not finite")
            vectors[row] = np.nan
        return vectors, lost

    def _gather(self, batch: Batch, field: str) -> F32:
        """Return (n, dim) vectors of one field, NaN where the text is blank."""
        texts = [_text(item, field) for item in batch.items]
        found = np.full((len(texts), self._encoder.dim), np.nan, np.float32)
        present = [row for row, text in enumerate(texts) if text]
        if present:
            found[present] = batch.embed([texts[row] for row in present])
        return found

    # Detecting -----------------------------------------------------------------------------------------------------

    def _score(self, detector: Detector, batch: Batch, broken: Mapping[int, str]) -> tuple[Scores, ...]:
        """Score the rows that can be; those in ``broken`` (row -> reason) abstain."""
        if not batch.items:
            return ()
        if not broken:
            return self._try(detector, batch)
        whole = [row for row in range(len(batch.items)) if row not in broken]
        found = self._try(detector, batch.take(whole)) if whole else ()
        places = {row: place for place, row in enumerate(whole)}
        scores = []
        for number, name in enumerate(detector.emits):
            values = np.full(len(batch.items), np.nan, np.float32)
            if whole:
                values[whole] = found[number].values
            abstained = [broken.get(row) or found[number].abstained[places[row]] for row in range(len(values))]
            evidence = [() if row in broken else found[number].evidence[places[row]] for row in range(len(values))]
            scores.append(Scores(name, values, tuple(abstained), tuple(evidence)))
        return tuple(scores)

    def _try(self, detector: Detector, batch: Batch) -> tuple[Scores, ...]:
        """Score a batch; when that raises, score item by item, so that one item cannot silence its neighbours."""
        try:
            return detector.score(batch)
        except Exception:
            logger.exception("detector %s failed on a batch of %d; scoring one by one", detector.name, len(batch.items))
        singles = [self._try_one(detector, batch.take([row])) for row in range(len(batch.items))]
        return tuple(
            Scores(
                name,
                np.concatenate([single[place].values for single in singles]),
                tuple(single[place].abstained[0] for single in singles),
                tuple(single[place].evidence[0] for single in singles),
            )
            for place, name in enumerate(detector.emits)
        )

    def _try_one(self, detector: Detector, batch: Batch) -> tuple[Scores, ...]:
        try:
            return detector.score(batch)
        except Exception as error:  # a plug-in may raise anything; the row abstains and coverage shows it
            reason = self._failed("", "detector", error)
            return tuple(Scores(name, np.full(1, np.nan, np.float32), (reason,), ((),)) for name in detector.emits)

    # Counting ------------------------------------------------------------------------------------------------------

    def _failed(self, what: str, stage: str, error: Exception) -> str:
        """Count an error and return the reason to abstain with."""
        kind = type(error).__name__
        self._recorder.add(ERRORS, 1, stage, kind)
        if what:
            logger.error("%s failed: %s: %s", what, kind, error)
        return f"{stage} failed: {kind}"

    def _count(self, found: Sequence[Scores]) -> None:
        for scores in found:
            reasons = Counter(map(reason_class, filter(None, scores.abstained)))
            self._recorder.add(SCORES, len(scores.abstained) - reasons.total(), scores.name)
            for reason, rows in reasons.items():
                self._recorder.add(ABSTENTIONS, rows, scores.name, reason)


def _text(item: Item, field: str) -> str:
    """Return a field's text, empty where it is blank."""
    text = str(getattr(item, field))
    return text if text.strip() else ""
