"""Labelled answers that the grounding models are fitted and tested on, by family; the data lie elsewhere."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import Item
from inferwatch.detectors.hallucination.edits import KINDS, change, name_pool
from inferwatch.detectors.hallucination.grounding import read

SEED = 20261123
SUPPORT_PAIRS = Path(__file__).with_name("support_pairs.json")
# BEGIN and memnet are both Wizard of Wikipedia and share passages: neither may teach what the other tests.
TWINS = {"begin": frozenset({"begin", "memnet"}), "memnet": frozenset({"begin", "memnet"})}
WRITTEN_HERE = "support"
"""The family that this project wrote itself: taught, but no judge of anything."""
FOLDS = 5
_CALIBRATION_SHARE = 0.3


@dataclass(frozen=True)
class Examples:
    """Answers of one family; ``labels`` is (n,) bool, True where the contexts do not support the answer."""

    items: tuple[Item, ...]
    labels: npt.NDArray[np.bool_]


def families(folder: Path) -> dict[str, Examples]:
    """Return ``begin``, ``memnet``, ``anyscale``, ``summedits_…`` and ``support`` of a folder with ``grounding/``.

    Raises:
        FileNotFoundError: a data set is missing.
    """
    grounding = folder / "grounding"
    found = {
        "begin": _examples(_begin(grounding)),
        "memnet": _examples(_memnet(grounding)),
        "anyscale": _examples(_anyscale(grounding)),
        "support": _examples(_support()),
    }
    for path in sorted(grounding.glob("summedits_*.json")):
        rows = json.loads(path.read_text("utf-8"))
        found[path.stem] = _examples(
            (Item(output=row["summary"], contexts=(row["doc"],)), not row["label"]) for row in rows
        )
    return found


def others(names: Sequence[str], left_out: str) -> list[str]:
    """Return the families that may teach when ``left_out`` is tested; all when it is empty."""
    return [name for name in names if name not in TWINS.get(left_out, {left_out})]


def widen(examples: Examples, family: str, *, every_kind: bool = True) -> Examples:
    """Return ``examples`` and, of the supported ones, copies that are wrong: a fact changed, contexts of another.

    Seeded by the family alone, so that what is added to one does not depend on the others.
    """
    rng = np.random.default_rng([SEED, int.from_bytes(hashlib.sha256(family.encode()).digest()[:4], "big")])
    good = [item for item, wrong in zip(examples.items, examples.labels, strict=True) if not wrong]
    pool = name_pool([context for item in good for context in item.contexts])
    more: list[Item] = []
    for item in good:
        other = good[int(rng.integers(len(good)))]
        if other.contexts != item.contexts and rng.random() < 0.5:
            more.append(Item("", item.output, other.contexts))
        if every_kind:
            kind = KINDS[int(rng.integers(len(KINDS)))]
            edit = change(item.output, item.contexts, kind, pool, rng)
            if edit is not None:
                more.append(Item(item.input, edit.text, item.contexts))
    labels = np.concatenate([examples.labels, np.ones(len(more), np.bool_)])
    return Examples((*examples.items, *more), labels)


def for_calibration(item: Item) -> bool:
    """Return whether an item is kept from the fit to calibrate on: three in ten contexts, by hash."""
    return _hash_of_contexts(item)[0] / 256 < _CALIBRATION_SHARE


def fold_of(item: Item, purpose: str) -> int:
    """Return which of ``FOLDS`` parts an item is in, one with all that share its contexts; ``purpose`` seeds it."""
    return hashlib.sha256(purpose.encode() + _hash_of_contexts(item)).digest()[0] % FOLDS


def _hash_of_contexts(item: Item) -> bytes:
    return hashlib.sha256("\0".join(item.contexts).encode("utf-8", "surrogatepass")).digest()


def _examples(rows: Iterator[tuple[Item, bool]]) -> Examples:
    """Keep what claims anything."""
    kept = [(item, wrong) for item, wrong in rows if item.output.strip() and read(item).claims]
    return Examples(tuple(item for item, _ in kept), np.array([wrong for _, wrong in kept], np.bool_))


def _begin(folder: Path) -> Iterator[tuple[Item, bool]]:
    for path in sorted(folder.glob("begin_dev_*.tsv")):
        with path.open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE):
                label = row["begin_label"].strip().lower()
                if label != "generic":
                    yield Item(row["message"], row["response"], (row["knowledge"],)), label != "fully attributable"


def _memnet(folder: Path) -> Iterator[tuple[Item, bool]]:
    for name, wrong in (("memnet_consistent.csv", False), ("memnet_inconsistent.csv", True)):
        with (folder / name).open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle):
                yield Item(row["message"], row["response"], (row["knowledge"],)), wrong


def _anyscale(folder: Path) -> Iterator[tuple[Item, bool]]:
    for row in json.loads((folder / "anyscale_pairs.json").read_text("utf-8")):
        for key, wrong in (("correct_sent", False), ("incorrect_sent", True)):
            yield Item(output=row[key], contexts=(row["article_sent"],)), wrong


def _support() -> Iterator[tuple[Item, bool]]:
    for row in json.loads(SUPPORT_PAIRS.read_text("utf-8"))["pairs"]:
        for kind in ("faithful", "invented"):
            for answer in row[kind]:
                yield Item("", answer, tuple(row["contexts"])), kind == "invented"
