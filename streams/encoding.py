"""The vectors of a batch's texts. A text that the encoder cannot take costs the rows that need it, nothing more."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np

from inferwatch.detectors.base import F32, Batch, Encoder, Item
from inferwatch.streams.telemetry import ERRORS, Recorder

logger = logging.getLogger(__name__)


class Texts:
    """The texts of a batch and their vectors, each encoded once.

    Args:
        encoder: the one sentence encoder.
        recorder: is told its errors.

    Attributes:
        lost: text -> reason, of those that have no vector.
    """

    def __init__(self, encoder: Encoder, recorder: Recorder) -> None:
        self._encoder = encoder
        self._recorder = recorder
        self._index: dict[str, int] = {}
        self._vectors = np.empty((0, encoder.dim), np.float32)
        self.lost: dict[str, str] = {}

    def add(self, texts: Iterable[str]) -> None:
        """Encode those of ``texts`` that are not there yet; never raises for what the encoder does."""
        new = [text for text in dict.fromkeys(texts) if text not in self._index]
        if not new:
            return
        vectors = self._encode(new)
        self._index |= {text: row for row, text in enumerate(new, start=len(self._vectors))}
        self._vectors = np.concatenate([self._vectors, vectors]) if len(self._vectors) else vectors

    def batch(self, items: Sequence[Item]) -> Batch:
        """Return a batch over the vectors there are."""
        return Batch(items, self._index, self._vectors)

    def gather(self, texts: Sequence[str]) -> F32:
        """Return (n, dim) vectors of n added texts, NaN where the text is empty or lost."""
        found = np.full((len(texts), self._encoder.dim), np.nan, np.float32)
        present = [row for row, text in enumerate(texts) if text]
        if present:
            found[present] = self._vectors[[self._index[texts[row]] for row in present]]
        return found

    def _encode(self, texts: Sequence[str]) -> F32:
        """Return (n, dim) vectors, NaN for the texts that are ``lost``.

        When the encoder raises, it is asked again for halves, down to the one text that it cannot take: too little
        memory for all may be enough for half, and one text costs nobody else's scores. An encoder that takes nothing
        at all is not asked for every text on its own.
        """
        vectors = np.full((len(texts), self._encoder.dim), np.nan, np.float32)
        failures, works = 0, False
        parts = [(0, len(texts))]
        while parts:
            start, end = parts.pop()
            try:
                vectors[start:end] = self._encoder.encode(texts[start:end])
                works = True
            except Exception as error:
                failures += 1
                reason = f"encoder failed: {type(error).__name__}"
                self._recorder.add(ERRORS, 1, "encoder", type(error).__name__)
                logger.error("the encoder failed on %d texts: %s: %s", end - start, type(error).__name__, error)
                hopeless = not works and failures > 4 + len(texts).bit_length()
                if hopeless:
                    end, parts = len(texts), []
                if hopeless or end - start == 1:
                    self.lost |= dict.fromkeys(texts[start:end], reason)
                else:
                    middle = (start + end) // 2
                    parts += [(middle, end), (start, middle)]
        for row in np.flatnonzero(~np.isfinite(vectors).all(axis=1)).tolist():
            self.lost.setdefault(texts[row], "encoder failed: not finite")
            vectors[row] = np.nan
        return vectors
