"""Fit the grounding model: ``python -m inferwatch.detectors.hallucination.fit DATA_FOLDER --out weights.json``.

DATA_FOLDER holds grounding/begin_dev_*.tsv, memnet_*.csv, anyscale_pairs.json and summedits_*.json, which stay
outside the repository; support_pairs.json lies beside this file. Fitted on BEGIN, memnet and the support pairs, with
mismatched contexts and changed numbers added; anyscale and SummEdits are only tested on. It also prints what each
fitted family scores when it is left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from inferwatch.detectors.base import F32, Encoder, Item
from inferwatch.detectors.encoder.cache import CachedEncoder
from inferwatch.detectors.encoder.load import load_encoder
from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder
from inferwatch.detectors.hallucination.detector import Hallucination
from inferwatch.detectors.hallucination.grounding import FEATURES, ground, read
from inferwatch.detectors.hallucination.model import PACKAGED, GroundingModel
from inferwatch.schemas.settings import EncoderSettings

SEED = 20261123
_minimize: Any = minimize  # scipy has no types
SUPPORT_PAIRS = Path(__file__).with_name("support_pairs.json")
_RIDGE = 0.002
_DIGITS = re.compile(r"\d+")
# A family counts by what it teaches about support answers, not by how many rows it happens to have.
_FAMILY_WEIGHT = {"begin": 1.0, "memnet": 1.0, "support": 1.0}


@dataclass(frozen=True)
class Pair:
    """An answer with its contexts, whether they fail to support it, and its family."""

    item: Item
    unsupported: bool
    family: str


def read_pairs(folder: Path) -> list[Pair]:
    """Return every pair of the grounding sets and the support pairs."""
    grounding = folder / "grounding"
    pairs = [*_begin(grounding), *_memnet(grounding), *_support()]
    for row in json.loads((grounding / "anyscale_pairs.json").read_text("utf-8")):
        for key, wrong in (("correct_sent", False), ("incorrect_sent", True)):
            item = Item(output=row[key], contexts=(row["article_sent"],))
            pairs.append(Pair(item, wrong, "anyscale"))
    for path in sorted(grounding.glob("summedits_*.json")):
        for row in json.loads(path.read_text("utf-8")):
            item = Item(output=row["summary"], contexts=(row["doc"],))
            pairs.append(Pair(item, not row["label"], path.stem))
    return pairs


def _begin(folder: Path) -> list[Pair]:
    pairs = []
    for path in sorted(folder.glob("begin_dev_*.tsv")):
        with path.open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE):
                label = row["begin_label"].strip().lower()
                if label == "generic":
                    continue
                item = Item(row["message"], row["response"], (row["knowledge"],))
                pairs.append(Pair(item, label != "fully attributable", "begin"))
    return pairs


def _memnet(folder: Path) -> list[Pair]:
    pairs = []
    for name, wrong in (("memnet_consistent.csv", False), ("memnet_inconsistent.csv", True)):
        with (folder / name).open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        pairs += [Pair(Item(row["message"], row["response"], (row["knowledge"],)), wrong, "memnet") for row in rows]
    return pairs


def _support() -> list[Pair]:
    return [
        Pair(Item("", answer, tuple(row["contexts"])), kind == "invented", "support")
        for row in json.loads(SUPPORT_PAIRS.read_text("utf-8"))["pairs"]
        for kind in ("faithful", "invented")
        for answer in row[kind]
    ]


@dataclass(frozen=True)
class Examples:
    """Items of one family and (n,) bool, whether the contexts fail to support each."""

    items: tuple[Item, ...]
    labels: npt.NDArray[np.bool_]


def families(folder: Path) -> dict[str, Examples]:
    """Return family -> its examples, also of the families that are only tested on."""
    found: dict[str, list[Pair]] = {}
    for pair in read_pairs(folder):
        found.setdefault(pair.family, []).append(pair)
    return {
        name: Examples(tuple(pair.item for pair in pairs), np.array([pair.unsupported for pair in pairs]))
        for name, pairs in found.items()
    }


def fit_without(folder: Path, left_out: str, work: Path) -> Hallucination:
    """Return the detector fitted without the family ``left_out`` (empty: on all); ``work`` keeps what was fitted."""
    names = [name for name in _FAMILY_WEIGHT if name != left_out]
    kept = work / f"grounding-from-{'-'.join(names)}.json"
    if not kept.is_file():
        work.mkdir(parents=True, exist_ok=True)
        encoder = load_encoder(EncoderSettings(backend="onnx-int8"))
        wide = features_of(widen([pair for pair in read_pairs(folder) if pair.family in names]), encoder)
        GroundingModel(*fit_families(*wide, names), {"encoder_revision": encoder.family, "seed": SEED}).save(kept)
    return Hallucination(GroundingModel.load(kept))


def widen(pairs: Sequence[Pair]) -> list[Pair]:
    """Return ``pairs`` and, of the supported ones, copies that are wrong: contexts of another, a number changed."""
    rng = np.random.default_rng(SEED)
    good = [pair for pair in pairs if not pair.unsupported]
    more: list[Pair] = []
    for pair in good:
        other = good[int(rng.integers(len(good)))]
        if other.item.contexts != pair.item.contexts and rng.random() < 0.5:
            more.append(Pair(Item("", pair.item.output, other.item.contexts), True, pair.family))
        numbers = _DIGITS.findall(pair.item.output)
        if numbers:
            old = numbers[int(rng.integers(len(numbers)))]
            changed = pair.item.output.replace(old, str(int(old) + int(rng.integers(1, 50))), 1)
            more.append(Pair(Item(pair.item.input, changed, pair.item.contexts), True, pair.family))
    return [*pairs, *more]


def features_of(pairs: Sequence[Pair], encoder: Encoder) -> tuple[F32, list[Pair], npt.NDArray[np.int64]]:
    """Return features of every claim, the pairs that claim anything, and for each claim the row of its pair."""
    kept = [pair for pair in pairs if pair.item.output.strip() and read(pair.item).claims]
    wanted = list(dict.fromkeys(t for pair in kept for t in (*read(pair.item).claims, *read(pair.item).sentences)))
    vectors = encoder.encode(wanted)
    index = {text: row for row, text in enumerate(wanted)}
    rows, owners = [], []
    for place, pair in enumerate(kept):
        reading = read(pair.item)
        claims = vectors[[index[text] for text in reading.claims]]
        sentences = vectors[[index[text] for text in reading.sentences]]
        rows.append(ground(pair.item, reading, claims, sentences).features)
        owners += [place] * len(claims)
    return np.concatenate(rows), kept, np.array(owners)


def fit(features: F32, labels: npt.NDArray[np.bool_], weights: npt.NDArray[np.float64]) -> tuple[F32, float]:
    """Return non-negative weights and a bias that minimise the weighted log loss with a small ridge penalty."""
    x, sign = features.astype(np.float64), np.where(labels, 1.0, -1.0)
    share = weights / weights.sum()

    def loss(theta: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        margin = sign * (x @ theta[:-1] + theta[-1])
        pull = -share * sign / (1 + np.exp(margin))
        gradient = np.append(x.T @ pull + 2 * _RIDGE * theta[:-1], pull.sum())
        return float(share @ np.logaddexp(0, -margin) + _RIDGE * (theta[:-1] @ theta[:-1])), gradient

    bounds = [(0.0, None)] * x.shape[1] + [(None, None)]
    found = _minimize(loss, np.zeros(x.shape[1] + 1), jac=True, bounds=bounds, method="L-BFGS-B").x
    return found[:-1].astype(np.float32), float(found[-1])


def fit_families(
    features: F32, kept: Sequence[Pair], owners: npt.NDArray[np.int64], families: Sequence[str]
) -> tuple[F32, float]:
    """Fit on single-claim answers of ``families``: there the answer's label is the claim's."""
    single = np.bincount(owners, minlength=len(kept))[owners] == 1
    family = np.array([kept[owner].family for owner in owners])
    labels = np.array([kept[owner].unsupported for owner in owners])
    chosen = single & np.isin(family, list(families))
    weights = np.zeros(len(owners))
    for name in families:
        for label in (True, False):
            rows = chosen & (family == name) & (labels == label)
            weights[rows] = _FAMILY_WEIGHT[name] / max(1, rows.sum())
    return fit(features[chosen], labels[chosen], weights[chosen])


def worst(values: F32, owners: npt.NDArray[np.int64], n: int) -> F32:
    """Return for each of ``n`` answers the value of its least supported claim."""
    found = np.zeros(n, np.float32)
    np.maximum.at(found, owners, values)
    return found


def interval(
    labels: npt.NDArray[np.bool_], values: F32, measure: Callable[[Any, Any], float], draws: int = 500
) -> list[float]:
    """Return a measure with its bootstrap 95 % interval."""
    rng = np.random.default_rng(SEED)
    draws_of = (rng.integers(0, len(labels), len(labels)) for _ in range(draws))
    found = [measure(labels[rows], values[rows]) for rows in draws_of if 0 < labels[rows].sum() < len(labels)]
    low, high = np.quantile(found, [0.025, 0.975])
    return [round(float(x), 3) for x in (measure(labels, values), low, high)]


def _measure(model: GroundingModel, features: F32, kept: Sequence[Pair], owners: Any, family: str) -> dict[str, Any]:
    values = worst(model(features), owners, len(kept))
    rows = np.array([pair.family == family for pair in kept])
    labels = np.array([pair.unsupported for pair in kept])[rows]
    values = values[rows]
    auc = interval(labels, values, lambda y, s: float(roc_auc_score(y, s)))
    return {
        "n": len(labels),
        "unsupported": int(labels.sum()),
        "auc": auc,
        "recall_at_0.6": round(float((values[labels] >= 0.6).mean()), 3),
        "false_flags_at_0.6": round(float((values[~labels] >= 0.6).mean()), 3),
        "brier": round(float(np.mean((values - labels) ** 2)), 3),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=PACKAGED)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    encoder = CachedEncoder(SentenceTransformerEncoder(threads=options.threads), 50_000)
    pairs = read_pairs(options.folder)
    plain = features_of(pairs, encoder)
    fitted = [pair for pair in pairs if pair.family in _FAMILY_WEIGHT]
    wide = features_of(widen(fitted), encoder)
    families = list(_FAMILY_WEIGHT)
    weights, bias = fit_families(*wide, families)
    counts = {name: sum(pair.family == name for pair in wide[1]) for name in families}
    metadata: dict[str, Any] = {"encoder_revision": encoder.family, "seed": SEED, "fitted_on": counts}
    model = GroundingModel(weights, bias, metadata)
    report = {name: _measure(model, *plain, name) for name in dict.fromkeys(pair.family for pair in plain[1])}
    left_out = {}
    for name in families:
        rest = GroundingModel(*fit_families(*wide, [other for other in families if other != name]), {})
        left_out[name] = _measure(rest, *plain, name)
    model.save(options.out)
    weights_by_name = dict(zip(FEATURES, [round(float(w), 3) for w in weights], strict=True))
    print(json.dumps({"weights": weights_by_name, "bias": bias, "report": report, "left out": left_out}, indent=1))


if __name__ == "__main__":
    main()
