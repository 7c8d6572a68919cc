"""Words that are written so that a filter does not find them: 1d10t, s h i t, f*ck, or with invisible characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from inferwatch.detectors.toxicity.lexicon import CLASS_OF, CLASSES, WORTH_HIDING

Token = tuple[int, int, str]
"""Where a word lies in the text, and how it reads."""

_UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e"
    "\u200b\u200c\u200d\u200e\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff"
)
_INVISIBLE = re.compile(f"[{_UNSEEN}]")
_PLAIN = re.compile(r"[a-z]+(?:'[a-z]+)*|[\"?!]")
_TOKEN = re.compile(rf"[\w\u0300-\u036f\u24b6-\u24e9@$*€|+!#{_UNSEEN}'’-]+|[\"“”«»?]")
_TRIPLED = re.compile(r"([a-z])\1\1")
_LETTERS_APART = re.compile(r"(?<![a-z])[a-z][ .*_-][a-z][ .*_-][a-z](?![a-z])")
_SHAPE = bytes.maketrans(
    b"abcdefghijklmnopqrstuvwxyz$0123456789_|+#.-",
    b"aaaaaaaaaaaaaaaaaaaaaaaaaa@@@@@@@@@@@@***  ",
)
"""Shows of a text where letters, signs that may stand for letters, and blanks are: what to look for is then found by
comparing bytes, several times as fast as by a pattern."""
_LEET = str.maketrans("4@8(310!|5$7+€", "aabceioiisstte")
_LEET_L = str.maketrans("4@8(310!|5$7+€", "aabceiollsstte")
_CONFUSABLE = str.maketrans(
    "авеёкмнорстухіїјѕԁԛɡһӏοαερτυιкѵωνςßʏᴀʙᴄᴅᴇɢʜɪᴊᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡᴢ“”«»’‘ø",
    'abeekmhopctyxiijsdqghloaeptuikvwvcsyabcdeghijklmnoprtuvwz""""\'\'o',
)
_TYPOGRAPHY = str.maketrans("’‘“”«»–—…•\u00a0", '\'\'""""--.- ')
_RUN = re.compile(r"(.)\1\1+")


def words(text: str) -> list[str]:
    """Return the words of ``text``, lower case, disguised ones of the lexicon as they are meant.

    Quotation, question and exclamation marks are words too.

    >>> words("You 1d10t, what the f*ck?")
    ['you', 'idiot', 'what', 'the', 'fuck', '?']
    """
    plain = _plain(text)
    return [word for _, _, word in tokens(text)] if plain is None else plain


def tokens(text: str) -> list[Token]:
    """Return what ``words`` returns, with the half-open range of each in ``text``."""
    return list(_joined(text, list(_tokens(text))))


def clean(text: str) -> str:
    """Return ``text`` with invisible characters left out and disguised words of the lexicon as they are meant.

    Where nothing is disguised the text comes back as it is, so that its vector serves every detector.
    """
    return cleaned(text)[0]


def cleaned(text: str) -> tuple[str, list[str]]:
    """Return ``clean(text)`` and the ``words`` of that; where nothing is disguised the text is gone through once."""
    plain = _plain(text)
    if plain is not None:
        return text, plain
    found = tokens(text)
    parts, last = [], 0
    for start, end, word in found:
        if word in WORTH_HIDING and word != text[start:end].lower():
            parts += [text[last:start], word]
            last = end
    parts.append(text[last:])
    shown = _INVISIBLE.sub("", "".join(parts)) if _joins(text) else "".join(parts)
    return shown, [word for _, _, word in found] if shown == text else words(shown)


def _plain(text: str) -> list[str] | None:
    """Return the words of a text that reads as it is written; None for one that may not."""
    lowered = text.lower()
    if not lowered.isascii():
        lowered = lowered.translate(_TYPOGRAPHY)
    return None if _odd(lowered) else _PLAIN.findall(lowered)


def _odd(lowered: str) -> bool:
    """Whether a text in lower case may not read as it is written."""
    if not lowered.isascii():
        return True
    shape = lowered.encode().translate(_SHAPE)
    return (
        b"a@" in shape
        or b"@a" in shape
        or b"a*" in shape
        or b"a!a" in shape
        or (b"a a a" in shape and _LETTERS_APART.search(lowered) is not None)
        or _TRIPLED.search(lowered) is not None
    )


