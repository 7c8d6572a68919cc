"""What a claim says exactly and its contexts do not: numbers, names, a negation, who did what to whom."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from inferwatch.detectors.hallucination.lexicon import words_of
from inferwatch.detectors.hallucination.names import Name, initials, names, stems_of, unknown, vocabulary
from inferwatch.detectors.hallucination.negation import opposed
from inferwatch.detectors.hallucination.quantities import Quantity, contradicted, held, quantities
from inferwatch.detectors.hallucination.units import MONTHS

KINDS = ("number", "name", "negation", "relation")
# A sentence that holds this share of a claim's other words tells of the same event.
_SAME_EVENT = 0.6
_SAME_BUT_ONE_NAME = 0.8
_SAME_WORDS = 3
_COUNTED = 3
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
    if missing:
        missing = [name for name in missing if not initials(claim, name) & known.words]
    found += [
        Mismatch("name", one.start, one.end, f"name {claim[one.start : one.end]} is not in the contexts")
        for one in missing
    ]
    if not missing:
        found += _swapped_name(claim, known)
    event = _event(claim, known.sentences)
    if event is not None:
        found += _negation(claim, event[1])
        found += _relation(claim, event[1])
    return tuple(sorted(found, key=lambda one: (one.start, one.kind)))


def _numbers(claim: str, known: Known) -> list[Mismatch]:
    found = []
    for one in quantities(claim):
        shown = claim[one.start : one.end]
        if held(one, known.asked):
            continue
        rival = contradicted(one, known.quantities)
        # "Two friends", "one of them": what an answer counts itself.
        own = one.spelled and not one.dimension and one.value <= _COUNTED
        if not held(one, known.quantities):
            month = {long for long in MONTHS if MONTHS[long] == one.date[1]} & known.words
            years = {value for other in known.quantities for value in (other.date[0], other.value)}
            if (own and rival is None) or (month and not one.date[2] and one.date[0] in years):
                continue
            said = f": they say {known.shown[known.quantities.index(rival)]}" if rival else ""
            found.append(Mismatch("number", one.start, one.end, f"number {shown} is not in the contexts{said}"))
        elif rival is not None:
            said = known.shown[known.quantities.index(rival)]
            found.append(Mismatch("number", one.start, one.end, f"number {shown} against {said} in the contexts"))
    return found


def _event(claim: str, sentences: Sequence[str], least: float = _SAME_EVENT) -> tuple[int, str] | None:
    """Return the sentence that tells of the same event as ``claim``: it holds most of its words that are no names."""
    wanted = _plain(claim)
    if len(wanted) < _SAME_WORDS:
        return None
    shares = [len(wanted & words_of(sentence).content) / len(wanted) for sentence in sentences]
    best = max(range(len(shares)), key=lambda place: (shares[place], sentences[place]), default=None)
    return None if best is None or shares[best] < least else (best, sentences[best])


@lru_cache(maxsize=1024)
def _plain(claim: str) -> frozenset[str]:
    words = words_of(claim)
    return words.content - stems_of(name.key for name in names(claim)) - set(words.numbers)


def _swapped_name(claim: str, known: Known) -> list[Mismatch]:
    event = _event(claim, known.sentences, _SAME_BUT_ONE_NAME)
    if event is None:
        return []
    place, sentence = event
    around = " ".join(known.sentences[max(0, place - 3) : place + 2])
    here = vocabulary(around)
    rivals = [name for name in names(sentence) if name.key not in vocabulary(claim)]
    found = []
    for name in names(claim):
        if unknown(name, here, stems_of((around,))) and rivals and not claim[name.start : name.end].isupper():
            other = sentence[rivals[0].start : rivals[0].end]
            shown = claim[name.start : name.end]
            found.append(Mismatch("name", name.start, name.end, f"name {shown} where the contexts say {other}"))
    return found


def _negation(claim: str, sentence: str) -> list[Mismatch]:
    words = opposed(claim, sentence)
    if not words:
        return []
    return [Mismatch("negation", 0, len(claim), f"of it and the context, one denies {', '.join(sorted(words))!r}")]


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
                if between and len(between & said) >= _SAME_EVENT * len(between):
                    reason = f"{first} and {second} have changed places against the contexts"
                    return [Mismatch("relation", own[first], own[second], reason)]
    return []


def _firsts(found: Sequence[Name]) -> dict[str, int]:
    places: dict[str, int] = {}
    for name in found:
        places.setdefault(name.key, name.start)
    return places
