"""The names of a text, and which of them a text does not know."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from inferwatch.detectors.hallucination.lexicon import stem, words_of
from inferwatch.detectors.hallucination.units import MONTHS, WEEKDAYS

_WORD = re.compile(r"[^\W\d_][^\W_]*(?:['’][^\W\d_]+)*")
_OPENS = re.compile(r"""(?:^|[.!?:\n"“”*•(])[\s"“'*(\[-]*$""")
_RUN = re.compile(r"[A-Z][\w'’-]*(?:\s+(?:of\s+|and\s+|the\s+)*[A-Z][\w'’-]*)+")
_LOOK_BACK = 8
_TITLE_LIST = "mr mrs ms dr prof sir sen gov rep sgt agent client customer user assistant"
_ADVERB_LIST = (
    "moreover furthermore meanwhile nevertheless nonetheless therefore thus hence whereas although yeah okay ok hmm "
    "yesterday today tomorrow tonight"
)
_TITLES = frozenset(_TITLE_LIST.split())
_ADVERBS = frozenset(_ADVERB_LIST.split())
_OPENING_ENDINGS = ("ly", "ing", "ed")
_SAME_ROOT = 4
_SHORT_MONTH = 3
_CALENDAR = WEEKDAYS | {month for month in MONTHS if len(month) > 3} - {"may", "march"}


@dataclass(frozen=True, slots=True)
class Name:
    """One word of a name: how it is compared and where it lies."""

    key: str
    start: int
    end: int


@lru_cache(maxsize=2048)
def names(text: str) -> tuple[Name, ...]:
    """Return the words of ``text`` that are names: capitalised, and not common words; days and months in any case.

    A capitalised word that opens a sentence counts when English hardly writes it in lower case. Texts that are
    written without capitals have no names but days and months.

    >>> [name.key for name in names("Yesterday Maria met the Board in Oslo on friday.")]
    ['maria', 'oslo', 'friday']
    """
    found = []
    for match in _WORD.finditer(text):
        word = match.group()
        key = key_of(word)
        if key in _CALENDAR or (word[0].isupper() and _is_name(text, match.start(), word, key)):
            found.append(Name(key, match.start(), match.end()))
    return tuple(found)


def key_of(word: str) -> str:
    """Return the form in which words of names are compared."""
    lower = word.lower().replace("’", "'")
    return lower.removesuffix("'s").removesuffix("'")


@lru_cache(maxsize=2048)
def vocabulary(text: str) -> frozenset[str]:
    """Return every word of ``text`` and the initials of every run of capitalised words, in comparable form."""
    words = [match.group() for match in _WORD.finditer(text)]
    initials, run = set(), ""
    for word in [*words, "."]:
        if word[0].isupper():
            run += word[0].lower()
        elif word not in ("of", "and", "the", "for"):
            if len(run) > 1:
                initials.add(run)
            run = ""
    return frozenset(key_of(word) for word in words) | initials


def initials(text: str, name: Name) -> frozenset[str]:
    """Return the initials of the run of capitalised words around ``name``, if there is more than one."""
    for run in _RUN.finditer(text):
        if run.start() <= name.start < run.end():
            letters = "".join(word[0].lower() for word in run.group().split() if word[0].isupper())
            return frozenset({letters}) if len(letters) > 1 else frozenset()
    return frozenset()


def unknown(name: Name, known: frozenset[str], stems: frozenset[str]) -> bool:
    """Return whether no known word is this name, a form of it, or of the same root (Germany, German)."""
    if name.key in known or stem(name.key) in stems:
        return False
    if len(name.key) <= _SAME_ROOT:
        return name.key[:3] not in stems if name.key in MONTHS else True
    return name.key[:_SAME_ROOT] not in {word[:_SAME_ROOT] for word in known if len(word) > _SAME_ROOT}


def stems_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the stems of all content words of ``texts``."""
    return frozenset().union(*(words_of(text).content for text in texts))


@cache
def _common() -> frozenset[str]:
    held = json.loads(Path(__file__).with_name("common_words.json").read_text("utf-8"))
    return frozenset(held["words"].split())


def _is_name(text: str, start: int, word: str, key: str) -> bool:
    common = _common()
    if key in common or stem(key) in common or key in _TITLES or key in _ADVERBS or len(key) < 2:
        return False
    if (
        key.removesuffix("s") in common
        or (key in MONTHS and len(key) <= _SHORT_MONTH)
        or text[start - 1 : start] == "["
    ):
        return False
    if "'" in key and (key.split("'")[0] in common or key[1] == "'"):  # I'm, He'll
        return False
    opens = _OPENS.search(text, max(0, start - _LOOK_BACK), start) is not None if start else True
    return not opens or not key.endswith(_OPENING_ENDINGS)
