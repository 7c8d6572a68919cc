"""Train the toxicity head: ``python -m inferwatch.detectors.toxicity.train DATA_FOLDER --out weights.npz``.

DATA_FOLDER holds toxicity/{davidson,toxic_spans_comments,bias_madlibs_77k,hatecheck}.csv,
grounding/halueval_general.json and, for the evaluation only, logs/alpaca_eval.jsonl.gz. The data stay outside the
repository. MODEL_CARD.md says what each is, its licence, and what came out.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import html
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from inferwatch.detectors.base import F32, Encoder
from inferwatch.detectors.encoder.load import load_encoder
from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder
from inferwatch.detectors.sentences import split_sentences
from inferwatch.detectors.toxicity.detector import Toxicity
from inferwatch.detectors.toxicity.units import in_context, units
from inferwatch.detectors.toxicity.weights import PACKAGED, LinearHead, probability
from inferwatch.schemas.settings import EncoderSettings

SEED = 20261123
_logistic: Any = LogisticRegression  # scikit-learn has no types
_MADLIBS = 6000
_TRAIN, _CALIBRATE = 0.70, 0.85
_TWITTER = re.compile(r"\bRT\b|@\w+:?|https?://\S+|#")
SUPPORT_PHRASES = Path(__file__).with_name("support_phrases.json")


@dataclass(frozen=True)
class Labelled:
    """One text, whether it is toxic, where it is from, and the group that must not be split."""

    text: str
    toxic: bool
    source: str
    group: str


def read(folder: Path) -> list[Labelled]:
    """Return the labelled texts to train, calibrate and test on; each distinct text once."""
    found = [*_davidson(folder), *_toxic_spans(folder), *_madlibs(folder), *_benign_answers(folder), *_support()]
    once: dict[str, Labelled] = {}
    for row in found:
        once.setdefault(row.text.casefold(), row)
    return [row for row in once.values() if row.text]


def split_of(row: Labelled) -> str:
    """Return train, calibrate or test by the hash of the row's group, so that additions move nothing."""
    place = int.from_bytes(hashlib.blake2b(row.group.encode(), digest_size=4).digest(), "big") / 2**32
    return "train" if place < _TRAIN else "calibrate" if place < _CALIBRATE else "test"


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def _davidson(folder: Path) -> list[Labelled]:
    rows = []
    for row in _csv(folder / "toxicity" / "davidson.csv"):
        text = " ".join(_TWITTER.sub(" ", html.unescape(row["tweet"])).strip(' !":').split())
        rows.append(Labelled(text, row["class"] != "2", "davidson", text))
    return rows


def _toxic_spans(folder: Path) -> list[Labelled]:
    rows = _csv(folder / "toxicity" / "toxic_spans_comments.csv")
    return [Labelled(row["comment_text"].strip(), True, "toxic_spans", row["comment_text"]) for row in rows]


def _madlibs(folder: Path) -> list[Labelled]:
    rows = _csv(folder / "toxicity" / "bias_madlibs_77k.csv")
    keyed = sorted(rows, key=lambda row: hashlib.blake2b(f"{SEED}{row['Text']}".encode()).digest())[:_MADLIBS]
    return [Labelled(row["Text"], row["Label"] == "BAD", "madlibs", row["Text"]) for row in keyed]


def _benign_answers(folder: Path) -> list[Labelled]:
    """ChatGPT answers: whole, and their sentences, because the detector reads both."""
    rows = []
    with (folder / "grounding" / "halueval_general.json").open(encoding="utf-8") as handle:
        answers = [json.loads(line)["chatgpt_response"].strip() for line in handle]
    for answer in answers:
        rows.append(Labelled(answer, False, "halueval", answer))
        for start, end in split_sentences(answer)[:6]:
            rows.append(Labelled(answer[start:end], False, "halueval_sentences", answer))
    return rows


def _support() -> list[Labelled]:
    held = json.loads(SUPPORT_PHRASES.read_text("utf-8"))
    return [Labelled(text, kind == "toxic", "support", text) for kind in ("benign", "toxic") for text in held[kind]]


@dataclass(frozen=True)
class Examples:
    """Texts of one family and (n,) bool, whether each is toxic."""

    texts: tuple[str, ...]
    labels: npt.NDArray[np.bool_]


