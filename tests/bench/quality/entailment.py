"""The cross-encoder alone and beside the features, on families that neither was fitted on.

    python -m tests.bench.quality.entailment [--data FOLDER] [--work FOLDER] [--public FOLDER] [--output DIR]

The cross-encoder is trained without each family by the committed program, unless WORK/entailment holds what it left
there; from the start that takes a GPU some minutes and two cores a day. Which candidate counts, and where the two
judgements meet, is decided by the other families.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.evaluation.bootstrap import bootstrap
from inferwatch.detectors.evaluation.quality import quality
from inferwatch.detectors.evaluation.ranking import F64, Ranked
from inferwatch.detectors.hallucination.corpora import families
from inferwatch.detectors.hallucination.entailment import train
from inferwatch.detectors.hallucination.entailment.calibration import Calibration, Claims, worst
from inferwatch.detectors.hallucination.entailment.detector import SCORE, Entailment
from inferwatch.detectors.hallucination.entailment.fit import UNITS
from tests.bench.machine import machine, write
from tests.bench.quality import sets
from tests.bench.quality.arguments import arguments, plain
from tests.bench.quality.grounding import SUMMEDITS, Set, contexts_of, summedits
from tests.bench.quality.recalibrated import recalibrated
from tests.bench.quality.results import BOTH, CROSS, FEATURES, WRITTEN_HERE


def main() -> None:
    options = arguments(__doc__)
    about = machine()
    data = sets.need(options.data)
    judged = train.judged(data, options.work / "entailment", options.public)
    groups = {name: contexts_of(examples.items) for name, examples in families(data).items()}
    found, chosen, beside = {}, {}, {}
    for unit, names in UNITS.items():
        if unit:
            key = train.choose(judged, unit)
            meet = Calibration.fit(train.teachers(judged[key], unit))
            scaled = {name: _set(own, meet, groups[name]) for name, own in judged[key].items()}
            found |= {name: scaled[name] for name in names}
            chosen |= dict.fromkeys(names, key)
            beside |= {name: {k: one for k, one in scaled.items() if k.startswith(SUMMEDITS)} for name in names}
    others = {name: one for name, one in found.items() if name not in WRITTEN_HERE}
    write(
        "entailment",
        {
            "machine": about,
            "draws": options.draws,
            "families": {name: _measured(one, options.draws) | {"chosen": chosen[name]} for name, one in found.items()},
            "gain": _gain(others, options.draws),
            "packaged": train.choose(judged, ""),
            "summedits": summedits(
                {k: one for k, one in found.items() if k.startswith(SUMMEDITS)}, options.draws, beside
            ),
        },
        options.output,
    )


def _set(judged: Claims, meet: Calibration, groups: npt.NDArray[np.int64]) -> Set:
    alone = meet.cross_slope * judged.cross + meet.cross_shift
    scores = {
        FEATURES: judged.cheap,
        CROSS: (1 / (1 + np.exp(-alone))).astype(np.float32),
        BOTH: meet(judged.cheap, judged.cross),
    }
    return Set(
        judged.labels,
        groups,
        {method: worst(judged, values).astype(np.float32) for method, values in scores.items()},
        1.0,
        Entailment.emits[SCORE],
    )


def _measured(one: Set, draws: int) -> dict[str, Any]:
    methods = {
        method: quality(one.labels, values, groups=one.groups, draws=draws).as_json()
        for method, values in one.scores.items()
    }
    return {
        "n": len(one.labels),
        "bad": int(one.labels.sum()),
        "methods": methods,
        "recalibrated": recalibrated(one.labels, one.scores[BOTH]),
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
