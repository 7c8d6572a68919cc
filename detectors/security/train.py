"""Fit and measure the injection detector: ``python -m inferwatch.detectors.security.train DATA_FOLDER``.

DATA_FOLDER holds attacks/injections.jsonl, attacks/langkit_themes.json, toxicity/davidson.csv,
grounding/begin_dev_*.tsv and, for false alarms only, logs/alpaca_eval.jsonl.gz; none of it is in the repository.
phrases.json was written for this project. MODEL_CARD.md says what each is, its licence, and what came out.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from inferwatch.detectors.base import F32, Encoder
from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder
from inferwatch.detectors.security.detector import Injection
from inferwatch.detectors.security.model import PACKAGED, Head, noisy_or
from inferwatch.detectors.security.rules import hits, strength

SEED = 20261125
_logistic: Any = LogisticRegression  # scikit-learn has no types
_folds: Any = GroupKFold
_C = 3.0
# Texts closer than this are one text said twice: they stay on one side of every split.
_SAME = 0.8
_HELD_OUT = 0.4
_TWEETS, _TURNS = 600, 400


@dataclass(frozen=True)
class Labelled:
    """One text, whether it attacks, and where it is from."""

    text: str
    attack: bool
    source: str


def read(folder: Path) -> list[Labelled]:
    """Return the texts to fit and test on, each once."""
    held = json.loads(Path(__file__).with_name("phrases.json").read_text("utf-8"))
    rows = [
        Labelled(text, kind == "attack", "phrases")
        for kind, families in held.items()
        for texts in families.values()
        for text in texts
    ]
    with (folder / "attacks" / "injections.jsonl").open(encoding="utf-8") as handle:
        for line in handle:
            one = json.loads(line)
            rows.append(Labelled(one["text"], one["label"] == "malicious", f"attacks/{one['channel']}"))
    with (folder / "toxicity" / "davidson.csv").open(encoding="utf-8", newline="") as handle:
        tweets = sorted({row["tweet"] for row in csv.DictReader(handle)}, key=_place)[:_TWEETS]
    turns: set[str] = set()
    for path in sorted((folder / "grounding").glob("begin_dev_*.tsv")):
        with path.open(encoding="utf-8", newline="") as handle:
            turns |= {row["message"] for row in csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)}
    rows += [Labelled(text, False, "tweets") for text in tweets]
    rows += [Labelled(text, False, "turns") for text in sorted(turns, key=_place)[:_TURNS] if text.strip()]
    once: dict[str, Labelled] = {}
    for row in rows:
        once.setdefault(row.text.casefold(), row)
    return list(once.values())


def _place(text: str) -> float:
    return int.from_bytes(hashlib.blake2b(f"{SEED}{text}".encode(), digest_size=4).digest(), "big") / 2**32


def groups_of(vectors: F32) -> npt.NDArray[np.int64]:
    """Return a group for each text; texts that are close, and what is close to those, share one."""
    group = np.arange(len(vectors))
    for first, second in zip(*np.nonzero(np.triu(vectors @ vectors.T >= _SAME, 1)), strict=True):
        a, b = group[first], group[second]
        if a != b:
            group[group == max(a, b)] = min(a, b)
    return group


def fit(vectors: F32, rows: Sequence[Labelled], metadata: dict[str, Any]) -> Head:
    """Fit on ``rows``; classes weigh the same, and so do the sources within a class."""
    attack = np.array([row.attack for row in rows])
    keys = [(row.attack, row.source) for row in rows]
    counts = {key: keys.count(key) for key in set(keys)}
    sources = {kind: sum(key[0] is kind for key in counts) for kind in (True, False)}
    weights = np.array([len(rows) / 2 / sources[key[0]] / counts[key] for key in keys])
    model = _logistic(C=_C, max_iter=2000)
    model.fit(vectors, attack, sample_weight=weights)
    return Head(model.coef_[0].astype(np.float32), float(model.intercept_[0]), metadata)


def _interval(labels: Any, values: Any, measure: Callable[[Any, Any], float]) -> list[float]:
    rng = np.random.default_rng(SEED)
    found = []
    for _ in range(1000):
        picked = rng.integers(0, len(labels), len(labels))
        if 0 < labels[picked].sum() < len(labels):
            found.append(measure(labels[picked], values[picked]))
    return [round(float(x), 3) for x in (measure(labels, values), *np.quantile(found, [0.025, 0.975]))]


def _summary(labels: npt.NDArray[np.bool_], values: F32, threshold: float) -> dict[str, Any]:
    def recall(labels: Any, values: Any) -> float:
        return float((values[labels] >= threshold).mean())

    def alarms(labels: Any, values: Any) -> float:
        return float((values[~labels] >= threshold).mean())

    return {
        "attacks": int(labels.sum()),
        "benign": int((~labels).sum()),
        "auc": _interval(labels, values, lambda a, b: float(roc_auc_score(a, b))),
        "recall": _interval(labels, values, recall),
        "false alarms": _interval(labels, values, alarms),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=PACKAGED)
    options = parser.parse_args(arguments)
    encoder = SentenceTransformerEncoder(threads=1)
    rows = read(options.folder)
    vectors = encoder.encode([row.text for row in rows])
    rules: F32 = np.array([strength(hits(row.text)) for row in rows], np.float32)
    attack = np.array([row.attack for row in rows])
    groups = groups_of(vectors)
    from_set = np.array([row.source.startswith("attacks/") for row in rows])
    held_groups = {int(group) for group in groups[from_set] if _place(f"group {rows[group].text}") < _HELD_OUT}
    held = np.array([int(group) in held_groups for group in groups])
    test = held & from_set
    train = ~held
    threshold = Injection.emits["injection.input"]
    metadata = {
        "encoder_revision": encoder.family,
        "seed": SEED,
        "texts": int(train.sum()),
        "attacks": int(attack[train].sum()),
    }
    report: dict[str, Any] = {"fitted on": metadata}
    crossed = np.zeros(len(rows), np.float32)
    for fitted, left in _folds(n_splits=5).split(vectors[train], groups=groups[train]):
        places = np.flatnonzero(train)
        head = fit(vectors[places[fitted]], [rows[place] for place in places[fitted]], metadata)
        crossed[places[left]] = head(vectors[places[left]])
    report["cross-validated, all fitted texts"] = _summary(attack[train], noisy_or(crossed, rules)[train], threshold)
    mine = train & from_set
    report["cross-validated, attack set only"] = _summary(attack[mine], noisy_or(crossed, rules)[mine], threshold)
    head = fit(vectors[train], [row for row, used in zip(rows, train, strict=True) if used], metadata)
    values = head(vectors)
    for name, scores in (("both", noisy_or(values, rules)), ("head alone", values), ("rules alone", rules)):
        report[f"held out, {name}"] = _summary(attack[test], scores[test], threshold)
    user = test & np.array([row.source == "attacks/user_input" for row in rows])
    report["held out, written by users"] = _summary(attack[user], noisy_or(values, rules)[user], threshold)
    report["outside"] = _outside(options.folder, encoder, head, threshold)
    head.save(options.out)
    print(json.dumps(report, indent=1))


def _outside(folder: Path, encoder: Encoder, head: Head, threshold: float) -> dict[str, Any]:
    """Measure on jailbreaks of another collection, and on instructions presumed benign (evaluation only)."""
    jailbreaks = json.loads((folder / "attacks" / "langkit_themes.json").read_text("utf-8"))["jailbreak"]
    with gzip.open(folder / "logs" / "alpaca_eval.jsonl.gz", "rt", encoding="utf-8") as handle:
        benign = sorted({json.loads(line)["instruction"] for line in handle})
    texts = [*jailbreaks, *benign]
    rules: F32 = np.array([strength(hits(text)) for text in texts], np.float32)
    values = head(encoder.encode(texts))
    labels = np.arange(len(texts)) < len(jailbreaks)
    found: dict[str, Any] = {
        name: _summary(labels, scores, threshold)
        for name, scores in (("both", noisy_or(values, rules)), ("head alone", values), ("rules alone", rules))
    }
    both = noisy_or(values, rules)
    found["highest benign"] = [
        [round(float(both[i]), 2), round(float(rules[i]), 2), texts[i][:90]]
        for i in np.argsort(-both)[:40].tolist()
        if not labels[i]
    ][:10]
    return found


if __name__ == "__main__":
    main()
