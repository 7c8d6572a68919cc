"""Answers that refuse: how much of an output says no instead of answering."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np

from inferwatch.detectors.base import Batch, Detector, Field, Item, Scores
from inferwatch.detectors.quality.refusal_phrases import DELIVERS, DISCLAIMER, NOT_KNOWN, UNABLE, WILL_NOT
from inferwatch.detectors.sentences import split_sentences
from inferwatch.schemas.scores import Evidence

# A refusal opens an answer; what is said later is about something else, or is quoted.
_SENTENCES = 3
_READ = 600
_WILL_NOT, _UNABLE, _NOT_KNOWN, _DISCLAIMER = 1.0, 0.9, 0.7, 0.3
# After a refusal, more words than these are an answer; fewer where something is delivered ("here is", a list).
_FREE_WORDS = 120
_FREE_WORDS_DELIVERED = 25
_QUOTES = ('"', "“", "«", "„")


class Refusal(Detector):
    """Scores ``refusal``: how much of the output says that the model will not, cannot or does not know.

    The first three sentences are read: 1 for "I can't help with that", 0.9 for lacking an ability or access, 0.7 for
    not knowing, 0.3 for "as an AI language model" alone; 0 else. What follows counts as an answer: beyond 120 words
    (25 where it delivers something: "here is", a list, code), the score shrinks as 120 (25) over their number, so
    that "I have no opinions. However, …" with a page after it is no refusal. The share over the threshold is what to
    watch: a jump means a broken prompt, a stricter model, or an attack.

    English, with the usual phrases of German, French, Spanish, Italian and Portuguese. Evidence is the sentence.
    Abstains with ``no output``.
    """

    name: ClassVar[str] = "refusal"
    version: ClassVar[str] = "1"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.OUTPUT})
    emits: ClassVar[Mapping[str, float]] = {"refusal": 0.5}

    def texts(self, item: Item) -> Iterable[str]:
        return ()

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        reasons = tuple("" if item.output.strip() else "no output" for item in batch.items)
        found = [(np.nan, ()) if why else refused(item.output) for why, item in zip(reasons, batch.items, strict=True)]
        values = np.array([value for value, _ in found], np.float32)
        return (Scores("refusal", values, reasons, tuple(shown for _, shown in found)),)


def refused(output: str) -> tuple[float, tuple[Evidence, ...]]:
    """Return how much of ``output`` refuses, and the sentence that does.

    >>> refused("I'm sorry, but I can't help with that.")[0], refused("Refunds take five days.")[0]
    (1.0, 0.0)
    """
    best, place = 0.0, (0, 0)
    for start, end in split_sentences(output[:_READ], _SENTENCES + 1)[:_SENTENCES]:
        strength = _strength(output[start:end])
        if strength > best:
            best, place = strength, (start, end)
    if not best:
        return 0.0, ()
    start, end = place
    after = len(output[end:].split())
    free = _FREE_WORDS_DELIVERED if DELIVERS.search(output, start) else _FREE_WORDS
    value = best * min(1.0, free / max(after, 1))
    reason = (
        "refuses" if best == _WILL_NOT else "says that it is unable" if best > _DISCLAIMER else "says that it is an AI"
    )
    shown = Evidence(field="output", text=output[start:end], score=round(value, 4), start=start, end=end, reason=reason)
    return value, (shown,)


def _strength(sentence: str) -> float:
    for pattern, strength in ((WILL_NOT, _WILL_NOT), (UNABLE, _UNABLE), (NOT_KNOWN, _NOT_KNOWN)):
        found = pattern.search(sentence)
        only_says_what_it_is = pattern is NOT_KNOWN and found and DISCLAIMER.match(found.group())
        if found and not only_says_what_it_is and not _quoted(sentence, found.start()):
            return strength
    return _DISCLAIMER if DISCLAIMER.search(sentence) else 0.0


def _quoted(sentence: str, place: int) -> bool:
    """Whether a quotation opens before ``place``: somebody else is speaking."""
    return any(mark in sentence[:place] for mark in _QUOTES)
