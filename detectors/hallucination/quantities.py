"""The quantities of a text, made comparable: numbers in digits and words, percentages, money, units, dates, times."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from inferwatch.detectors.hallucination.lexicon import stem
from inferwatch.detectors.hallucination.numerals import Token, near, numeral, tokens_of
from inferwatch.detectors.hallucination.units import HEDGES, MONEY_SIGNS, MONTHS, NOT_HEADS, PASSED_OVER, UNITS

_ISO = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b|\b(\d{1,2})[/.](\d{1,2})[/.](\d{4})\b")
_SKIPPED = re.compile(r"^\s*(?:[-*•]\s*)?\d{1,2}[.)]\s+|\[\d{1,3}\]")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})")
_HEDGED = re.compile(rf"\b(?:{'|'.join(HEDGES)})\s+(?:an?\s+|the\s+)?$", re.IGNORECASE)
_LOOK_BACK = 24
_YEAR = (1000, 2100)
_DAYS = 31
_MONTH_WORDS_THAT_ARE_VERBS = ("may", "march")
_HALF_DAY = 720
_AFTERNOON = 780
_LOOSE = 0.1
_EXACT = 1e-6
_ROUNDED = 1e5


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity. ``value`` is in the base unit of ``dimension`` (``time`` in seconds); that is empty without unit.

    ``clock`` is in minutes after midnight, ``date`` is (year, month, day) with 0 for what is not said. ``head`` is the
    stem of the word that is counted, if any; ``loose`` says that the text itself calls it approximate, or
    leaves open which half of the day a time is in.
    """

    start: int
    end: int
    value: float
    dimension: str = ""
    date: tuple[int, int, int] = (0, 0, 0)
    head: str = ""
    loose: bool = False
    digits: int = 0
    spelled: bool = False


@lru_cache(maxsize=2048)
def quantities(text: str) -> tuple[Quantity, ...]:
    """Return the quantities of ``text`` in order; the numbers of a list and of citations are left out.

    >>> [(one.value, one.dimension) for one in quantities("Two weeks, 3.5 million euros or 20 %.")]
    [(1209600.0, 'time'), (3500000.0, 'EUR'), (20.0, '%')]
    """
    found: list[Quantity] = []
    plain = _SKIPPED.sub(lambda match: " " * len(match.group()), text)
    for match in _ISO.finditer(plain):
        year, month, day = (int(part) for part in (match.group(1, 2, 3) if match[1] else match.group(6, 5, 4)))
        found.append(Quantity(match.start(), match.end(), 0, "date", (year, month, day)))
    plain = _ISO.sub(lambda match: " " * len(match.group()), plain)
    tokens = tokens_of(plain)
    place = 0
    while place < len(tokens):
        one, after = _at(plain, tokens, place)
        if one is not None:
            found.append(one)
        place = max(after, place + 1)
    return tuple(sorted(found, key=lambda one: one.start))


def held(claim: Quantity, known: Sequence[Quantity]) -> bool:
    """Return whether some of ``known`` says the same as ``claim``, in whatever unit and notation."""
    if claim.dimension == "date":
        return _date_held(claim, known)
    return any(_same(claim, other) for other in known)


def contradicted(claim: Quantity, known: Sequence[Quantity]) -> Quantity | None:
    """Return a quantity of ``known`` that counts the same thing to another number, where none agrees."""
    if not claim.head and claim.dimension in ("", "date"):
        return None
    rivals = [other for other in known if _counts_the_same(claim, other)]
    bare = any(_same(claim, other) and not other.head for other in known)  # it may count the same thing there
    if not rivals or bare or any(_same(claim, other) for other in rivals):
        return None
    return rivals[0]


def _counts_the_same(claim: Quantity, other: Quantity) -> bool:
    if claim.dimension or other.dimension:
        return claim.dimension == other.dimension and claim.head == other.head != ""
    return claim.head == other.head


def _same(claim: Quantity, other: Quantity) -> bool:
    if other.dimension == "date":
        return not claim.dimension and claim.value in other.date and claim.value > 0
    first, second = claim.value, other.value
    if claim.dimension != other.dimension:
        if {claim.dimension, other.dimension} == {"", "clock"}:
            first, second = (
                (60 * v if d == "" else v) for v, d in ((first, claim.dimension), (second, other.dimension))
            )
        elif {claim.dimension, other.dimension} == {"", "%"}:
            first, second = (
                (100 * v if d == "" and 0 < v < 1 else v)
                for v, d in ((first, claim.dimension), (second, other.dimension))
            )
        elif claim.dimension and other.dimension:
            return False
    if "clock" in (claim.dimension, other.dimension):
        half_unknown = claim.loose or other.loose or claim.dimension != other.dimension
        return first % _HALF_DAY == second % _HALF_DAY if half_unknown else first == second
    gap = abs(first - second)
    largest = max(abs(first), abs(second))
    if gap <= _EXACT * largest:
        return True
    if claim.loose:
        return gap <= _LOOSE * largest
    rounded = claim.digits > 1 and (first >= _ROUNDED or second != int(second))
    return rounded and abs(float(f"{second:.{claim.digits - 1}e}") - first) <= _EXACT * largest


