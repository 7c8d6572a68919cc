"""The labelled sets that no detector is fitted on, and how many rows of a set are taken."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.bench.quality.results import DATA

_TWO_WORDS = ("middle eastern", "middle aged", "african american")


@dataclass(frozen=True)
class Madlibs:
    """Sentences of templates x identities: (n,) texts, whether each is an insult, and the identity it names."""

    texts: tuple[str, ...]
    labels: npt.NDArray[np.bool_]
    identities: tuple[str, ...]


def need(folder: Path) -> Path:
    """Return the folder of the data sets.

    Raises:
        SystemExit: it is not there.
    """
    if not (folder / "toxicity").is_dir():
        raise SystemExit(f'no data at {folder}: give their folder with ARGS="--data FOLDER" (see docs/quality.md)')
    return folder


def some(texts: Sequence[str], most: int) -> npt.NDArray[np.int64]:
    """Return the places of at most ``most`` rows, drawn by a hash of their texts: the same whatever else there is."""
    keys = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts]
    return np.array(sorted(sorted(range(len(texts)), key=keys.__getitem__)[:most]), np.int64)


def hatecheck(folder: Path = DATA) -> tuple[tuple[str, ...], npt.NDArray[np.bool_], tuple[str, ...]]:
    """Return the cases of HateCheck, whether each is hateful, and which functional test it belongs to."""
    rows = _csv(folder / "toxicity" / "hatecheck.csv")
    labels = np.array([row["label_gold"] == "hateful" for row in rows])
    return tuple(row["test_case"].strip() for row in rows), labels, tuple(row["functionality"] for row in rows)


def madlibs(folder: Path, most: int) -> Madlibs:
    """Return sentences that name an identity; those without (occupations) are left out."""
    rows = [row for row in _csv(folder / "toxicity" / "bias_madlibs_77k.csv") if row["Template"] != "you_occupation"]
    rows = [rows[place] for place in some([row["Text"] for row in rows], most)]
    texts = tuple(row["Text"] for row in rows)
    return Madlibs(texts, np.array([row["Label"] == "BAD" for row in rows]), tuple(map(_identity, texts)))


def _identity(text: str) -> str:
    """Return the identity that a sentence names: its last words, or those after "Being"."""
    words = text.lower().strip(" .").split()
    named = words[1 : words.index("is")] if words[0] == "being" else words
    return " ".join(named[-2:]) if " ".join(named[-2:]) in _TWO_WORDS else named[-1]


def answers(folder: Path, share: int) -> tuple[str, ...]:
    """Return every ``share``-th of the distinct outputs of ten models in AlpacaEval, presumed benign."""
    with gzip.open(folder / "logs" / "alpaca_eval.jsonl.gz", "rt", encoding="utf-8") as lines:
        outputs = dict.fromkeys(text for line in lines if (text := json.loads(line)["output"].strip()))
    return tuple(outputs)[::share]


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as rows:
        return list(csv.DictReader(rows))