def _joins(text: str) -> bool:
    """Whether invisible characters stand inside of words of Latin letters, where no script needs them."""
    return bool(re.search(f"[a-z][{_UNSEEN}]+[a-z]", text.lower()))


def _tokens(text: str) -> Iterator[Token]:
    for found in _TOKEN.finditer(text):
        place = found.start()
        for start, end, word in _read(found.group()):
            yield place + start, place + end, word


@lru_cache(65536)
def _read(written: str) -> tuple[Token, ...]:
    """Return the words of one stretch without blanks, and where they are in it; most stretches come back."""
    lowered = written.lower()
    if _PLAIN.fullmatch(lowered) and not _TRIPLED.search(lowered):
        return ((0, len(written), lowered),)
    meant = _meant(lowered)
    if meant:
        return ((0, len(written), meant),)
    return tuple((part.start(), part.end(), part.group()) for part in _PLAIN.finditer(_same_length(written)))


def _same_length(written: str) -> str:
    """Return ``written`` in lower-case letters without accents, one character for each of its own."""
    return "".join(_base(char) for char in written)


@lru_cache(65536)
def _base(char: str) -> str:
    base = unicodedata.normalize("NFKD", char).lower()[:1].translate(_CONFUSABLE)
    return base if len(base) == 1 else " "


def _meant(word: str) -> str:
    """Return the word of the lexicon that ``word`` disguises, or nothing."""
    folded = unicodedata.normalize("NFKD", _INVISIBLE.sub("", word)).lower().translate(_CONFUSABLE)
    seen = "".join(char for char in folded if not unicodedata.combining(char)).strip("'\"-_")
    bare = seen.strip("!?#*|+$@-_'\"")
    ended = seen.rstrip("!?")
    readings = (seen, seen.translate(_LEET), ended.translate(_LEET), ended.translate(_LEET_L), bare)
    for reading in readings:
        for form in (reading, _RUN.sub(r"\1", reading), _RUN.sub(r"\1\1", reading)):
            if form in WORTH_HIDING:
                return form
    letters = bare.replace("-", "").replace("_", "")
    if letters != bare and letters in WORTH_HIDING:
        return letters
    if "*" in (mask := _masked(bare)) and len(bare) <= 24:
        return _BY_MASK.get(mask, "")
    return ""


def _masked(word: str) -> str:
    return re.sub(r"[*#_-]", "*", word)


def _masks() -> dict[str, str]:
    """Return what words with their inner vowels, or all of their inside, starred out mean; rude words only."""
    found: dict[str, str] = {}
    for word, place in CLASS_OF.items():
        if CLASSES[place - 1] in ("slur", "profane", "insult") and 3 < len(word) < 16 and word.isalpha():
            inner = word[1:-1]
            for i in range(1, len(word) - 1):
                found.setdefault(word[:i] + "*" + word[i + 1 :], word)
                found.setdefault(word[:i] + "**" + word[i + 2 :], word) if i + 2 < len(word) else None
            found.setdefault(word[0] + re.sub("[aeiou]", "*", inner) + word[-1], word)
            found.setdefault(word[0] + "*" * len(inner) + word[-1], word)
    return found


_BY_MASK = _masks()


def _joined(text: str, found: list[Token]) -> Iterator[Token]:
    """Join runs of three or more single letters that spell a word of the lexicon."""
    if sum(len(word) == 1 for _, _, word in found) < 3:
        yield from found
        return
    place = 0
    while place < len(found):
        last = place
        while last < len(found) and len(found[last][2]) == 1 and found[last][2].isalnum():
            last += 1
        if last - place >= 3:
            yield from _spelled(found[place:last])
            place = last
        else:
            last = max(last, place + 1)
            yield from found[place:last]
            place = last


def _spelled(letters: list[Token]) -> Iterator[Token]:
    place = 0
    while place < len(letters):
        for end in range(min(len(letters), place + 15), place + 2, -1):
            word = "".join(letter for _, _, letter in letters[place:end])
            if word in WORTH_HIDING:
                yield letters[place][0], letters[end - 1][1], word
                place = end
                break
        else:
            yield letters[place]
            place += 1