def _date_held(claim: Quantity, known: Sequence[Quantity]) -> bool:
    year, month, day = claim.date
    years = {other.date[0] for other in known} | {other.value for other in known if not other.dimension}
    days = {other.value for other in known if not other.dimension}
    return any(
        other.dimension == "date"
        and (not year or year == other.date[0] or (not other.date[0] and year in years))
        and (not month or month == other.date[1])
        and (not day or day == other.date[2] or (not other.date[2] and day in days))
        for other in known
    ) or (not month and year in years)


def _at(text: str, tokens: Sequence[Token], place: int) -> tuple[Quantity | None, int]:
    start = tokens[place].start
    dated = _dated(tokens, place)
    if dated is not None:
        return dated
    money = MONEY_SIGNS.get(tokens[place].text, "")
    if money and near(text, tokens, place + 1):
        place += 1
    read = numeral(text, tokens, place)
    if read is None:
        return None, place + 1
    value, dimension, after = read.value, read.kind or money, read.after
    if not dimension or dimension == "clock":
        dimension, value, after = _with_unit(text, tokens, after, dimension, value)
    end = tokens[after - 1].end
    half_unknown = dimension == "clock" and tokens[after - 1].text[0].isdecimal() and value < _AFTERNOON
    loose = half_unknown or bool(_HEDGED.search(text, max(0, start - _LOOK_BACK), start))
    head = _head(text, tokens, after)
    spelled = not tokens[place].text[0].isdecimal()
    return Quantity(start, end, value, dimension, head=head, loose=loose, digits=read.digits, spelled=spelled), after


def _with_unit(text: str, tokens: Sequence[Token], after: int, dimension: str, value: float) -> tuple[str, float, int]:
    if not near(text, tokens, after):
        return dimension, value, after
    unit = tokens[after].lower
    if unit in ("a", "p") and text[tokens[after].end : tokens[after].end + 2].lower() == ".m":
        unit, after = unit + "m", after + 1
    if unit == "per" and after + 1 < len(tokens) and tokens[after + 1].lower == "cent":
        return "%", value, after + 2
    if unit in ("am", "pm"):
        minutes = value if dimension == "clock" else value * 60
        return (
            ("clock", minutes % _HALF_DAY + _HALF_DAY * (unit == "pm"), after + 1)
            if minutes < _AFTERNOON
            else ("", value, after)
        )
    if dimension or unit not in UNITS:
        return dimension, value, after
    dimension, factor = UNITS[unit]
    return dimension, value * factor, after + 1


def _head(text: str, tokens: Sequence[Token], after: int) -> str:
    while near(text, tokens, after) and tokens[after].lower in PASSED_OVER:
        after += 1
    if not near(text, tokens, after) or tokens[after].lower in NOT_HEADS or not tokens[after].text.islower():
        return ""
    return stem(tokens[after].lower)


def _dated(tokens: Sequence[Token], place: int) -> tuple[Quantity, int] | None:
    """Read ``May 3rd, 2021``, ``3 May 2021``, ``May 2021`` at ``place``."""
    month = day = year = 0
    at = place
    while at < len(tokens) and at < place + 6:
        token, lower = tokens[at].text, tokens[at].lower
        if at > place and tokens[at].start - tokens[at - 1].end > 2:
            break
        number = int(token) if token.isdecimal() and len(token) <= 4 else 0
        if not month and lower in MONTHS:
            month = MONTHS[lower]
        elif number and not day and 0 < number <= _DAYS and len(token) <= 2:
            day = number
        elif number and month and not year and _YEAR[0] < number < _YEAR[1]:
            year = number
        elif not (day and lower in ("st", "nd", "rd", "th", "of")):
            break
        at += 1
    verb = tokens[place].text in _MONTH_WORDS_THAT_ARE_VERBS and not (day and at == place + 2)
    if not month or not (day or year) or verb:
        return None
    while tokens[at - 1].lower == "of":
        at -= 1
    return Quantity(tokens[place].start, tokens[at - 1].end, 0, "date", (year, month, day)), at
