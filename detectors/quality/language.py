"""Whether the output is in another language than the input."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np

from inferwatch.detectors.base import Batch, Detector, Field, Item, Scores
from inferwatch.detectors.quality.identify import READ_CHARS, Identifier, plain
from inferwatch.detectors.quality.scripts import script_of
from inferwatch.schemas.scores import Evidence

# Fewer letters than these tell nothing; scripts that write a word in one or two characters need fewer.
_LEAST_LETTERS = 30
_LEAST_DENSE = 6
_DENSE = frozenset({"han", "kana", "hangul"})
_NAMES = [
    "english",
    "german",
    "french",
    "spanish",
    "italian",
    "portuguese",
    "dutch",
    "swedish",
    "danish",
    "norwegian",
    "finnish",
    "polish",
    "czech",
    "slovak",
    "hungarian",
    "romanian",
    "greek",
    "turkish",
    "russian",
    "ukrainian",
    "bulgarian",
    "serbian",
    "croatian",
    "arabic",
    "persian",
    "farsi",
    "hebrew",
    "hindi",
    "urdu",
    "bengali",
    "tamil",
    "telugu",
    "chinese",
    "mandarin",
    "cantonese",
    "japanese",
    "korean",
    "vietnamese",
    "thai",
    "indonesian",
    "malay",
    "swahili",
    "latin",
    "englisch",
    "deutsch",
    "französisch",
    "spanisch",
    "italienisch",
    "anglais",
    "allemand",
    "français",
    "espagnol",
    "italien",
    "inglés",
    "alemán",
    "francés",
    "español",
    "inglese",
    "tedesco",
    "francese",
    "spagnolo",
    "italiano",
    "inglês",
    "alemão",
    "francês",
    "portugues",
    "português",
    "nederlands",
    "duits",
]
_NAMED = re.compile(
    r"(?i:\b(?:translat\w{0,6}|übersetz\w{0,6}|tradui\w{0,6}|traduc\w{0,6}|traduz\w{0,6}|языке?|переве\w{0,6})\b|翻訳|翻译|번역"
    rf"|\b(?:{'|'.join(_NAMES)})\b)"
)
_LOOKED_AT = 6_000


class Language(Detector):
    """Scores ``language.mismatch``: the probability that output and input are in different languages.

    That is one minus the sum over languages of the product of both probabilities, so languages that are told apart
    badly (Malay and Indonesian, Danish and Norwegian) give low numbers. Sixty languages in 18 scripts; evidence is the
    start of the output, with both languages as codes of ISO 639-1 where the score is over 0.5.

    Abstains with ``no input``, ``no output``, ``too little text`` (under 30 letters; six in Chinese, Japanese and
    Korean), and with ``a language is named`` where the system prompt or the input names a language or asks for a
    translation: then another language may be right. Code, addresses and placeholders are not read.

    Raises:
        Misconfigured: the packaged model is missing.
    """

    name: ClassVar[str] = "language"
    version: ClassVar[str] = "1"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.INPUT, Field.OUTPUT, Field.SYSTEM})
    emits: ClassVar[Mapping[str, float]] = {"language.mismatch": 0.9}

    def __init__(self, identifier: Identifier | None = None) -> None:
        self._identify = identifier or Identifier.load()

    def texts(self, item: Item) -> Iterable[str]:
        return ()

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        values = np.full(len(batch.items), np.nan, np.float32)
        reasons = tuple(_abstains(item) for item in batch.items)
        evidence: list[tuple[Evidence, ...]] = [()] * len(batch.items)
        for row, (item, reason) in enumerate(zip(batch.items, reasons, strict=True)):
            if reason:
                continue
            asked, answered = self._identify(item.input), self._identify(item.output)
            same = sum(probability * answered.get(language, 0.0) for language, probability in asked.items())
            values[row] = min(1.0, max(0.0, 1.0 - same))
            if values[row] >= 0.5:
                evidence[row] = (_evidence(item.output, float(values[row]), asked, answered),)
        return (Scores("language.mismatch", values, reasons, tuple(evidence)),)


def _abstains(item: Item) -> str:
    if not item.input.strip():
        return "no input"
    if not item.output.strip():
        return "no output"
    if not (_enough(item.input) and _enough(item.output)):
        return "too little text"
    if _NAMED.search(item.input[:_LOOKED_AT]) or _NAMED.search(item.system[:_LOOKED_AT]):
        return "a language is named"
    return ""


def _enough(text: str) -> bool:
    script, letters = script_of(plain(text))
    return letters >= (_LEAST_DENSE if script in _DENSE else _LEAST_LETTERS)


def _evidence(output: str, value: float, asked: Mapping[str, float], answered: Mapping[str, float]) -> Evidence:
    def best(found: Mapping[str, float]) -> str:
        return max(found, key=lambda one: found[one])

    shown = output[: min(80, READ_CHARS)]
    reason = f"input {best(asked)}, output {best(answered)}"
    return Evidence(field="output", text=shown, score=round(value, 4), start=0, end=len(shown), reason=reason)
