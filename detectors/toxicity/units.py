"""Which stretches of a text get their own toxicity score, and how the scores meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferwatch.detectors.base import F32
from inferwatch.detectors.sentences import Span, split_sentences

LONG_CHARS = 300
MAX_SENTENCES = 32
_SHORTEST = 12
# "I hate seeing you upset." is an insult only by itself: a sentence is read with three tenths of its surroundings.
_OWN_SHARE = 0.7


def units(text: str) -> list[Span]:
    """Return the ranges to read: the whole text first, then its sentences if it is over 300 characters.

    One insult in a long polite answer disappears in the vector of the whole; sentences find it. Short texts are
    not cut, because every sentence costs an encoder pass. Nothing but white space lies outside of the sentences.
    """
    spans = [(0, len(text))]
    if len(text) > LONG_CHARS:
        sentences = split_sentences(text, MAX_SENTENCES)
        if len(sentences) > 1:
            spans += sentences
    return spans


def says_something(span: Span) -> bool:
    """Return whether a sentence is long enough to be scored: under 12 characters ("7.") it is not."""
    return span[1] - span[0] >= _SHORTEST


def in_context(logits: F32, counts: Sequence[int]) -> F32:
    """Return the log odds of each stretch read in its text.

    ``logits`` holds the stretches of several texts in a row, ``counts[i]`` of text i, the whole text first. The whole
    keeps its own; a sentence gets ``0.7 * its own + 0.3 * the whole's``.
    """
    held = np.array(counts, np.int64)
    wholes = np.cumsum(held) - held
    mixed: F32 = (_OWN_SHARE * logits + (1 - _OWN_SHARE) * np.repeat(logits[wholes], held)).astype(np.float32)
    mixed[wholes] = logits[wholes]
    return mixed
