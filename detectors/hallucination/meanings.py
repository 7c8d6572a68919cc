"""Which texts mean the same: close vectors and no exact mismatch either way."""

from __future__ import annotations

import re
from collections.abc import Sequence

from inferwatch.detectors.base import F32
from inferwatch.detectors.hallucination.lexicon import words_of
from inferwatch.detectors.hallucination.mismatches import known, mismatches
from inferwatch.detectors.hallucination.negation import opposed

# Of paraphrases of one answer nine in ten have a higher cosine; see MODEL_CARD.md.
SAME_MEANING = 0.65
_MOST_CHARS = 2000
_SHORT = 4
_WORD = re.compile(r"[^\W_]+")


def cut(text: str) -> str:
    """Return what is read of a text: its first 2,000 characters."""
    return text.strip()[:_MOST_CHARS]


def clusters(texts: Sequence[str], vectors: F32) -> list[int]:
    """Return the group of each of n texts, numbered by first appearance: a text joins the first group it fits.

    It fits a group when it means the same as the group's first text: bidirectional agreement, as in semantic entropy,
    with cosine and exact rules in the place of an entailment model.

    Args:
        texts: n texts.
        vectors: (n, dim), rows of norm 1.
    """
    firsts: list[int] = []
    groups: list[int] = []
    for place, text in enumerate(texts):
        for group, first in enumerate(firsts):
            if agree(texts[first], text, float(vectors[first] @ vectors[place])):
                groups.append(group)
                break
        else:
            groups.append(len(firsts))
            firsts.append(place)
    return groups


def agree(first: str, second: str, cosine: float) -> bool:
    """Return whether two answers mean the same, whichever of them comes first."""
    if _WORD.findall(first.lower()) == _WORD.findall(second.lower()):
        return True
    words, others = words_of(first).content, words_of(second).content
    if min(len(words), len(others)) <= _SHORT:
        # "Ann won." and "Bob won." are close for any encoder; "Ann." and "It was Ann who won." are not.
        close = bool(words & others) and (words <= others or others <= words or cosine >= SAME_MEANING)
        return close and not opposed(first, second) and not differences(first, second)
    return cosine >= SAME_MEANING and not differences(first, second)


def differences(first: str, second: str) -> tuple[str, ...]:
    """Return what one of two answers says exactly and the other says otherwise."""
    found = []
    for claim, other in ((first, second), (second, first)):
        held = known((other,), "", (other,))
        found += [one.reason.replace("the contexts", "the other") for one in mismatches(claim, held)]
    return tuple(found)
