"""The vectors of a batch's texts. A text that the encoder cannot take costs the rows that need it, nothing more."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from inferwatch.detectors.base import Batch, Encoded, Encoder, Item, encode_all
from inferwatch.detectors.drift import given
from inferwatch.schemas.drift_fields import GIVEN, texts_of
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
        self._all = Encoded.nothing(0, encoder.dim)
        self.lost: dict[str, str] = {}

    def add(self, texts: Iterable[str]) -> None:
        """Encode those of ``texts`` that are not there yet; never raises for what the encoder does."""
        new = [text for text in dict.fromkeys(texts) if text not in self._index]
        if not new:
            return
        found = self._encode(new)
        self._index |= {text: row for row, text in enumerate(new, start=len(self._all.cut))}
        self._all = self._all.followed_by(found) if len(self._all.cut) else found

    def batch(self, items: Sequence[Item]) -> Batch:
        """Return a batch over the vectors there are."""
        return Batch(items, self._index, self._all.vectors)

    def of_field(self, items: Sequence[Item], field: str) -> Encoded:
        """Return what drift compares of n items whose texts (``drift_texts``) were added; NaN where one is missing."""
        found = {name: self.gather([text_in(item, name) for item in items]) for name in texts_of(field)}
        return given.encoded(found["output"], found["input"]) if field == GIVEN else found[field]

    def gather(self, texts: Sequence[str]) -> Encoded:
        """Return what is known of n added texts; an empty or lost one has NaN for a vector, an empty one no chunks."""
        found = Encoded.nothing(len(texts), self._encoder.dim)
        present = [row for row, text in enumerate(texts) if text]
        if present:
            places = [self._index[texts[row]] for row in present]
            found.vectors[present] = self._all.vectors[places]
            found.chunks[present], found.cut[present] = self._all.chunks[places], self._all.cut[places]
        return found

    def _encode(self, texts: Sequence[str]) -> Encoded:
        """Return the vectors, NaN for the texts that are ``lost``.

        When the encoder raises, it is asked again for halves, down to the one text that it cannot take: too little
        memory for all may be enough for half, and one text costs nobody else's scores. An encoder that takes nothing
        at all is not asked for every text on its own.
        """
        found = Encoded.nothing(len(texts), self._encoder.dim)
        failures, works = 0, False
        parts = [(0, len(texts))]
        while parts:
            start, end = parts.pop()
            try:
                part = encode_all(self._encoder, texts[start:end])
                found.vectors[start:end], found.chunks[start:end] = part.vectors, part.chunks
                found.cut[start:end] = part.cut
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
        for row in np.flatnonzero(~np.isfinite(found.vectors).all(axis=1)).tolist():
            self.lost.setdefault(texts[row], "encoder failed: not finite")
            found.vectors[row] = np.nan
        return found


def drift_texts(items: Iterable[Item], field: str) -> Iterator[str]:
    """Yield the texts that the vectors of a drift field are made from, without the empty ones."""
    for item in items:
        yield from filter(None, (text_in(item, name) for name in texts_of(field)))


def text_in(item: Item, name: str) -> str:
    """Return one of an item's texts, empty where it is blank."""
    text = str(getattr(item, name))
    return text if text.strip() else ""
