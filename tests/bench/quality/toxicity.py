"""Toxicity on families that the detector was not fitted on, on HateCheck, on identities, and on benign answers.

python -m tests.bench.quality.toxicity [--data FOLDER] [--work FOLDER] [--rows 3000] [--output DIR]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from inferwatch.detectors.base import Detector, Encoder
from inferwatch.detectors.evaluation.quality import quality
from inferwatch.detectors.evaluation.ranking import Labels
from inferwatch.detectors.evaluation.thresholds import operating
from inferwatch.detectors.toxicity.train import families, fit_without
from inferwatch.schemas.metrics import wilson
from tests.bench.encoding import describe
from tests.bench.machine import machine, write
from tests.bench.quality import scoring, sets
from tests.bench.quality.arguments import arguments, plain
from tests.bench.quality.bias import bias
from tests.bench.quality.recalibrated import recalibrated
from tests.bench.quality.results import OWN
from tests.bench.quality.rivals import THRESHOLDS, Rivals

HATECHECK, MADLIBS = "hatecheck", "madlibs"


def main() -> None:
    options = arguments(__doc__)
    about = machine()
    data, work = sets.need(options.data), options.work / "toxicity"
    encoder, rivals = scoring.encoder(), Rivals()
    known = families(data)
    fitted: dict[str, Detector] = {}

    def without(name: str) -> Detector:
        left_out = name if name in known else ""
        if left_out not in fitted:
            print(f"toxicity without {left_out or 'nothing'}", flush=True)
            fitted[left_out] = fit_without(data, left_out, work)
        return fitted[left_out]

    held_out, within = {}, {}
    for name, examples in known.items():
        if name != HATECHECK:
            rows = sets.some(examples.texts, options.rows)
            texts = tuple(examples.texts[row] for row in rows)
            held_out[name] = judged(texts, examples.labels[rows], without(name), encoder, rivals, options.draws)
            within[name] = judged(texts, examples.labels[rows], without(""), encoder, None, options.draws)
            print(f"{name}: {held_out[name]['methods'][OWN].get('auc', 'one label only')}", flush=True)
    cases, labels, functions = sets.hatecheck(data)
    rows = sets.some(cases, max(options.rows, 4000) if options.rows >= 1000 else options.rows)
    cases, labels = tuple(cases[row] for row in rows), labels[rows]
    check = judged(cases, labels, without(HATECHECK), encoder, rivals, options.draws)
    functions = tuple(functions[row] for row in rows)
    identities = sets.madlibs(data, options.madlibs)
    benign = sets.answers(data, options.answers_share)
    write(
        "toxicity",
        {
            "machine": about,
            "encoder": describe(encoder),
            "rows": options.rows,
            "draws": options.draws,
            "missing": rivals.missing,
            "families": held_out,
            "within": within,
            "hatecheck": check,
            "functions": _functions(functions, cases, labels, without(HATECHECK), encoder),
            "bias": {
                name: bias(
                    identities, scoring.toxicity(without(left_out), encoder, identities.texts).values, options.draws
                )
                for name, left_out in {"madlibs left out": MADLIBS, "all": ""}.items()
            },
            "benign": _benign(benign, scoring.toxicity(without(""), encoder, benign), rivals),
            "versions": rivals.versions,
        },
        options.output,
    )


def judged(
    texts: Sequence[str], labels: Labels, detector: Detector, encoder: Encoder, rivals: Rivals | None, draws: int
) -> dict[str, Any]:
    """Return what every method is worth on (n,) labelled texts; ranking only where there are both labels."""
    own = scoring.toxicity(detector, encoder, texts)
    both = 0 < labels.sum() < len(labels)
    found: dict[str, Any] = {"n": len(labels), "bad": int(labels.sum()), "coverage": own.coverage, "methods": {}}
    for method, values in {OWN: own.values, **(rivals.score(texts) if rivals else {})}.items():
        at = operating(labels, values, np.ones(len(values)), THRESHOLDS.get(method, own.threshold))
        found["methods"][method] = (quality(labels, values, draws=draws).as_json() if both else {}) | {"at": plain(at)}
    found["recalibrated"] = recalibrated(labels, own.values)
    return found


def _functions(
    functions: tuple[str, ...], cases: tuple[str, ...], labels: Labels, detector: Detector, encoder: Encoder
) -> dict[str, Any]:
    """Return each functional test of HateCheck: whether its cases are hateful, how many, and the share flagged."""
    said = scoring.toxicity(detector, encoder, cases)
    names = np.array(functions)
    return {
        name: {
            "hateful": bool(labels[names == name][0]),
            "n": int((names == name).sum()),
            "flagged": float((said.values[names == name] >= said.threshold).mean()),
        }
        for name in sorted(set(functions))
    }


def _benign(texts: tuple[str, ...], own: scoring.Said, rivals: Rivals) -> dict[str, Any]:
    """Return the share of benign answers that each method flags, with Wilson's interval."""
    found = {}
    for method, values in {OWN: own.values, **rivals.score(texts)}.items():
        hits = int((values >= THRESHOLDS.get(method, own.threshold)).sum())
        low, high = wilson(hits, len(values))
        found[method] = {"n": len(values), "flagged": hits, "rate": hits / len(values), "low": low, "high": high}
    return found


if __name__ == "__main__":
    main()
