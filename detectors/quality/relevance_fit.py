"""Fit the curve of ``irrelevance``: ``python -m inferwatch.detectors.quality.relevance_fit DATA_FOLDER``.

DATA_FOLDER holds grounding/begin_dev_*.tsv, grounding/memnet_*.csv and, for the evaluation only,
logs/alpaca_eval.jsonl.gz. An answer dealt to the input of another row is the negative. MODEL_CARD.md has the figures.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from inferwatch.detectors.base import F32, Encoder, Item
from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder
from inferwatch.detectors.quality.relevance import PACKAGED, Curve, Relevance, abstains

SEED = 20261125
_logistic: Any = LogisticRegression  # scikit-learn has no types
_TESTED = 250
Pair = tuple[str, str, str]


def read(folder: Path) -> list[Pair]:
    """Return (source, input, answer), each once."""
    pairs: dict[Pair, None] = {}
    for path in sorted((folder / "grounding").glob("begin_dev_*.tsv")):
        with path.open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE):
                pairs[path.stem, row["message"], row["response"]] = None
    for path in sorted((folder / "grounding").glob("memnet_*.csv")):
        with path.open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle):
                pairs["memnet", row["message"], row["response"]] = None
    return [pair for pair in pairs if not abstains(Item(pair[1], pair[2]))]


def cosines(pairs: Sequence[Pair], encoder: Encoder) -> tuple[F32, F32]:
    """Return the cosines of the answers with their own inputs, and with the input of another row of their source."""
    rng = np.random.default_rng(SEED)
    asked, answered = encoder.encode([pair[1] for pair in pairs]), encoder.encode([pair[2] for pair in pairs])
    other = np.arange(len(pairs))
    for source in sorted({pair[0] for pair in pairs}):
        rows = np.array([row for row, pair in enumerate(pairs) if pair[0] == source])
        order = rng.permutation(rows)
        other[order] = np.roll(order, 1)
    different = np.array([pairs[row][1] != pairs[place][1] for row, place in enumerate(other.tolist())])
    own: F32 = np.einsum("ij,ij->i", asked, answered)
    dealt: F32 = np.einsum("ij,ij->i", asked[other], answered)[different]
    return own, dealt


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=PACKAGED)
    options = parser.parse_args(arguments)
    encoder = SentenceTransformerEncoder(threads=1)
    pairs = read(options.folder)
    own, dealt = cosines(pairs, encoder)
    values = np.concatenate([own, dealt])
    labels = np.arange(len(values)) < len(own)
    model = _logistic(C=100.0, class_weight="balanced").fit(values[:, None], labels)
    metadata = {"encoder_revision": encoder.family, "seed": SEED, "pairs": len(own), "dealt": len(dealt)}
    curve = Curve(float(model.coef_[0, 0]), float(model.intercept_[0]), metadata)
    held = {"slope": round(curve.slope, 4), "shift": round(curve.shift, 4), "metadata": metadata}
    options.out.write_text(json.dumps(held) + "\n", "utf-8")
    report = {"fitted on": _measure(curve, own, dealt)}
    path = options.folder / "logs" / "alpaca_eval.jsonl.gz"
    if path.is_file():
        with gzip.open(path, "rt", encoding="utf-8") as handle:
            rows = [json.loads(line) for line in handle]
        picked = np.random.default_rng(SEED).permutation(len(rows))[: 2 * _TESTED].tolist()
        for name in ("one list of instructions", "all"):
            test = [
                ("" if name == "all" else row["dataset"], row["instruction"], row["output"])
                for row in (rows[place] for place in picked)
                if not abstains(Item(row["instruction"], row["output"]))
            ][:_TESTED]
            report[f"alpaca_eval, dealt within {name}"] = _measure(curve, *cosines(test, encoder))
    print(json.dumps({"slope": curve.slope, "shift": curve.shift, "report": report}, indent=1))


def _measure(curve: Curve, own: F32, dealt: F32) -> dict[str, Any]:
    threshold = Relevance.emits["irrelevance"]
    rng = np.random.default_rng(SEED)
    values = np.concatenate([curve(own), curve(dealt)])
    wrong = np.arange(len(values)) >= len(own)
    found = []
    for _ in range(500):
        rows = rng.integers(0, len(values), len(values))
        picked, labels = values[rows], wrong[rows]
        found.append(
            [roc_auc_score(labels, picked), (picked[labels] >= threshold).mean(), (picked[~labels] >= threshold).mean()]
        )
    ends = np.quantile(found, [0.025, 0.975], axis=0).round(3).tolist()
    middle = [roc_auc_score(wrong, values), (values[wrong] >= threshold).mean(), (values[~wrong] >= threshold).mean()]
    return {
        "own": len(own),
        "dealt": len(dealt),
        **{
            name: [round(float(middle[place]), 3), ends[0][place], ends[1][place]]
            for place, name in enumerate(("auc", "recall", "false alarms"))
        },
    }


if __name__ == "__main__":
    main()
