"""What the cross-encoder is given of a pair of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from inferwatch.detectors.sentences import Span

MOST_TOKENS, MOST_CLAIM_TOKENS = 208, 60


class Encoding(NamedTuple):
    """A pair as tokens: ``[CLS] premise [SEP] claim [SEP]``; the claim's begin at ``first``, with character ranges."""

    tokens: list[int]
    first: int
    ranges: list[Span]


class Reader:
    """The tokenizer of the encoder in ``source``."""

    def __init__(self, source: Path) -> None:
        self._tokenizer: Any = Tokenizer.from_file(str(source / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._ends: list[int] = self._tokenizer.encode("").ids

    def encode(self, premise: str, claim: str) -> Encoding:
        """Return the tokens of a pair: at most 60 of the claim, and of the premise what fits into 208."""
        tokens, ranges = self.tokens(claim, MOST_CLAIM_TOKENS)
        given, _ = self.tokens(premise, MOST_TOKENS - 3 - len(tokens))
        start, end = self._ends
        return Encoding([start, *given, end, *tokens, end], len(given) + 2, ranges)

    def tokens(self, text: str, most: int) -> tuple[list[int], list[Span]]:
        """Return at most ``most`` tokens of ``text`` and the characters that each stands for."""
        own = self._tokenizer.encode(text, add_special_tokens=False)
        return own.ids[:most], own.offsets[:most]
