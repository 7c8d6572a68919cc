"""Texts made to stall a pattern: each must be done in the time of an ordinary one of its length."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from inferwatch.detectors.base import Item
from inferwatch.detectors.privacy.finding import find
from inferwatch.detectors.quality.identify import Identifier
from inferwatch.detectors.quality.json_validity import asked, judge
from inferwatch.detectors.quality.refusal import refused
from inferwatch.detectors.quality.relevance import abstains
from inferwatch.detectors.quality.text import garbled, hard_to_read, unfinished
from inferwatch.detectors.security.rules import hits

SIGNS = ("a", " ", "\n", ".", "1", "1 ", "a@", "a.", "a b ", "%41", "[", "{", "`", "```\n", "0x", "A1", "QUJD", "sk-")
FORMATS = (
    "GB12 ABCD ",
    "eyJaaaaaaaaaaaa.",
    "password=",
    "a://b:c",
    "-----BEGIN PRIVATE KEY-----",
    "\\u0041",
    "&#x41;",
    "\U000e0041",
)
WORDS = (
    "send customer ",
    "ignore all the ",
    "you not have any ",
    "policy guidelines ",
    "decode read ",
    "reveal your system ",
    "from now on ",
    "new system ",
    "sorry i cannot ",
    "i do not have the ",
    "return json ",
    "answer a b c ",
    "json not ",
)
PIECES = (*SIGNS, *FORMATS, *WORDS)
IDENTIFY = Identifier.load()
SEARCHES: dict[str, Callable[[str], object]] = {
    "privacy": lambda text: find(text, unsure=True),
    "injection": hits,
    "refusal": refused,
    "language": IDENTIFY,
    "relevance": lambda text: abstains(Item(text, text)),
    "text": lambda text: (unfinished(text), garbled(text), hard_to_read(text)),
    "json": lambda text: (asked(text), judge(text)),
}
LENGTH = 20_000
# The slowest takes 0.05 s; a pattern that goes back and forth over the whole text takes minutes.
MOST_SECONDS = 3.0


@pytest.mark.parametrize("name", SEARCHES)
def test_no_text_stalls_a_detector(name: str) -> None:
    for piece in PIECES:
        text = (piece * (LENGTH // len(piece) + 1))[:LENGTH]
        started = time.process_time()  # CPU time of this process: a busy machine does not count
        SEARCHES[name](text)
        assert time.process_time() - started < MOST_SECONDS, repr(piece)
