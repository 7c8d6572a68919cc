"""Looping output: a model that got stuck says the same words again and again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import Batch, Detector, Field, Item, Scores
from inferwatch.schemas.scores import Evidence

_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\w{1,64}|[^\w\s]")
_MOST_TOKENS = 4_000
_LEAST_TOKENS = 16
# A loop is a run of this many tokens at least that comes right after itself, this often at least.
_LONGEST_PERIOD = 60
_LEAST_TIMES = 3
_GRAM = 8
_MOST_CHARS = 600


class Repetition(Detector):
    """Scores ``repetition``: the share of the output's words that repeat what it has said before.

    Two measures, the larger counts. Loop: the longest stretch in which the same one to sixty words (or signs) follow
    each other at least three times, without its first round, over the length of the output. Copies: the share of words
    in runs of eight that occurred before. Signs (rules of tables, dots) count for
    half. 0 is an output without any; 0.5 says that half of it is nothing new. Evidence is the loop.

    Abstains with ``no output`` or ``too short`` (under 16 words and signs). Reads the first 4,000 words and signs.
    """

    name: ClassVar[str] = "repetition"
    version: ClassVar[str] = "1"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.OUTPUT})
    emits: ClassVar[Mapping[str, float]] = {"repetition": 0.5}

    def texts(self, item: Item) -> Iterable[str]:
        return ()

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        values, reasons, evidence = [], [], []
        for item in batch.items:
            value, reason, shown = _repetition(item.output)
            values.append(value)
            reasons.append(reason)
            evidence.append(shown)
        return (Scores("repetition", np.array(values, np.float32), tuple(reasons), tuple(evidence)),)


def _repetition(text: str) -> tuple[float, str, tuple[Evidence, ...]]:
    if not text.strip():
        return np.nan, "no output", ()
    spans = []
    for found in _TOKEN.finditer(text):
        spans.append(found.span())
        if len(spans) == _MOST_TOKENS:
            break
    if len(spans) < _LEAST_TOKENS:
        return np.nan, "too short", ()
    words = [text[start:end].lower() for start, end in spans]
    numbers: dict[str, int] = {}
    codes = np.array([numbers.setdefault(word, len(numbers)) for word in words], np.int64)
    first, last, period = loop(codes)
    spoken = np.array([word[0].isalnum() for word in words])
    repeated = spoken[first + period : last]
    share = float(repeated.sum() + 0.5 * (~repeated).sum()) / len(words) if period else 0.0
    copied = copies(codes, spoken)
    value = min(1.0, max(share, copied))
    if not period or share < 0.1:
        return value, "", ()
    times = (last - first) // period
    first += int(np.argmax(spoken[first : first + period]))  # show it from a word, not from the full stop before
    start = spans[first][0]
    end = min(spans[last - 1][1], start + _MOST_CHARS)
    shown = text[spans[first][0] : spans[first + period - 1][1]]
    reason = f"said {times} times in a row: {shown[:80]}"
    return (
        value,
        "",
        (
            Evidence(
                field="output",
                text=text[start:end],
                score=round(min(1.0, share), 4),
                start=start,
                end=end,
                reason=reason,
            ),
        ),
    )


def loop(codes: npt.NDArray[np.int64]) -> tuple[int, int, int]:
    """Return the longest stretch ``codes[first:last]`` in which ``period`` codes follow each other three times or more.

    All zero where there is none; of stretches of one length the shortest period counts. Linear in the number of codes:
    sixty passes.

    >>> loop(np.array([7, 1, 2, 1, 2, 1, 2, 9]))
    (1, 7, 2)
    """
    best = (0, 0, 0)
    for period in range(1, min(_LONGEST_PERIOD, len(codes) // _LEAST_TIMES) + 1):
        same = np.concatenate([[False], codes[period:] == codes[:-period], [False]])
        edges = np.flatnonzero(same[1:] != same[:-1])
        starts, ends = edges[::2], edges[1::2]
        if not len(starts):
            continue
        place = int(np.argmax(ends - starts))
        length = int(ends[place] - starts[place]) + period
        if length >= _LEAST_TIMES * period and length > best[1] - best[0]:
            best = (int(starts[place]), int(starts[place]) + length, period)
    return best


def copies(codes: npt.NDArray[np.int64], spoken: npt.NDArray[np.bool_]) -> float:
    """Return the share of codes in runs of eight that stood before; of runs with four spoken words at least."""
    seen: set[tuple[int, ...]] = set()
    covered = np.zeros(len(codes), np.bool_)
    held: Sequence[int] = codes.tolist()
    heard = np.convolve(spoken, np.ones(_GRAM, np.int64), "valid") >= _GRAM // 2
    for start in np.flatnonzero(heard).tolist():
        gram = tuple(held[start : start + _GRAM])
        if gram in seen:
            covered[start : start + _GRAM] = True
        else:
            seen.add(gram)
    return float(covered.mean())
