"""Three scores of support by the contexts that need no training, to be beaten.

Each is the mean over the sentences of an answer; higher is worse.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from inferwatch.detectors.base import F32, Encoder, Item
from inferwatch.detectors.sentences import split_sentences

NAMES = ("max cosine", "content words", "bigrams")
_WORD = re.compile(r"\w+")
_STOP = frozenset(
    """a an and are as at be been but by can could did do does for from had has have he her his how i if in is it its me
    my no not of on or our she should so that the their them then there these they this to us was we were what when
    where which who will with would you your""".split()  # noqa: SIM905
)


def training_free(items: Sequence[Item], encoder: Encoder) -> dict[str, F32]:
    """Return name -> (n,) float32 in [0, 1] of n items."""
    outputs = [_sentences(item.output) for item in items]
    contexts = [[sentence for context in item.contexts for sentence in _sentences(context)] for item in items]
    texts = list(dict.fromkeys(text for own in (*outputs, *contexts) for text in own))
    place = {text: row for row, text in enumerate(texts)}
    vectors = encoder.encode(texts)
    rows = []
    for said, known in zip(outputs, contexts, strict=True):
        if not said or not known:
            rows.append((0.0, 0.0, 0.0))
            continue
        near = vectors[[place[text] for text in said]] @ vectors[[place[text] for text in known]].T
        words = {word for text in known for word in _content(text)}
        pairs = {pair for text in known for pair in pairwise(_words(text))}
        rows.append(
            (
                float(1 - near.max(axis=1).mean()),
                float(np.mean([_missing(_content(text), words) for text in said])),
                float(np.mean([_missing(list(pairwise(_words(text))), pairs) for text in said])),
            )
        )
    table = np.clip(np.array(rows, np.float32).reshape(-1, 3), 0, 1)
    return {name: table[:, column] for column, name in enumerate(NAMES)}


def _missing(found: Sequence[object], known: set[object] | set[str] | set[tuple[str, str]]) -> float:
    return 1 - sum(one in known for one in found) / len(found) if found else 0.0


def _sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text, 64)]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _content(text: str) -> list[str]:
    return [word for word in _words(text) if word not in _STOP]
