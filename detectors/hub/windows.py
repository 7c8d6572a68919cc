"""A text longer than a model reads, cut into windows of tokens that say where they are in the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tokenizers import Tokenizer

from inferwatch.detectors.sentences import split_sentences


class Window(NamedTuple):
    """The characters [start, end) of a text, and about how many tokens they are."""

    start: int
    end: int
    tokens: int


def clean(text: str) -> str:
    """Replace lone surrogates, which no tokenizer takes; every character keeps its place."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def windows(tokenizer: Tokenizer, text: str, room: int) -> list[Window]:
    """Return windows of at most ``room`` tokens that hold every token of ``text``, in order; none of a blank text.

    Between two windows is the last gap between words of the first one's second half, where it has one.

    Args:
        tokenizer: neither cuts nor pads.
        text: without lone surrogates.
        room: most tokens of a window.
    """
    places = tokenizer.encode(text, add_special_tokens=False).offsets if text.strip() else []
    found: list[Window] = []
    first = 0
    while first < len(places):
        until = first + room
        if until < len(places):
            until = _gap(text, places, first, until)
        start = places[first][0]
        end = places[until][0] if until < len(places) else len(text.rstrip())
        # A character that becomes many tokens may fill a window and more: it goes to the last of them.
        if end > start:
            found.append(Window(start, end, until - first))
        first = until
    return found


def sentences(tokenizer: Tokenizer, text: str, room: int, most: int) -> list[Window]:
    """Return the sentences of ``text``, longer ones in windows; about ``most``, the last one with all the rest."""
    found = []
    for start, end in split_sentences(text, most):
        own = windows(tokenizer, text[start:end], room)
        found += [Window(start + one.start, start + one.end, one.tokens) for one in own]
    return found


def _gap(text: str, places: Sequence[tuple[int, int]], first: int, until: int) -> int:
    """Return the last place in (middle, until] where a word begins, or ``until``."""
    for place in range(until, (first + until) // 2, -1):
        start = places[place][0]
        if start and (text[start - 1].isspace() or text[start].isspace()):
            return place
    return until
