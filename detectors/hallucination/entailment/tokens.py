"""Pairs as arrays of tokens, small enough to carry to the machine that trains on them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

WINDOWS = (65, 120)
"""Words that a premise has at most: a claim is read beside one of each."""
Int = npt.NDArray[Any]


@dataclass(frozen=True)
class Tokens:
    """n pairs of t texts, each text once.

    ``tokens`` (k,) uint16 of all texts in a row, which begin at ``starts`` (t + 1,); ``premises`` and ``claims`` (n,)
    say which texts; ``wrong`` (n,) bool; ``told`` (n,) bool whether people labelled the pair. ``marks`` uint8 are, in a
    row, 1 for the tokens of a claim that were made wrong and 0 for its others, where that is known: those of a pair
    begin at ``marked`` (n + 1,).
    """

    tokens: Int
    starts: Int
    premises: Int
    claims: Int
    wrong: Int
    told: Int
    marks: Int
    marked: Int

    def __len__(self) -> int:
        return len(self.wrong)

    def save(self, path: Path) -> None:
        np.savez_compressed(path, allow_pickle=False, **{own.name: getattr(self, own.name) for own in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Tokens:
        with np.load(path) as held:
            return cls(**{own.name: held[own.name] for own in fields(cls)})
