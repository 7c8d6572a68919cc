"""Seeded changes of one fact inside a real claim: what a detector must see, and what it is fitted and tested on.

``change`` makes of a supported claim one that is wrong: another number, name, date or unit, a negation, two names
that change places. The new number or name comes from elsewhere or, where asked, from the same contexts, which is
harder. No text is written by a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from inferwatch.detectors.hallucination.names import names, vocabulary
from inferwatch.detectors.hallucination.quantities import quantities
from inferwatch.detectors.hallucination.units import MONTHS, SPELLED, TENS, UNITS

KINDS = ("number", "name", "number_in_context", "name_in_context", "date", "unit", "negation", "relation")
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")
_AUXILIARY = re.compile(
    r"\b(is|are|was|were|can|will|must|should|has|have|had|does|do|did)\b(?!\s+(?:not|n['’]t))", re.I
)
_SHORT_MONTH = 3
_NOT = re.compile(r"\s+not\b|n['’]t\b", re.IGNORECASE)
_UNIT_RIVALS = {
    "days": "weeks", "weeks": "days", "hours": "days", "minutes": "hours", "months": "weeks", "years": "months",
    "day": "week", "week": "month", "hour": "minute", "minute": "hour", "month": "year", "year": "month",
    "km": "metres", "miles": "kilometres", "dollars": "euros", "euros": "dollars", "pounds": "dollars",
    "percent": "dollars", "kg": "grams", "million": "billion", "billion": "million", "thousand": "million",
}  # fmt: skip


@dataclass(frozen=True)
class Edit:
    """A changed claim: the whole text, and the half-open range of what was put in."""

    text: str
    start: int
    end: int
    kind: str


def change(
    claim: str, contexts: Sequence[str], kind: str, pool: Sequence[str], rng: np.random.Generator
) -> Edit | None:
    """Return ``claim`` with one fact changed, or None where it has no such fact.

    Args:
        claim: a text that the contexts support.
        contexts: what supports it.
        kind: one of ``KINDS``.
        pool: names from elsewhere, for ``name``.
        rng: decides everything that is free.
    """
    return _MAKERS[kind](claim, tuple(contexts), pool, rng)


def name_pool(texts: Sequence[str]) -> list[str]:
    """Return the distinct names of ``texts`` as they are written, sorted."""
    return sorted({text[name.start : name.end].removesuffix("'s") for text in texts for name in names(text)})


def _put(claim: str, start: int, end: int, new: str, kind: str) -> Edit | None:
    return None if claim[start:end] == new else Edit(claim[:start] + new + claim[end:], start, start + len(new), kind)


def _pick(rng: np.random.Generator, found: Sequence[object]) -> int:
    return int(rng.integers(len(found)))


def _plain_numbers(claim: str) -> list[tuple[int, int]]:
    """Return the ranges of the digits, or of the single number word, of each quantity that is no date."""
    found = []
    for one in quantities(claim):
        digits = _DIGITS.search(claim, one.start, one.end)
        words = claim[one.start : one.end].split()
        if digits:
            found.append(digits.span())
        elif words and words[0].lower() in SPELLED | TENS and words[0].lower() not in ("one", "zero"):
            found.append((one.start, one.start + len(words[0])))
    return found


def _number(claim: str, contexts: tuple[str, ...], _: Sequence[str], rng: np.random.Generator) -> Edit | None:
    places = _plain_numbers(claim)
    if not places:
        return None
    start, end = places[_pick(rng, places)]
    old = claim[start:end]
    known = {match.group() for text in contexts for match in _DIGITS.finditer(text)}
    for _try in range(20):
        if old[0].isdecimal():
            new = _other_digits(old, rng)
        else:
            words = [word for word in SPELLED | TENS if word not in ("zero", "one", "dozen")]
            new = words[_pick(rng, words)]
        if new != old.lower() and new not in known and not any(new in text.lower() for text in contexts):
            return _put(claim, start, end, new, "number")
    return None


def _other_digits(old: str, rng: np.random.Generator) -> str:
    plain = old.replace(",", "")
    if "." in plain:
        whole, _, fraction = plain.partition(".")
        return f"{max(0, int(whole) + int(rng.integers(-9, 10)))}.{fraction}"
    value = int(plain[:15])
    wide = max(3, value // 3) if value < 1000 or value > 2100 else 40
    new = max(2, value + int(rng.integers(1, wide + 1)) * (1 if rng.random() < 0.5 else -1))
    return f"{new:,}" if "," in old else str(new)


def _number_in_context(
    claim: str, contexts: tuple[str, ...], _: Sequence[str], rng: np.random.Generator
) -> Edit | None:
    places = [place for place in _plain_numbers(claim) if claim[place[0]].isdecimal()]
    others = sorted(
        {match.group() for text in contexts for match in _DIGITS.finditer(text)} - set(_DIGITS.findall(claim))
    )
    if not places or not others:
        return None
    start, end = places[_pick(rng, places)]
    return _put(claim, start, end, others[_pick(rng, others)], "number_in_context")


def _runs(text: str) -> list[tuple[int, int]]:
    """Return the ranges of names, words of one name joined."""
    found: list[tuple[int, int]] = []
    for name in names(text):
        if found and text[found[-1][1] : name.start] == " ":
            found[-1] = (found[-1][0], name.end)
        else:
            found.append((name.start, name.end))
    return found


def _name(claim: str, contexts: tuple[str, ...], pool: Sequence[str], rng: np.random.Generator) -> Edit | None:
    places = [(name.start, name.end) for name in names(claim)]
    known = frozenset().union(*(vocabulary(text) for text in contexts))
    fresh = [word for word in pool if word.lower() not in known]
    if not places or not fresh:
        return None
    start, end = places[_pick(rng, places)]
    calendar = claim[start:end].lower() in MONTHS
    return None if calendar else _put(claim, start, end, fresh[_pick(rng, fresh)], "name")


def _name_in_context(claim: str, contexts: tuple[str, ...], _: Sequence[str], rng: np.random.Generator) -> Edit | None:
    places = _runs(claim)
    said = vocabulary(claim)
    others = sorted(
        {
            text[start:end]
            for text in contexts
            for start, end in _runs(text)
            if not any(word.lower().removesuffix("'s") in said for word in text[start:end].split())
        }
    )
    if not places or not others:
        return None
    start, end = places[_pick(rng, places)]
    return _put(claim, start, end, others[_pick(rng, others)], "name_in_context")


def _date(claim: str, _contexts: tuple[str, ...], _: Sequence[str], rng: np.random.Generator) -> Edit | None:
    long = [month.capitalize() for month in MONTHS if len(month) > _SHORT_MONTH and month != "sept"]
    places = list(re.finditer("|".join(long), claim))
    if not places:
        return None
    found = places[_pick(rng, places)]
    rest = [month for month in long if month != found.group() and not any(month in text for text in _contexts)]
    return _put(claim, *found.span(), rest[_pick(rng, rest)], "date") if rest else None


def _unit(claim: str, _contexts: tuple[str, ...], _: Sequence[str], rng: np.random.Generator) -> Edit | None:
    places = []
    for one in quantities(claim):
        last = re.search(r"[^\W\d_]+$", claim[one.start : one.end])
        if last and last.group() in _UNIT_RIVALS and (last.group() in UNITS or one.value >= 1000):
            places.append((one.start + last.start(), one.end))
    if not places:
        return None
    start, end = places[_pick(rng, places)]
    return _put(claim, start, end, _UNIT_RIVALS[claim[start:end]], "unit")


def _negation(claim: str, _contexts: tuple[str, ...], _: Sequence[str], rng: np.random.Generator) -> Edit | None:
    found = _NOT.search(claim)
    if found:
        return _put(claim, *found.span(), "", "negation")
    places = list(_AUXILIARY.finditer(claim))
    if not places:
        return None
    place = places[_pick(rng, places)]
    return _put(claim, place.end(), place.end(), " not", "negation")


def _relation(claim: str, _contexts: tuple[str, ...], _: Sequence[str], rng: np.random.Generator) -> Edit | None:
    places = _runs(claim)
    if len(places) < 2:
        return None
    at = _pick(rng, places[1:])
    (start, middle), (again, end) = places[at], places[at + 1]
    first, second, between = claim[start:middle], claim[again:end], claim[middle:again]
    if first == second or not re.search(r"[a-z]{3}", between) or re.fullmatch(r"\W*and\W*", between):
        return None
    return _put(claim, start, end, f"{second}{between}{first}", "relation")


_MAKERS: dict[str, Callable[[str, tuple[str, ...], Sequence[str], np.random.Generator], Edit | None]] = {
    "number": _number,
    "name": _name,
    "number_in_context": _number_in_context,
    "name_in_context": _name_in_context,
    "date": _date,
    "unit": _unit,
    "negation": _negation,
    "relation": _relation,
}
