"""Numbers of a text in digits and in words: "1,200", "two hundred and fifty thousand", "1.2bn", "21st", "15:30"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from inferwatch.detectors.hallucination.lexicon import number_of
from inferwatch.detectors.hallucination.units import SCALES, SPELLED, SPELLED_ORDINALS, TENS

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[%$€£¥]")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})")
_ORDINAL_ENDINGS = ("st", "nd", "rd", "th")
_MOST_DIGITS = 15
_LAST = SPELLED_ORDINALS | {"first": 1, "second": 2}


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a number in digits or a sign of money, and where it lies."""

    text: str
    start: int
    end: int

    @property
    def lower(self) -> str:
        return self.text.lower()


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number, the place of the token after it, and how many of its digits count (0: all, as written in words).

    ``kind`` is ``clock`` (value in minutes), ``ordinal``, or empty.
    """

    value: float
    after: int
    digits: int = 0
    kind: str = ""


def tokens_of(text: str) -> list[Token]:
    """Return the words, numbers and money signs of ``text``."""
    return [Token(match.group(), match.start(), match.end()) for match in _TOKEN.finditer(text)]


def numeral(text: str, tokens: Sequence[Token], place: int) -> Numeral | None:
    """Return the number that begins at token ``place``, if one does."""
    token = tokens[place]
    if token.text[0].isdecimal():
        return _digits(text, tokens, place)
    if token.lower in ("noon", "midnight"):
        return Numeral(720 if token.lower == "noon" else 0, place + 1, kind="clock")
    if token.lower in SPELLED_ORDINALS:
        return Numeral(SPELLED_ORDINALS[token.lower], place + 1, kind="ordinal") if not _of(tokens, place + 1) else None
    if token.lower in SPELLED or token.lower in TENS or (_scale(token) and place and tokens[place - 1].lower == "a"):
        return _words(text, tokens, place)
    return None


def near(text: str, tokens: Sequence[Token], place: int) -> bool:
    """Return whether token ``place`` follows the one before it with at most blanks and hyphens between."""
    return place < len(tokens) and not text[tokens[place - 1].end : tokens[place].start].strip(" -\u00a0\u2011")


def _digits(text: str, tokens: Sequence[Token], place: int) -> Numeral | None:
    token = tokens[place]
    clock = _CLOCK.fullmatch(token.text)
    if clock and int(clock[1]) < 25 and int(clock[2]) < 60:
        return Numeral(int(clock[1]) * 60 + int(clock[2]), place + 1, kind="clock")
    plain = number_of(token.lower) or ""
    if len(plain) > _MOST_DIGITS or not re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", plain):
        return None
    value, after = float(plain), place + 1
    digits = len(plain.replace(".", "").strip("0")) or 1
    if after < len(tokens) and tokens[after].lower in _ORDINAL_ENDINGS and tokens[after].start == token.end:
        return Numeral(value, after + 1, digits, "ordinal")
    while near(text, tokens, after) and _scale(tokens[after]):
        if len(tokens[after].text) == 1 and tokens[after].start != tokens[after - 1].end:
            break
        value, after = value * _scale(tokens[after]), after + 1
    return Numeral(value, after, digits)


def _words(text: str, tokens: Sequence[Token], place: int) -> Numeral:
    total = group = 0.0
    at = place
    while at < len(tokens) and (at == place or near(text, tokens, at)):
        token = tokens[at]
        scale = _scale(token) if len(token.text) > 2 else 0
        if scale == 100:
            group = max(group, 1) * scale
        elif scale:
            total, group = total + max(group, 1) * scale, 0
        elif token.lower in SPELLED or token.lower in TENS:
            value = SPELLED.get(token.lower, TENS.get(token.lower, 0))
            fits = at == place or _scale(tokens[at - 1]) or tokens[at - 1].lower == "and"
            if not fits and not (tokens[at - 1].lower in TENS and 0 < value < 10):
                break
            group += value
        elif token.lower in _LAST and at > place and tokens[at - 1].lower in TENS:
            return Numeral(total + group + _LAST[token.lower], at + 1, kind="ordinal")
        elif not (
            token.lower == "and"
            and at > place
            and _scale(tokens[at - 1])
            and near(text, tokens, at + 1)
            and (tokens[at + 1].lower in SPELLED or tokens[at + 1].lower in TENS)
        ):
            break
        at += 1
    return Numeral(total + group, at)


def _scale(token: Token) -> float:
    return SCALES.get("m" if token.text == "M" else token.lower, 0.0)


def _of(tokens: Sequence[Token], place: int) -> bool:
    return place < len(tokens) and tokens[place].lower == "of"
