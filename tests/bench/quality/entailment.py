"""The cross-encoder alone and beside the features, on families that neither was fitted on.

    python -m tests.bench.quality.entailment [--data FOLDER] [--work FOLDER] [--output DIR]

The cross-encoder is trained for each half of the families by the committed program, unless WORK/entailment holds what
it left there; from the start that takes one core about an hour. Where the two judgements meet is decided by the other
families of the half that was left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32
from inferwatch.detectors.encoder.load import load_encoder
from inferwatch.detectors.evaluation.bootstrap import bootstrap
from inferwatch.detectors.evaluation.quality import quality
from inferwatch.detectors.evaluation.ranking import F64, Ranked
from inferwatch.detectors.hallucination.corpora import Examples, families, others
from inferwatch.detectors.hallucination.entailment import train
from inferwatch.detectors.hallucination.entailment.calibration import Calibration, Claims
from inferwatch.schemas.settings import EncoderSettings
from tests.bench.machine import machine, write
from tests.bench.quality import sets
from tests.bench.quality.arguments import arguments, plain
from tests.bench.quality.grounding import SUMMEDITS, Set, summedits
from tests.bench.quality.results import WRITTEN_HERE

FEATURES, CROSS, BOTH = "features", "cross-encoder", "both"


def main() -> None:
    options = arguments(__doc__)
    about = machine()
    data, work = sets.need(options.data), options.work / "entailment"
    own = families(data)
    if not all((work / f"left-out-{name}.npz").exists() for name in own):
        train.main([str(data), str(work), "--out", str(work / "entailment.npz")])
    found = {name: one for half in train.HALVES.values() for name, one in _half(half, own, data, work).items()}
    write(
        "entailment",
        {
            "machine": about,
            "draws": options.draws,
            "families": {name: _measured(found[name], options.draws) for name in own},
            "gain": _gain({name: one for name, one in found.items() if name not in WRITTEN_HERE}, options.draws),
            "summedits": summedits({k: one for k, one in found.items() if k.startswith(SUMMEDITS)}, options.draws),
        },
        options.output,
    )


def _half(half: tuple[str, ...], own: Mapping[str, Examples], data: Path, work: Path) -> dict[str, Set]:
    encoder = load_encoder(EncoderSettings(backend="onnx-int8"))
    claims = {name: train.left_out_claims(name, own[name], data, work, encoder) for name in half}
    found = {}
    for name in half:
        teachers = [claims[other] for other in others(half, name) if other not in WRITTEN_HERE]
        meet = Calibration.fit(teachers)
        judged = claims[name]
        alone = meet.cross_slope * judged.cross + meet.cross_shift
        scores = {
            FEATURES: _worst(judged, judged.cheap),
            CROSS: _worst(judged, (1 / (1 + np.exp(-alone))).astype(np.float32)),
            BOTH: _worst(judged, Calibration(meet.cross_slope, meet.cross_shift, 1.0, 0.0)(judged.cheap, judged.cross)),
        }
        items = own[name].items
        known = {contexts: place for place, contexts in enumerate(dict.fromkeys(item.contexts for item in items))}
        groups = np.array([known[item.contexts] for item in items], np.int64)
        found[name] = Set(judged.labels, groups, scores, 1.0, 0.6)
    return found


def _worst(judged: Claims, values: F32) -> F32:
    found: F32 = np.zeros(len(judged.labels), np.float32)
    np.maximum.at(found, judged.owners, values)
    return found


def _measured(one: Set, draws: int) -> dict[str, Any]:
    methods = {
        method: quality(one.labels, values, groups=one.groups, draws=draws).as_json()
        for method, values in one.scores.items()
    }
    return {
        "n": len(one.labels),
        "bad": int(one.labels.sum()),
        "methods": methods,
        "gain": plain(_gain_of(one, draws)[0]),
    }


def _gain_of(one: Set, draws: int) -> tuple[Any, F64]:
    """Return by how much the area grows from the features alone to both, paired, and its draws."""

    def grown(weights: F64) -> F64:
        before, after = (Ranked(one.labels, one.scores[key]).curve(weights).area for key in (FEATURES, BOTH))
        return np.array([after - before])

    (estimate,), drawn = bootstrap(grown, np.ones(len(one.labels)), one.groups, draws=draws)
    return estimate, drawn[:, 0]


def _gain(found: Mapping[str, Set], draws: int) -> dict[str, float]:
    estimates, drawn = zip(*(_gain_of(one, draws) for one in found.values()), strict=True)
    low, high = np.nanquantile(np.mean(drawn, axis=0), (0.025, 0.975))
    mean = float(np.mean([estimate.value for estimate in estimates]))
    return {"value": round(mean, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


if __name__ == "__main__":
    main()
