"""What a claim says exactly and its contexts do not: numbers, names, a negation, who did what to whom."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from inferwatch.detectors.hallucination.lexicon import words_of
from inferwatch.detectors.hallucination.names import Name, names, stems_of, unknown, vocabulary
from inferwatch.detectors.hallucination.quantities import Quantity, contradicted, held, quantities

KINDS = ("number", "name", "negation", "relation")
# A sentence that holds this share of a claim's other words tells of the same event.
_SAME_EVENT = 0.6
_SAME_WORDS = 3
_PASSIVE = re.compile(r"\b(?:is|are|was|were|been|be|being)\b[^,;]{0,40}\bby\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One exact mismatch: its kind, the half-open range in the claim, and why, in words."""

    kind: str
    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """What contexts and question say, read once for all claims of an answer."""

    sentences: tuple[str, ...]
    quantities: tuple[Quantity, ...]
    shown: tuple[str, ...]
    asked: tuple[Quantity, ...]
    words: frozenset[str]
    stems: frozenset[str]


@lru_cache(maxsize=64)
def known(contexts: tuple[str, ...], question: str, sentences: tuple[str, ...]) -> Known:
    """Read ``contexts`` and ``question``; ``sentences`` are those of the contexts that claims are compared with."""
    said = [(one, context[one.start : one.end]) for context in contexts for one in quantities(context)]
    words = frozenset().union(*(vocabulary(text) for text in (*contexts, question)))
    return Known(
        sentences,
        tuple(one for one, _ in said),
        tuple(shown for _, shown in said),
        quantities(question),
        words,
        stems_of((*contexts, question)),
    )


def mismatches(claim: str, known: Known) -> tuple[Mismatch, ...]:
    """Return the exact mismatches of ``claim`` in the order of their places.

    Numbers are compared by value and unit, dates by their parts, names by word; what the question says counts as
    known. A name or a number that the contexts hold elsewhere is a mismatch when the sentence about the same event
    has another in its place.
    """
    found = [*_numbers(claim, known)]
    missing = [name for name in names(claim) if unknown(name, known.words, known.stems)]
    found += [Mismatch("name", one.start, one.end, f"name {claim[one.start : one.end]} is not in the contexts")
              for one in missing]
    event = _event(claim, known.sentences)
    if event is not None:
        if not missing:
            found += _swapped_name(claim, event, known)
        found += _negation(claim, event[1])
        found += _relation(claim, event[1])
    return tuple(sorted(found, key=lambda one: (one.start, one.kind)))


def _numbers(claim: str, known: Known) -> list[Mismatch]:
    found = []
    for one in quantities(claim):
        shown = claim[one.start : one.end]
        vague = one.spelled and not one.dimension and one.value <= 1
        if vague or held(one, known.asked):
            continue
        if not held(one, known.quantities):
            rival = contradicted(one, known.quantities)
            said = f": they say {known.shown[known.quantities.index(rival)]}" if rival else ""
            found.append(Mismatch("number", one.start, one.end, f"number {shown} is not in the contexts{said}"))
            continue
        rival = contradicted(one, known.quantities)
        if rival is not None:
            said = known.shown[known.quantities.index(rival)]
            found.append(Mismatch("number", one.start, one.end, f"number {shown} against {said} in the contexts"))
    return found


def _event(claim: str, sentences: Sequence[str]) -> tuple[int, str] | None:
    """Return the sentence that tells of the same event as ``claim``: it holds most of its words that are no names."""
    wanted = _plain(claim)
    if len(wanted) < _SAME_WORDS:
        return None
    shares = [len(wanted & words_of(sentence).content) / len(wanted) for sentence in sentences]
    best = max(range(len(shares)), key=shares.__getitem__, default=None)
    return None if best is None or shares[best] < _SAME_EVENT else (best, sentences[best])


@lru_cache(maxsize=1024)
def _plain(claim: str) -> frozenset[str]:
    words = words_of(claim)
    return words.content - stems_of(name.key for name in names(claim)) - set(words.numbers)


def _swapped_name(claim: str, event: tuple[int, str], known: Known) -> list[Mismatch]:
    place, sentence = event
    around = " ".join(known.sentences[max(0, place - 2) : place + 2])
    here = vocabulary(around)
    own = {name.key for name in names(claim)}
    rivals = [name for name in names(sentence) if name.key not in vocabulary(claim)]
    found = []
    for name in names(claim):
        if unknown(name, here, stems_of((around,))) and rivals and own:
            other = sentence[rivals[0].start : rivals[0].end]
            shown = claim[name.start : name.end]
            found.append(Mismatch("name", name.start, name.end, f"name {shown} where the contexts say {other}"))
    return found


def _negation(claim: str, sentence: str) -> list[Mismatch]:
    wanted, said = words_of(claim), words_of(sentence)
    if wanted.negated == said.negated or len(wanted.content & said.content) < 0.75 * len(wanted.content):
        return []
    return [Mismatch("negation", 0, len(claim), "only one of it and the closest context sentence is negated")]


def _relation(claim: str, sentence: str) -> list[Mismatch]:
    """Two names change places around the same words."""
    own, theirs = _firsts(names(claim)), _firsts(names(sentence))
    if bool(_PASSIVE.search(claim)) != bool(_PASSIVE.search(sentence)):
        return []
    for first in own:
        for second in own:
            if first == second or first not in theirs or second not in theirs or own[first] > own[second]:
                continue
            if theirs[first] > theirs[second]:
                between = words_of(claim[own[first] : own[second]]).content - {first, second}
                said = words_of(sentence[theirs[second] : theirs[first]]).content
                if between and between <= said:
                    reason = f"{first} and {second} have changed places against the contexts"
                    return [Mismatch("relation", own[first], own[second], reason)]
    return []


def _firsts(found: Sequence[Name]) -> dict[str, int]:
    places: dict[str, int] = {}
    for name in found:
        places.setdefault(name.key, name.start)
    return places
