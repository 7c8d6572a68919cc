"""The packaged cross-encoder in int8, as it is used, beside the same weights in float32: what is lost and what is won.

    python -m tests.bench.quality.int8 [--data FOLDER] [--rows 3000] [--rounds 5] [--output DIR]

The packaged weights have seen these families, so that no figure here says how good they are (``entailment`` does, on
weights that have not): only the difference between the two counts. Both read the same answers; time is one core's,
over the same pairs in turn.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from inferwatch.detectors.base import Batch, Encoder, Item
from inferwatch.detectors.encoder.bert_int8 import Bert
from inferwatch.detectors.encoder.folder import BUNDLED, model_folder
from inferwatch.detectors.evaluation.bootstrap import bootstrap
from inferwatch.detectors.evaluation.ranking import F64, Ranked
from inferwatch.detectors.hallucination.corpora import families
from inferwatch.detectors.hallucination.entailment.cross_encoder import (
    PACKAGED,
    CrossEncoder,
    Judge,
    float32_judge,
    int8_judge,
    load_weights,
)
from inferwatch.detectors.hallucination.entailment.detector import SCORE, Entailment
from inferwatch.detectors.hallucination.entailment.premise import premises
from inferwatch.detectors.hallucination.entailment.reader import Encoding, Reader
from inferwatch.detectors.hallucination.grounding import read
from tests.bench.machine import machine, write
from tests.bench.quality import scoring, sets
from tests.bench.quality.arguments import arguments, plain
from tests.bench.quality.grounding import contexts_of
from tests.bench.quality.results import WRITTEN_HERE

INT8, FLOAT32 = "int8", "float32"
TIMED = 150


def main() -> None:
    options = arguments(__doc__)
    about = machine()
    data = sets.need(options.data)
    encoder = scoring.encoder()
    source = model_folder(BUNDLED)
    weights = load_weights(source, PACKAGED)
    judges = {INT8: int8_judge(weights, Bert.read(source)), FLOAT32: float32_judge(weights, source)}
    reader = Reader(source)
    found, pairs = {}, []
    for name, examples in families(data).items():
        if name in WRITTEN_HERE:
            continue
        kept = sets.some([item.output for item in examples.items], max(8, options.rows // 15))
        items = [examples.items[row] for row in kept]
        values = {kind: _values(items, CrossEncoder(judge, reader), encoder) for kind, judge in judges.items()}
        found[name] = _measured(examples.labels[kept], contexts_of(items), values, options.draws)
        pairs += _pairs(items, reader, encoder)
        print(f"{name}: {found[name]}", flush=True)
    most = min(TIMED, options.rows // 4)
    timed = [pairs[place] for place in np.random.default_rng(1).permutation(len(pairs))[:most]]
    write(
        "int8",
        {
            "machine": about,
            "families": found,
            "pairs": len(timed),
            "tokens": statistics.median(len(pair.tokens) for pair in timed),
            "rounds": options.rounds,
            "milliseconds": timing(judges, timed, options.rounds),
        },
        options.output,
    )


def _values(items: Sequence[Item], cross: CrossEncoder, encoder: Encoder) -> F64:
    """Return (n,) what the detector says of ``items`` with one cross-encoder, NaN where it abstains."""
    detector = Entailment(cross)
    (scores,) = detector.score(Batch.encode(list(items), [detector], encoder))
    return scores.values.astype(np.float64)


def _measured(labels: Any, groups: Any, values: dict[str, F64], draws: int) -> dict[str, Any]:
    said = ~np.isnan(values[INT8])
    labels, groups = labels[said], groups[said]
    ours, theirs = values[INT8][said], values[FLOAT32][said]
    ranked = Ranked(labels, ours), Ranked(labels, theirs)

    def areas(weights: F64) -> F64:
        int8, float32 = (one.curve(weights).area for one in ranked)
        return np.array([int8, float32, int8 - float32])

    estimates, _ = bootstrap(areas, np.ones(len(labels)), groups, draws=draws)
    threshold = Entailment.emits[SCORE]
    return {
        "n": len(labels),
        "auc": {kind: plain(one) for kind, one in zip((INT8, FLOAT32, "difference"), estimates, strict=True)},
        "probability_differs_by": round(float(np.abs(ours - theirs).mean()), 4),
        "flagged_by_one_alone": round(float(((ours >= threshold) != (theirs >= threshold)).mean()), 4),
    }


def _pairs(items: Sequence[Item], reader: Reader, encoder: Encoder) -> list[Encoding]:
    """Return every pair that is read for ``items``."""
    found = []
    for item in items:
        own = read(item)
        if own.claims and own.sentences:
            cosines = encoder.encode(list(own.claims)) @ encoder.encode(list(own.sentences)).T
            for claim, near in zip(own.claims, cosines, strict=True):
                found += [reader.encode(premise, claim) for premise in premises(claim, own.sentences, near)]
    return found


def timing(judges: dict[str, Judge], pairs: Sequence[Encoding], rounds: int) -> dict[str, Any]:
    """Return what a pair takes of one core, by the rounds' median, and float32's share of it: sides take turns."""
    took: dict[str, list[float]] = {kind: [] for kind in judges}
    with threadpool_limits(1):
        for _ in range(rounds):
            for kind, judge in judges.items():
                start = time.process_time()
                for pair in pairs:
                    judge(pair)
                took[kind].append(1000 * (time.process_time() - start) / len(pairs))
    ratios = [slow / fast for slow, fast in zip(took[FLOAT32], took[INT8], strict=True)]
    return {kind: round(statistics.median(one), 2) for kind, one in took.items()} | {
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(one, 2) for one in ratios],
    }


if __name__ == "__main__":
    main()
