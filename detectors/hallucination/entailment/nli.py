"""Sentence pairs that others labelled or wrote, which teach what follows from what; they lie outside the repository.

Each folder is one public set, with the files of its repository as they are; MODEL_CARD.md names repository, revision
and licence. A set that is not there is left out.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path

import numpy as np

from inferwatch.detectors.hallucination.corpora import SEED
from inferwatch.detectors.hallucination.edits import name_pool
from inferwatch.detectors.hallucination.entailment.pairs import Pair, falsified
from inferwatch.detectors.hallucination.entailment.rewrite import Neighbours, reword
from inferwatch.detectors.hallucination.lexicon import words_of

_LABELS = {"entailment": False, "neutral": True, "contradiction": True, "not_entailment": True}
_SPLIT_HOLDS = 0.9
_GRAM = 8
_TURNS = 3


def told(folder: Path) -> list[Pair]:
    """Return the labelled pairs of SNLI, counterfactual SNLI, ConjNLI, negated NLI, MED and HELP below ``folder``."""
    readers: dict[str, Callable[[Path], Iterator[tuple[str, str, str]]]] = {
        "snli": _snli,
        "cad": lambda own: _columns(own, "*.tsv", ("sentence1", "sentence2", "gold_label")),
        "conjnli": lambda own: _columns(own, "*.tsv", ("Premise", "Hypothesis", "Label")),
        "negation": lambda own: _columns(own, "*.txt", ("Text", "Hypothesis", "gold_label")),
        "med": lambda own: _columns(own, "MED.tsv", ("sentence1", "sentence2", "gold_label")),
        "help": lambda own: _columns(own, "*.tsv", ("ori_sentence", "new_sentence", "gold_label")),
    }
    rows = [row for name, reader in readers.items() for row in reader(folder / name)]
    unique = dict.fromkeys(
        (plain(premise), plain(claim), _LABELS[label]) for premise, claim, label in rows if label in _LABELS
    )
    return [Pair(*row, source="nli") for row in unique if row[0] and row[1]]


def split(folder: Path, phrases: Sequence[str], words: Neighbours) -> list[Pair]:
    """Return long sentences beside the two that WikiSplit's writers made of each: as they are, reworded, made wrong.

    Only those count of which nearly every content word is in the long sentence: writers added things.
    """
    rng = np.random.default_rng([SEED, 3])
    rows: list[tuple[str, list[str]]] = []
    for path in sorted((folder / "wikisplit").glob("*.tsv")):
        for line in path.read_text("utf-8").splitlines():
            whole, _, rest = line.partition("\t")
            rows.append((plain(whole), [plain(part) for part in rest.split("<::::>")]))
    pool = name_pool([whole for whole, _ in rows[:4000]])
    found: list[Pair] = []
    for whole, parts in rows:
        given = words_of(whole).content
        for part in parts:
            own = words_of(part).content
            if len(own) < 3 or len(own & given) < _SPLIT_HOLDS * len(own):
                continue
            for turn in range(_TURNS):
                right = part if turn == 0 else reword(part, words, rng, 0.6)
                before = part if turn == _TURNS - 1 else right
                if turn == _TURNS - 1:
                    right = reword(right, words, rng, 0.9)
                found.append(Pair(whole, right, wrong=False, source="reword"))
                found += falsified(whole, before, right, (whole,), pool, phrases, words, rng)
    return found


def unlike(pairs: Sequence[Pair], texts: Sequence[str]) -> list[Pair]:
    """Return the pairs that share no eight words in a row with ``texts``: what is tested must not be taught."""
    known = {gram for text in texts for gram in _grams(text)}
    held: dict[str, bool] = {}

    def new(text: str) -> bool:
        if text not in held:
            held[text] = known.isdisjoint(_grams(text))
        return held[text]

    return [pair for pair in pairs if new(pair.premise) and new(pair.hypothesis)]


def plain(text: str) -> str:
    """Return a sentence without the spaces that a tokenizer put before marks and inside quotes."""
    text = re.sub(r"\s+([.,;:!?%)\]]|n't\b|'(?:s|re|ve|ll|d|m)\b)", r"\1", " ".join(text.split()))
    text = re.sub(r"''|``", '"', re.sub(r"([(\[])\s+", r"\1", text))
    return re.sub(r"(\d)\s+([-–])\s+(\d)", r"\1\2\3", re.sub(r'"\s+([^"]*?)\s+"', r'"\1"', text))


def _grams(text: str) -> Set[tuple[str, ...]]:
    said = re.findall(r"\w+", text.lower())
    return {tuple(said[place : place + _GRAM]) for place in range(len(said) - _GRAM + 1)}


def _snli(folder: Path) -> Iterator[tuple[str, str, str]]:
    for part in ("dev", "test"):
        if (folder / f"labels.{part}").exists():
            columns = [(folder / f"{name}.{part}").read_text("utf-8").splitlines() for name in ("s1", "s2", "labels")]
            yield from zip(*columns, strict=True)


def _columns(folder: Path, pattern: str, names: tuple[str, str, str]) -> Iterator[tuple[str, str, str]]:
    for path in sorted(folder.glob(pattern)):
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as handle:
            for row in csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE):
                premise, claim, label = (row[name] or "" for name in names)
                yield premise, claim, label.strip()
