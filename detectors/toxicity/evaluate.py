"""Measure the shipped toxicity model: ``python -m inferwatch.detectors.toxicity.evaluate DATA_FOLDER --work FOLDER``.

Prints one JSON object: each family as held out of the shipped model and as left out of the training altogether, bias
over the identities of madlibs, flags on benign answers of LLMs, calibration, kinds. DATA_FOLDER is described in
corpus.py, WORK in train.py.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from inferwatch.detectors.base import F32, Encoder
from inferwatch.detectors.toxicity import corpus
from inferwatch.detectors.toxicity.detector import Toxicity
from inferwatch.detectors.toxicity.kept import KeptEncoder
from inferwatch.detectors.toxicity.train import TRAINED_ON, families, fit_without, production_encoder, scores

Flags = npt.NDArray[np.bool_]
_LEAST_SUBGROUP = 50


def auc(labels: Flags, values: F32) -> float:
    """Return the area under the ROC curve."""
    return float(roc_auc_score(labels, values))


def recall_at(labels: Flags, values: F32, false_rate: float) -> float:
    """Return the share of toxic texts above the threshold that ``false_rate`` of the others are above."""
    return float((values[labels] > np.quantile(values[~labels], 1 - false_rate)).mean())


def calibration_error(labels: Flags, values: F32, bins: int = 15) -> float:
    """Return the expected calibration error over equal ``bins`` (Naeini et al. 2015), classes weighed alike."""
    weights = np.where(labels, 0.5 / max(labels.sum(), 1), 0.5 / max((~labels).sum(), 1))
    place = np.minimum((values * bins).astype(int), bins - 1)
    gaps = [abs(float((weights * (labels - values))[place == i].sum())) for i in range(bins) if (place == i).any()]
    return float(sum(gaps) / weights.sum())


def interval(labels: Flags, values: F32, measure: Callable[[Flags, F32], float], draws: int = 300) -> list[float]:
    """Return a measure with its bootstrap 95 % interval: value, low, high."""
    rng = np.random.default_rng(corpus.SEED)
    found = []
    for _ in range(draws):
        picked = rng.integers(0, len(labels), len(labels))
        if 0 < labels[picked].sum() < len(labels):
            found.append(measure(labels[picked], values[picked]))
    return [round(float(x), 4) for x in (measure(labels, values), *np.quantile(found, [0.025, 0.975]))]


def summary(labels: Flags, values: F32, threshold: float) -> dict[str, Any]:
    """Return the figures of one family."""
    return {
        "n": len(labels),
        "toxic": int(labels.sum()),
        "auc": interval(labels, values, auc),
        "average_precision": round(float(average_precision_score(labels, values)), 4),
        "recall_at_5_percent": interval(labels, values, lambda y, s: recall_at(y, s, 0.05)),
        "recall_at_threshold": round(float((values[labels] >= threshold).mean()), 4),
        "false_flags_at_threshold": round(float((values[~labels] >= threshold).mean()), 4),
        "ece": round(calibration_error(labels, values), 4),
    }


def bias(texts: Sequence[str], labels: Flags, values: F32) -> dict[str, Any]:
    """Return the bias metrics of Borkan et al. 2019 over the identities of madlibs.

    Subgroup: AUC within the texts that name an identity; BPSN: harmless texts of it against toxic ones of the others;
    BNSP: toxic texts of it against harmless ones of the others. The gap is that of an identity's AUC to the overall's.
    """
    words = [set(re.findall(r"[a-z]+", text.lower())) for text in texts]
    named = {name: np.array([name in held for held in words]) for name in IDENTITIES}
    overall = auc(labels, values)
    found: dict[str, dict[str, float]] = {}
    for name, member in named.items():
        if min((member & labels).sum(), (member & ~labels).sum()) < _LEAST_SUBGROUP:
            continue
        sets = {
            "subgroup": member,
            "bpsn": (member & ~labels) | (~member & labels),
            "bnsp": (member & labels) | (~member & ~labels),
        }
        found[name] = {kind: round(auc(labels[held], values[held]), 4) for kind, held in sets.items()}
    worst = {kind: min((found[name][kind], name) for name in found) for kind in ("subgroup", "bpsn", "bnsp")}
    return {
        "n": len(labels),
        "identities": len(found),
        "overall_auc": round(overall, 4),
        "worst": worst,
        "largest_gap": {kind: round(max(abs(overall - found[name][kind]) for name in found), 4) for kind in worst},
    }


_NAMES = (
    "lesbian gay bisexual transgender trans queer lgbt lgbtq homosexual straight heterosexual male female nonbinary "
    "african american black white european hispanic latino latina latinx mexican canadian asian indian middle eastern "
    "chinese japanese christian muslim jewish buddhist catholic protestant sikh taoist old older young younger "
    "teenage millenial elderly blind deaf paralyzed"
)
IDENTITIES = tuple(_NAMES.split())
"""The identities that madlibs names."""


def benign_flags(detector: Toxicity, encoder: Encoder, texts: Sequence[str]) -> dict[str, Any]:
    """Return how many presumed harmless texts reach the threshold, and the highest."""
    values = scores(detector, encoder, texts)
    threshold = detector.emits["toxicity.output"]
    highest = [[round(float(values[i]), 3), texts[i][:100]] for i in np.argsort(-values)[:8]]
    flags = int((values >= threshold).sum())
    return {"n": len(texts), "flags": flags, "rate": round(flags / len(texts), 5), "highest": highest}


def report(folder: Path, work: Path, *, left_out: bool) -> dict[str, Any]:
    """Return every figure of MODEL_CARD.md; those of ``left_out`` families need a fit each."""
    detector, encoder = Toxicity(), KeptEncoder(production_encoder(), work)
    threshold = detector.emits["toxicity.output"]
    found: dict[str, Any] = {"threshold": threshold, "held out": {}, "family left out": {}}
    pooled: list[tuple[Flags, F32]] = []
    for name, examples in families(folder).items():
        values = scores(detector, encoder, examples.texts)
        found["held out"][name] = summary(examples.labels, values, threshold)
        if name != "hatecheck":
            pooled.append((examples.labels, values))
        if left_out and name in TRAINED_ON:
            other = scores(fit_without(folder, name, work), encoder, examples.texts)
            found["family left out"][name] = summary(examples.labels, other, threshold)
    labels, values = (np.concatenate(part) for part in zip(*pooled, strict=True))
    found["ece of all held out"] = interval(labels, values, calibration_error)
    rows = corpus.madlibs(folder, 20_000)[corpus.MADLIBS :]
    texts = [row.text for row in rows]
    found["madlibs bias"] = bias(texts, np.array([row.toxic for row in rows]), scores(detector, encoder, texts))
    for field in ("output", "instruction"):
        found[f"benign: alpaca_eval {field}"] = benign_flags(detector, encoder, corpus.alpaca(folder, field))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--left-out", action="store_true", help="fit without each family, too: minutes each")
    options = parser.parse_args(arguments)
    print(json.dumps(report(options.folder, options.work, left_out=options.left_out), indent=1))


if __name__ == "__main__":
    main()
