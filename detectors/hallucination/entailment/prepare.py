"""Make the pairs that the cross-encoder is trained and tested on, as tokens in a folder of their own; seeded.

``made-*.npz`` and ``nli.npz`` teach in step 1, ``family-*.npz`` in step 2; ``test-*.npz`` are a family's claims. Of
the last two there is one for each window.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import Encoder
from inferwatch.detectors.hallucination.corpora import Examples, families
from inferwatch.detectors.hallucination.entailment import nli
from inferwatch.detectors.hallucination.entailment.pairs import (
    Pair,
    answers,
    labelled,
    made,
    phrases_of,
    premises_of,
)
from inferwatch.detectors.hallucination.entailment.reader import MOST_CLAIM_TOKENS, MOST_TOKENS, Reader
from inferwatch.detectors.hallucination.entailment.rewrite import neighbours
from inferwatch.detectors.hallucination.entailment.tokens import WINDOWS, Tokens
from inferwatch.detectors.hallucination.grounding import read

_WORD = re.compile(r"[a-z0-9]+")
_UNKNOWN = ("label", "original", "elsewhere", "nli")
_TURNS = 8
_PHRASES_OF = 1500


def prepare(data: Path, public: Path | None, folder: Path, encoder: Encoder, reader: Reader) -> None:
    """Write the pairs of the families of ``data``, of its plain texts and of the public sets to ``folder``.

    Raises:
        FileNotFoundError: a data set of ``data`` is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own, texts = families(data), answers(data)
    words, phrases = neighbours(texts, encoder), phrases_of(texts[:_PHRASES_OF])
    for name, examples in own.items():
        for most in WINDOWS:
            taught = labelled(name, examples, data, phrases, words, encoder, most)
            tokenised(taught, reader).save(folder / f"family-{most}-{name}.npz")
            tested = tokenised(claims(examples, encoder, most), reader)
            tested.save(folder / f"test-{most}-{name}.npz")
    for turn in range(_TURNS):
        tokenised(made(texts, words, turn), reader).save(folder / f"made-{turn}.npz")
    if public is not None:
        seen = [text for one in own.values() for item in one.items for text in (item.output, *item.contexts)]
        tokenised(nli.unlike(nli.told(public), seen), reader).save(folder / "nli.npz")
        tokenised(nli.unlike(nli.split(public, phrases, words), seen), reader).save(folder / "made-split.npz")


def claims(examples: Examples, encoder: Encoder, most: int) -> list[Pair]:
    """Return every claim of a family's answers beside its premise, in the order of ``owners``."""
    return [
        Pair(premise, claim, bool(bad), "label")
        for item, bad in zip(examples.items, examples.labels, strict=True)
        for own in [read(item)]
        for premise, claim in zip(premises_of(own, encoder, most), own.claims, strict=True)
    ]


def owners(examples: Examples) -> npt.NDArray[np.int64]:
    """Return whose claims ``claims`` are."""
    counts = [len(read(item).claims) for item in examples.items]
    return np.repeat(np.arange(len(counts)), counts)


def tokenised(pairs: Iterable[Pair], reader: Reader) -> Tokens:
    """Return pairs as tokens of ``reader``, cut to what it reads."""
    index: dict[str, int] = {}
    texts: list[list[int]] = []
    ranges: list[list[tuple[int, int]]] = []

    def place(text: str) -> int:
        if text not in index:
            index[text] = len(texts)
            own, offsets = reader.tokens(text, MOST_TOKENS)
            texts.append(own)
            ranges.append(offsets[:MOST_CLAIM_TOKENS])
        return index[text]

    premises, claims, wrong, told, marks, marked = [], [], [], [], list[int](), [0]
    for pair in pairs:
        claim = place(pair.hypothesis)
        premises.append(place(pair.premise))
        claims.append(claim)
        wrong.append(pair.wrong)
        told.append(pair.source == "label")
        marks += _marks(pair, ranges[claim])
        marked.append(len(marks))
    lengths = [len(own) for own in texts]
    return Tokens(
        np.fromiter((token for own in texts for token in own), np.uint16, sum(lengths)),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
        np.array(premises, np.int32),
        np.array(claims, np.int32),
        np.array(wrong, np.bool_),
        np.array(told, np.bool_),
        np.array(marks, np.uint8),
        np.array(marked, np.int32),
    )


def _marks(pair: Pair, ranges: Sequence[tuple[int, int]]) -> list[int]:
    """Return for each token of the claim 1 where it was made wrong, else 0; nothing where that is not known."""
    if not pair.wrong:
        return [0] * len(ranges)
    if pair.source in _UNKNOWN:
        return []
    said, old, given = (_WORD.findall(text.lower()) for text in (pair.hypothesis, pair.right, pair.premise))
    new = set(said) - set(old) - set(given)
    spans = [match.span() for match in _WORD.finditer(pair.hypothesis.lower()) if match.group() in new]
    return [int(any(start < last and end > first for first, last in spans)) for start, end in ranges] if new else []
