"""Find personal data and secrets in a text: the one truth for redaction before and for detectors after it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from inferwatch.detectors.privacy.kinds import CARD, EMAIL, IBAN, IP, PHONE, PHONE_NANP, Kind
from inferwatch.detectors.privacy.national_ids import CODICE_FISCALE, NATIONAL_IDS
from inferwatch.detectors.privacy.secrets import ASSIGNMENT, KEYS, PRIVATE_KEY, URL_PASSWORD

_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"\d(?:[ .-]?\d){5}")
_CUE_REACH = 40
WITHOUT_DIGITS = (PRIVATE_KEY, URL_PASSWORD, EMAIL, *KEYS)
WITH_DIGITS = (IBAN, CODICE_FISCALE, IP)
WITH_NUMBERS = (IBAN, CODICE_FISCALE, CARD, IP, *NATIONAL_IDS, PHONE, PHONE_NANP)
"""Kinds to look for where six digits stand in a row, or with single separators between them."""
UNSURE = (ASSIGNMENT,)
"""Kinds that redaction leaves alone, because a wrong match would spoil a text."""


@dataclass(frozen=True, slots=True)
class Found:
    """One stretch ``text[start:end]`` of a kind."""

    kind: Kind
    start: int
    end: int


def find(text: str, *, unsure: bool = False) -> list[Found]:
    """Return the stretches of personal data and secrets in ``text``, in its order; none overlap.

    Kinds are looked for in a fixed order (secrets, addresses, numbers with a checksum, telephone numbers); what one
    found the next do not see. ``unsure`` also looks for assignments of what looks random. Linear in the text's length.

    >>> [(found.kind.name, found.start, found.end) for found in find("write to ann@example.com")]
    [('EMAIL', 9, 24)]
    """
    found: list[Found] = []
    for kind in _kinds(text, unsure):
        for hint in kind.hints:
            if hint in text:
                text = _look(kind, text, found)
                break
    return sorted(found, key=lambda one: one.start)


def _kinds(text: str, unsure: bool) -> Sequence[Kind]:
    kinds = WITHOUT_DIGITS
    if _DIGIT.search(text):
        kinds = (*kinds, *(WITH_NUMBERS if _NUMBER.search(text) else WITH_DIGITS))
    return (*kinds, *UNSURE) if unsure else kinds


def _look(kind: Kind, text: str, found: list[Found]) -> str:
    """Add the stretches of ``kind`` to ``found``; return the text with each covered by brackets of its length."""
    covered: list[str] = []
    last = 0
    for match in kind.pattern.finditer(text):
        start, end = match.span()
        if kind.check is not None and not kind.check(match.group()):
            continue
        if kind.cue is not None and not kind.cue.search(text, max(0, start - _CUE_REACH), start):
            continue
        found.append(Found(kind, start, end))
        covered += [text[last:start], "[", "]" * (end - start - 1)]
        last = end
    return "".join([*covered, text[last:]]) if covered else text