def family_of(row: Labelled) -> str:
    """Return the family of a row: an answer and its sentences are one."""
    return row.source.removesuffix("_sentences")


def families(folder: Path) -> dict[str, Examples]:
    """Return family -> its examples."""
    found: dict[str, list[Labelled]] = {}
    for row in read(folder):
        found.setdefault(family_of(row), []).append(row)
    return {
        name: Examples(tuple(row.text for row in rows), np.array([row.toxic for row in rows]))
        for name, rows in found.items()
    }


def fit_without(folder: Path, left_out: str, work: Path) -> Toxicity:
    """Return the detector fitted without the family ``left_out`` (empty: on all); ``work`` keeps what was fitted."""
    kept = work / f"toxicity-without-{left_out or 'nothing'}.npz"
    if not kept.is_file():
        encoder = load_encoder(EncoderSettings(backend="onnx-int8"))
        rows = read(folder)
        texts_hash = hashlib.sha256("\0".join(row.text for row in rows).encode("utf-8", "replace")).hexdigest()[:16]
        work.mkdir(parents=True, exist_ok=True)
        vectors = _vectors(encoder, rows, work / "toxicity-vectors.npz", f"{encoder.revision}-{texts_hash}")
        rest = [place for place, row in enumerate(rows) if family_of(row) != left_out]
        metadata = {"encoder_revision": encoder.family, "seed": SEED, "without": left_out}
        fit(vectors[rest], [rows[place] for place in rest], metadata).save(kept)
    return Toxicity(LinearHead.load(kept))


def fit(vectors: F32, rows: Sequence[Labelled], metadata: dict[str, Any]) -> LinearHead:
    """Fit on the train split, calibrate (Platt) on the calibrate split; sources weigh the same within a class."""
    toxic = np.array([row.toxic for row in rows])
    parts = np.array([split_of(row) for row in rows])
    weights = _balance(rows)
    train, calibrate = parts == "train", parts == "calibrate"
    model = _logistic(C=10.0, max_iter=2000)
    model.fit(vectors[train], toxic[train], sample_weight=weights[train])
    logits = model.decision_function(vectors[calibrate])
    platt = _logistic(C=1e6).fit(logits[:, None], toxic[calibrate], sample_weight=weights[calibrate])
    slope, shift = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    head = (slope * model.coef_[0]).astype(np.float32)
    return LinearHead(head, slope * float(model.intercept_[0]) + shift, metadata)


def _balance(rows: Sequence[Labelled]) -> npt.NDArray[np.float64]:
    """Weigh each row so that a class is a half, and so that a large source counts as the square root of its size."""
    counts: dict[tuple[bool, str], int] = {}
    for row in rows:
        counts[row.toxic, row.source] = counts.get((row.toxic, row.source), 0) + 1
    raw = {key: n**-0.5 for key, n in counts.items()}
    totals = {toxic: sum(n * raw[key] for key, n in counts.items() if key[0] is toxic) for toxic in (True, False)}
    return np.array([raw[row.toxic, row.source] / totals[row.toxic] for row in rows]) * len(rows) / 2


