"""What the form of an output says without its meaning: broken off, garbled, hard to read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

import numpy as np

from inferwatch.detectors.base import Batch, Detector, Field, Item, Scores
from inferwatch.detectors.quality.scripts import script_of
from inferwatch.schemas.scores import Evidence

_READ = 20_000
_LEAST_WORDS = 12
_LEAST_READABLE = 40
Judged = tuple[float, str, tuple[Evidence, ...]]

_CLOSED = re.compile(r"[.!?…。！？।:;)\]}\"'”’»」』*_`~|>/=\d-]\s*\Z|\]\s*\Z")
_LIST_OR_CODE = re.compile(r"(?:\A|\n)[ \t]{0,8}(?:[-*•>#|+]|\d{1,3}[.)]|[ \t]{4}|```)[^\n]{0,400}\Z")
_FENCES = re.compile(r"(?m)^[ \t]{0,3}```")
_DANGLING = re.compile(
    r"(?:,|\b(?:and|or|but|the|a|an|of|to|in|with|for|that|which|is|are|by|as|from|und|oder|der|die|das|mit|et|ou|le|la|"
    r"les|de|du|des|y|o|el|los|que|con))\s*\Z",
    re.IGNORECASE,
)
_MOJIBAKE = re.compile(
    r"[ÃÂ][\u0080-\u00bf]|â€[\u0090-\u2122œ™“”¦]|ï»¿|\ufffd|[\x00-\x08\x0b\x0e-\x1f]|[\ud800-\udfff]"
)
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]{0,63}")
_SENTENCE_END = re.compile(r"[.!?:;]+(?:\s|\Z)|\n")
_ADDRESS = re.compile(r"https?://\S{1,500}")
_VOWELS = re.compile(r"[aeiouy]+")
_EASY_GRADE, _HARD_GRADE = 8.0, 20.0


class Text(Detector):
    """Scores ``text.unfinished``, ``text.garbled`` and ``text.hard_to_read`` of the output.

    unfinished: 1 where a code fence stays open, 0.9 where the last word or comma cannot end anything ("and", "the"),
    0.6 where a paragraph of a dozen words or more ends without a closing mark, else 0. garbled: 100 times the share of
    characters that are broken encoding (the replacement character, ``Ã©``, control characters), at most 1.
    hard_to_read: the Flesch-Kincaid grade [1] between 8 (0) and 20 (1), of 40 English words or more.

    Evidence is the end, or the first broken characters. Abstains with ``no output``, ``too short`` or, for
    hard_to_read, ``not in Latin letters``.

    References:
        [1] Kincaid, Fishburne, Rogers, Chissom: Derivation of new readability formulas, 1975.
    """

    name: ClassVar[str] = "text"
    version: ClassVar[str] = "1"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.OUTPUT})
    emits: ClassVar[Mapping[str, float]] = {"text.unfinished": 0.8, "text.garbled": 0.5, "text.hard_to_read": 0.9}

    def texts(self, item: Item) -> Iterable[str]:
        return ()

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        return (
            _scores("text.unfinished", batch, unfinished),
            _scores("text.garbled", batch, garbled),
            _scores("text.hard_to_read", batch, hard_to_read),
        )


def _scores(name: str, batch: Batch, judge: Callable[[str], Judged]) -> Scores:
    judged = [judge(item.output) if item.output.strip() else (float("nan"), "no output", ()) for item in batch.items]
    values = np.array([value for value, _, _ in judged], np.float32)
    return Scores(name, values, tuple(why for _, why, _ in judged), tuple(shown for _, _, shown in judged))


def was_cut(text: str) -> bool:
    """Return whether ``text`` ends in the note that it was cut to the configured length."""
    return "[…cut from " in text[-60:]


def unfinished(text: str) -> Judged:
    """Return how surely ``text`` was broken off.

    >>> unfinished("It takes five days, and the")[0], unfinished("It takes five days.")[0]
    (0.9, 0.0)
    """
    if was_cut(text):
        return float("nan"), "cut by us", ()
    tail = text.rstrip()[-600:]
    if "```" in text and len(_FENCES.findall(text)) % 2:
        return _ending(text, 1.0, "a code fence stays open")
    if _DANGLING.search(tail) and len(tail.split()) > 2 and not _LIST_OR_CODE.search(tail):
        return _ending(text, 0.9, "ends in the middle of a sentence")
    last = tail.rpartition("\n")[2]
    if len(last.split()) >= _LEAST_WORDS and not _CLOSED.search(tail) and not _LIST_OR_CODE.search(tail):
        return _ending(text, 0.6, "ends without a closing mark")
    return 0.0, "", ()


def _ending(text: str, value: float, reason: str) -> Judged:
    end = len(text.rstrip())
    start = max(0, end - 60)
    return (
        value,
        "",
        (Evidence(field="output", text=text[start:end], score=value, start=start, end=end, reason=reason),),
    )


def garbled(text: str) -> Judged:
    """Return a hundred times the share of broken characters, at most 1.

    >>> garbled("Das wÃ¤re schÃ¶n.")[0], garbled("Das wäre schön.")[0]
    (1.0, 0.0)
    """
    text = text[:_READ]
    found = list(_MOJIBAKE.finditer(text))
    if not found:
        return 0.0, "", ()
    value = min(1.0, 100 * sum(one.end() - one.start() for one in found) / len(text))
    shown = tuple(
        Evidence(
            field="output", text=one.group(), score=round(value, 4), start=one.start(), end=one.end(), reason="encoding"
        )
        for one in found[:3]
    )
    return value, "", shown


def hard_to_read(text: str) -> Judged:
    """Return the Flesch-Kincaid grade of ``text`` between 8 (0) and 20 (1)."""
    text = text[:_READ]
    if script_of(text[:2000])[0] not in ("", "latin"):
        return float("nan"), "not in Latin letters", ()
    text = _ADDRESS.sub(" ", text)
    words = _WORD.findall(text)
    if len(words) < _LEAST_READABLE:
        return float("nan"), "too short", ()
    sentences = max(1, len(_SENTENCE_END.findall(text)))
    syllables = sum(_syllables(word) for word in words)
    grade = 0.39 * len(words) / sentences + 11.8 * syllables / len(words) - 15.59
    return min(1.0, max(0.0, (grade - _EASY_GRADE) / (_HARD_GRADE - _EASY_GRADE))), "", ()


def _syllables(word: str) -> int:
    """Return runs of vowels, without a silent e at the end; at least one."""
    word = word.lower()
    n = len(_VOWELS.findall(word))
    return max(1, n - (word.endswith("e") and not word.endswith(("le", "ee"))))
