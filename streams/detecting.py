"""One detector over a batch. Rows it cannot score abstain with the reason; their neighbours are scored."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping

import numpy as np

from inferwatch.detectors.base import Batch, Detector, Scores
from inferwatch.schemas.clock import Clock
from inferwatch.streams.telemetry import ABSTENTIONS, DETECTOR_SECONDS, ERRORS, SCORES, Recorder, reason_class

logger = logging.getLogger(__name__)


class Detecting:
    """A detector whose errors cost the rows concerned their scores, and nobody else's.

    Args:
        detector: the detector.
        clock: for the time it takes.
        recorder: is told scores, abstentions, errors and times.
    """

    def __init__(self, detector: Detector, clock: Clock, recorder: Recorder) -> None:
        self.detector = detector
        self._clock = clock
        self._recorder = recorder

    def texts(self, batch: Batch, skipped: dict[int, str]) -> dict[int, tuple[str, ...]]:
        """Return row -> the texts it needs, of the rows not ``skipped``; those whose texts cannot be had join them."""
        found = {}
        for row, item in enumerate(batch.items):
            if row not in skipped:
                try:
                    found[row] = tuple(self.detector.texts(item))
                except Exception as error:
                    logger.error("detector %s: %s: %s", self.detector.name, type(error).__name__, error)
                    skipped[row] = self._failed(error)
        return found

    def score(self, batch: Batch, skipped: Mapping[int, str]) -> tuple[Scores, ...]:
        """Score a batch; the rows in ``skipped`` (row -> reason) abstain."""
        if not batch.items:
            return ()
        started = self._clock.monotonic()
        found = self._try(batch) if not skipped else self._score_others(batch, skipped)
        self._recorder.add(DETECTOR_SECONDS, self._clock.monotonic() - started, self.detector.name)
        for scores in found:
            reasons = Counter(map(reason_class, filter(None, scores.abstained)))
            self._recorder.add(SCORES, len(scores.abstained) - reasons.total(), scores.name)
            for reason, rows in reasons.items():
                self._recorder.add(ABSTENTIONS, rows, scores.name, reason)
        return found

    def _score_others(self, batch: Batch, skipped: Mapping[int, str]) -> tuple[Scores, ...]:
        rows = [row for row in range(len(batch.items)) if row not in skipped]
        found = self._try(batch.take(rows)) if rows else ()
        places = {row: place for place, row in enumerate(rows)}
        scores = []
        for number, name in enumerate(self.detector.emits):
            values = np.full(len(batch.items), np.nan, np.float32)
            if rows:
                values[rows] = found[number].values
            abstained = [skipped.get(row) or found[number].abstained[places[row]] for row in range(len(values))]
            evidence = [() if row in skipped else found[number].evidence[places[row]] for row in range(len(values))]
            scores.append(Scores(name, values, tuple(abstained), tuple(evidence)))
        return tuple(scores)

    def _try(self, batch: Batch) -> tuple[Scores, ...]:
        """Score a batch; when that raises, score item by item."""
        try:
            return self.detector.score(batch)
        except Exception:
            name, n = self.detector.name, len(batch.items)
            logger.exception("detector %s failed on a batch of %d; scoring one by one", name, n)
        singles = [self._try_one(batch.take([row])) for row in range(len(batch.items))]
        return tuple(
            Scores(
                name,
                np.concatenate([single[place].values for single in singles]),
                tuple(single[place].abstained[0] for single in singles),
                tuple(single[place].evidence[0] for single in singles),
            )
            for place, name in enumerate(self.detector.emits)
        )

    def _try_one(self, batch: Batch) -> tuple[Scores, ...]:
        try:
            return self.detector.score(batch)
        except Exception as error:  # a plug-in may raise anything; the row abstains and coverage shows it
            reason = self._failed(error)
            names = self.detector.emits
            return tuple(Scores(name, np.full(1, np.nan, np.float32), (reason,), ((),)) for name in names)

    def _failed(self, error: Exception) -> str:
        """Count an error and return the reason to abstain with."""
        kind = type(error).__name__
        self._recorder.add(ERRORS, 1, "detector", kind)
        return f"detector failed: {kind}"