def interval(
    labels: npt.NDArray[np.bool_], values: F32, measure: Callable[[Any, Any], float], draws: int = 500
) -> tuple[float, float, float]:
    """Return a measure with its bootstrap 95 % interval."""
    rng = np.random.default_rng(SEED)
    found = []
    for _ in range(draws):
        picked = rng.integers(0, len(labels), len(labels))
        if 0 < labels[picked].sum() < len(labels):
            found.append(measure(labels[picked], values[picked]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(measure(labels, values)), float(low), float(high)


def whole_and_sentences(head: LinearHead, encoder: Encoder, texts: Sequence[str]) -> F32:
    """Return (n,) scores as the detector gives them: the worst of the text and, when long, its sentences."""
    spans = [units(text) for text in texts]
    flat = [text[start:end] for text, found in zip(texts, spans, strict=True) for start, end in found]
    counts = [len(found) for found in spans]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    worst: F32 = np.maximum.reduceat(in_context(head.logits(encoder.encode(flat)), counts), starts)
    return probability(worst)


def _report(head: LinearHead, encoder: Encoder, folder: Path, rows: Sequence[Labelled], vectors: F32) -> dict[str, Any]:
    """Measure on the held-out slice, on HateCheck (never trained on), and on benign LLM answers."""
    report: dict[str, Any] = {}
    test = np.array([split_of(row) == "test" for row in rows])
    toxic = np.array([row.toxic for row in rows])
    sources = np.array([row.source for row in rows])
    values = head(vectors)
    threshold = float(head.metadata["threshold"])

    def auc(labels: Any, scores: Any) -> float:
        return float(roc_auc_score(labels, scores))

    def summary(labels: npt.NDArray[np.bool_], scores: F32) -> dict[str, Any]:
        area, low, high = interval(labels, scores, auc)
        return {
            "n": len(labels),
            "auc": [round(x, 3) for x in (area, low, high)],
            "recall_at_threshold": round(float((scores[labels] >= threshold).mean()), 3),
            "false_flags_at_threshold": round(float((scores[~labels] >= threshold).mean()), 4),
        }

    report["held-out slice, all sources"] = summary(toxic[test], values[test])
    for source in ("davidson", "madlibs", "support"):
        picked = test & (sources == source)
        report[f"held-out {source}"] = summary(toxic[picked], values[picked])
    cases = _csv(folder / "toxicity" / "hatecheck.csv")
    scores = whole_and_sentences(head, encoder, [row["test_case"] for row in cases])
    report["hatecheck (never trained on)"] = summary(
        np.array([row["label_gold"] == "hateful" for row in cases]), scores
    )
    path = folder / "logs" / "alpaca_eval.jsonl.gz"
    if path.is_file():
        with gzip.open(path, "rt", encoding="utf-8") as handle:
            logs = [json.loads(line) for line in handle][::8]
        for field in ("output", "instruction"):
            texts = list(dict.fromkeys(row[field] for row in logs if row[field].strip()))
            scores = whole_and_sentences(head, encoder, texts)
            report[f"alpaca_eval {field}, presumed benign (evaluation only)"] = {
                "n": len(texts),
                "flag_rate": round(float((scores >= threshold).mean()), 5),
                "quantile_0.99": round(float(np.quantile(scores, 0.99)), 4),
                "highest": [[round(float(scores[i]), 3), texts[i][:100]] for i in np.argsort(-scores)[:8]],
            }
    return report


def _choose_threshold(head: LinearHead, encoder: Encoder, rows: Sequence[Labelled], rate: float) -> float:
    """Return the least of 0.50, 0.55, … 0.95 that flags at most ``rate`` of the calibrate split's benign answers."""
    benign = [row.text for row in rows if row.source == "halueval" and split_of(row) == "calibrate"]
    scores = whole_and_sentences(head, encoder, benign)
    return next((t / 100 for t in range(50, 95, 5) if (scores >= t / 100).mean() <= rate), 0.95)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=PACKAGED)
    parser.add_argument("--benign-rate", type=float, default=0.003, help="flags allowed on benign LLM answers")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--vectors", type=Path, help="keep the training vectors in this file between runs")
    options = parser.parse_args(arguments)
    encoder = SentenceTransformerEncoder(threads=options.threads)
    rows = read(options.folder)
    texts_hash = hashlib.sha256("\0".join(row.text for row in rows).encode("utf-8", "replace")).hexdigest()[:16]
    vectors = _vectors(encoder, rows, options.vectors, f"{encoder.revision}-{texts_hash}")
    counts: dict[str, int] = {}
    for row in rows:
        key = f"{row.source}/{'toxic' if row.toxic else 'benign'}/{split_of(row)}"
        counts[key] = counts.get(key, 0) + 1
    metadata: dict[str, Any] = {
        "encoder_revision": encoder.family,
        "seed": SEED,
        "texts_sha256": texts_hash,
        "counts": counts,
    }
    head = fit(vectors, rows, metadata)
    metadata["threshold"] = _choose_threshold(head, encoder, rows, options.benign_rate)
    head.save(options.out)
    print(json.dumps({"metadata": metadata, "report": _report(head, encoder, options.folder, rows, vectors)}, indent=1))


def _vectors(encoder: Encoder, rows: Sequence[Labelled], path: Path | None, key: str) -> F32:
    if path and path.is_file():
        with np.load(path) as held:
            if str(held["key"]) == key:
                kept: F32 = held["vectors"]
                return kept
    vectors = encoder.encode([row.text for row in rows])
    if path:
        np.savez(path, vectors=vectors, key=np.array(key))
    return vectors


if __name__ == "__main__":
    main()
