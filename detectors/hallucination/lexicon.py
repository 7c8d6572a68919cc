"""The words, numbers and names of a text, made comparable."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

# Numbers keep their separators; CJK has no spaces, so each character is a word there.
_TOKEN = re.compile(
    r"\d+(?:[.,:]\d+)*|[\u3040-\u30ff\u3400-\u9fff]|[^\W\d_\u3040-\u30ff\u3400-\u9fff]+(?:['’][^\W\d_]+)?"
)
_STOP_LIST = (
    "a an the and or but if then so than that this these those it its it's they them their theirs there here he she "
    "his her hers him we us our ours you your yours i me my mine is are "
    "was were be been being am do does did doing have "
    "has had having will would can could should shall may might must of in on at by for from to with into onto over "
    "under about as also just only very more most such not no nor never n't cannot can't don't doesn't didn't won't "
    "isn't aren't wasn't weren't what which who whom whose when where why how all any each both some per via up out "
    "yes please however once after before until while during because between within without i'm you're we're they're "
    "you'll we'll i'll that's there's let's"
)
_STOP = frozenset(_STOP_LIST.split())
_NEGATION_LIST = "not no never neither nor without cannot none nothing unable"
_NEGATIONS = frozenset(_NEGATION_LIST.split())
_NUMBER_LIST = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBER_WORDS = {word: str(number) for number, word in enumerate(_NUMBER_LIST.split())} | {
    "fifteen": "15",
    "twenty": "20",
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "sixty": "60",
    "ninety": "90",
    "hundred": "100",
}
_LIST_NUMBER = re.compile(r"^\s*(?:[-*•]\s*)?\d{1,2}[.)]\s+")
_SUFFIXES = (
    "ations",
    "ation",
    "ments",
    "ment",
    "ings",
    "ing",
    "ies",
    "ied",
    "ers",
    "er",
    "ed",
    "es",
    "ly",
    "s",
    "e",
    "y",
)
_LEAST_STEM = 3


@dataclass(frozen=True, slots=True)
class Words:
    """One text as sets. ``numbers`` and ``names`` map the comparable form to how the text writes it."""

    content: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    numbers: dict[str, str]
    names: dict[str, str]
    negated: bool


@lru_cache(maxsize=1024)
def words_of(text: str) -> Words:
    """Return the content words (stemmed), neighbouring pairs of them, numbers and names of ``text``.

    A name is a capitalised word that does not open a sentence. Numbers lose thousands separators, and leading zeros;
    the words zero to twelve and the round ones become digits, ``one`` excepted, which is mostly a pronoun.
    """
    listed = _LIST_NUMBER.match(text)
    content: list[str] = []
    numbers: dict[str, str] = {}
    names: dict[str, str] = {}
    negated = False
    opens = True
    last = 0
    for found in _TOKEN.finditer(text, listed.end() if listed else 0):
        token = found.group()
        opens = opens or any(mark in text[last : found.start()] for mark in '.!?:\n"“')
        last = found.end()
        lower = token.lower().replace("’", "'")
        negated = negated or lower in _NEGATIONS or lower.endswith("n't")
        number = number_of(lower)
        if number is not None:
            content.append(number)
            if lower != "one":
                numbers.setdefault(number, token)
        elif lower not in _STOP:
            content.append(stem(lower))
            if token[0].isupper() and not opens:
                names.setdefault(stem(lower), token)
        opens = False
    pairs = frozenset(pairwise(content))
    return Words(frozenset(content), pairs, numbers, names, negated)


def number_of(token: str) -> str | None:
    """Return the comparable form of a number, or None.

    >>> number_of("1,000"), number_of("03.50"), number_of("twelve"), number_of("cat")
    ('1000', '3.5', '12', None)
    """
    if not token[0].isdecimal():
        return _NUMBER_WORDS.get(token)
    if ":" in token:
        return token.lstrip("0") or "0"
    plain = re.sub(r",(?=\d{3}(?:\D|$))", "", token)
    if plain.count(".") > 1 or "," in plain:
        return plain
    whole, _, fraction = plain.partition(".")
    fraction = fraction.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{fraction}" if fraction else "")


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return ``word`` without common English endings; good enough to match forms of one word.

    >>> stem("returned") == stem("returns") == stem("returning")
    True
    """
    word = word.removesuffix("'s")
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _LEAST_STEM:
            return word.removesuffix(suffix)
    return word
