"""How well each claim of an answer is held by the contexts: the features the model is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from inferwatch.detectors.base import F32, Item, once_an_item
from inferwatch.detectors.hallucination.claims import claims
from inferwatch.detectors.hallucination.lexicon import Words, words_of
from inferwatch.detectors.hallucination.mismatches import Known, Mismatch, known, mismatches
from inferwatch.detectors.sentences import Span, split_sentences

FEATURES = (
    "distance",
    "words",
    "new_words",
    "sentence_words",
    "pairs",
    "number",
    "name",
    "negation",
    "relation",
)
MAX_CONTEXT_CHARS = 20_000
MAX_CONTEXT_SENTENCES = 24
_SPLIT_SENTENCES = 256
_MOST_NEW_WORDS = 4


@dataclass(frozen=True, slots=True)
class Reading:
    """One item as the detector sees it: its claims, the context sentences that are looked at, and what is known."""

    spans: tuple[Span, ...]
    claims: tuple[str, ...]
    sentences: tuple[str, ...]


@once_an_item
def read(item: Item) -> Reading:
    """Return the claims of the output and at most 24 context sentences, those sharing most words with the output."""
    spans = tuple(claims(item.output))
    sentences = list(dict.fromkeys(sentence for context in item.contexts for sentence in _sentences(context)))
    if len(sentences) > MAX_CONTEXT_SENTENCES:
        wanted = words_of(item.output).content
        shared = [len(words_of(sentence).content & wanted) for sentence in sentences]
        best = sorted(range(len(sentences)), key=lambda place: -shared[place])[:MAX_CONTEXT_SENTENCES]
        sentences = [sentences[place] for place in sorted(best)]
    return Reading(spans, tuple(item.output[start:end] for start, end in spans), tuple(sentences))


@lru_cache(maxsize=256)
def _sentences(context: str) -> tuple[str, ...]:
    """Return the sentences of a context; what was retrieved for one question comes back for the next."""
    text = context[:MAX_CONTEXT_CHARS]
    return tuple(text[start:end] for start, end in split_sentences(text, _SPLIT_SENTENCES))


@dataclass(frozen=True, slots=True)
class Grounding:
    """Features of the c claims of one item, (c, 9) float32 in [0, 1], 0 = held by the contexts; and why not."""

    features: F32
    reasons: tuple[tuple[str, ...], ...]


def known_of(item: Item, reading: Reading) -> Known:
    """Return what the contexts of ``item`` and its question say."""
    contexts = tuple(context[:MAX_CONTEXT_CHARS] for context in item.contexts)
    return known(contexts, item.input[:MAX_CONTEXT_CHARS], reading.sentences)


def ground(item: Item, reading: Reading, claim_vectors: F32, sentence_vectors: F32) -> Grounding:
    """Compare each claim with the contexts: (c, dim) and (s, dim) vectors with rows of norm 1; c and s at least 1."""
    near = (claim_vectors @ sentence_vectors.T).max(axis=1)
    parts = [words_of(sentence) for sentence in reading.sentences]
    all_words = _union([words_of(context[:MAX_CONTEXT_CHARS]) for context in item.contexts])
    facts = known_of(item, reading)
    rows, reasons = [], []
    for place, claim in enumerate(reading.claims):
        words = words_of(claim)
        found = mismatches(claim, facts)
        kinds = {one.kind for one in found}
        missing = len(words.content - all_words.content)
        best = max(len(words.content & part.content) for part in parts) / len(words.content)
        rows.append(
            (
                1 - float(near[place]),
                missing / len(words.content),
                min(missing, _MOST_NEW_WORDS) / _MOST_NEW_WORDS,
                1 - best,
                1 - len(words.pairs & all_words.pairs) / max(1, len(words.pairs)),
                *(float(kind in kinds) for kind in ("number", "name", "negation", "relation")),
            )
        )
        reasons.append(_reasons(found, float(near[place])))
    return Grounding(np.clip(np.array(rows, np.float32), 0, 1), tuple(reasons))


def _union(parts: Sequence[Words]) -> Words:
    return Words(
        frozenset().union(*(part.content for part in parts)),
        frozenset().union(*(part.pairs for part in parts)),
        {},
        {},
        negated=False,
    )


def _reasons(found: Sequence[Mismatch], near: float) -> tuple[str, ...]:
    return (*(one.reason for one in found), f"closest context sentence has similarity {near:.2f}")
