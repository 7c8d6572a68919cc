"""How well each claim of an answer is held by the contexts: the features the model is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from inferwatch.detectors.base import F32, Item, once_an_item
from inferwatch.detectors.hallucination.claims import claims
from inferwatch.detectors.hallucination.lexicon import Words, words_of
from inferwatch.detectors.sentences import Span, split_sentences

FEATURES = ("distance", "words", "sentence_words", "pairs", "numbers", "names", "negation")
MAX_CONTEXT_CHARS = 20_000
MAX_CONTEXT_SENTENCES = 24
_SPLIT_SENTENCES = 256
# One unknown number makes a claim wrong; one unknown name may be a capitalised common word.
_MOST_NAMES = 2


@dataclass(frozen=True, slots=True)
class Reading:
    """One item as the detector sees it: its claims and the context sentences that are looked at."""

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
    """Features of the c claims of one item, (c, 7) float32 in [0, 1], 0 = held by the contexts; and why not."""

    features: F32
    reasons: tuple[tuple[str, ...], ...]


def ground(item: Item, reading: Reading, claim_vectors: F32, sentence_vectors: F32) -> Grounding:
    """Compare each claim with the contexts: (c, dim) and (s, dim) vectors with rows of norm 1; c and s at least 1."""
    cosines = claim_vectors @ sentence_vectors.T
    closest = cosines.argmax(axis=1)
    near = cosines[np.arange(len(closest)), closest]
    parts = [words_of(sentence) for sentence in reading.sentences]
    known = _union([words_of(context[:MAX_CONTEXT_CHARS]) for context in item.contexts])
    asked = words_of(item.input[:MAX_CONTEXT_CHARS])
    rows, reasons = [], []
    for place, claim in enumerate(reading.claims):
        words = words_of(claim)
        numbers = [shown for number, shown in words.numbers.items() if number not in known.content | asked.content]
        names = [shown for name, shown in words.names.items() if name not in known.content | asked.content]
        best = max(len(words.content & part.content) for part in parts) / len(words.content)
        opposite = words.negated != parts[closest[place]].negated
        rows.append(
            (
                1 - float(near[place]),
                1 - len(words.content & known.content) / len(words.content),
                1 - best,
                1 - len(words.pairs & known.pairs) / max(1, len(words.pairs)),
                float(bool(numbers)),
                min(len(names), _MOST_NAMES) / _MOST_NAMES,
                float(opposite),
            )
        )
        reasons.append(_reasons(numbers, names, float(near[place]), opposite))
    return Grounding(np.clip(np.array(rows, np.float32), 0, 1), tuple(reasons))


def _union(parts: Sequence[Words]) -> Words:
    return Words(
        frozenset().union(*(part.content for part in parts)),
        frozenset().union(*(part.pairs for part in parts)),
        {},
        {},
        negated=False,
    )


def _reasons(numbers: Sequence[str], names: Sequence[str], near: float, opposite: bool) -> tuple[str, ...]:
    found = [f"number {number} is not in the contexts" for number in numbers]
    found += [f"name {name} is not in the contexts" for name in names]
    if opposite:
        found.append("only one of it and the closest context sentence is negated")
    found.append(f"closest context sentence has similarity {near:.2f}")
    return tuple(found)
