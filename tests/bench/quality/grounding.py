"""Hallucination on families that the detector was not fitted on, and SummEdits with thresholds of the other domains.

python -m tests.bench.quality.grounding [--data FOLDER] [--work FOLDER] [--rows 3000] [--output DIR]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32, Detector, Encoder, Item
from inferwatch.detectors.evaluation.bootstrap import bootstrap
from inferwatch.detectors.evaluation.quality import quality
from inferwatch.detectors.evaluation.ranking import F64, Labels, Ranked
from inferwatch.detectors.evaluation.thresholds import operating
from inferwatch.detectors.hallucination.corpora import FOLDS
from inferwatch.detectors.hallucination.fit import (
    Examples,
    answer_weights,
    families,
    fit_without,
    fit_without_contexts,
    in_part,
)
from tests.bench.encoding import describe
from tests.bench.machine import machine, write
from tests.bench.quality import scoring, sets
from tests.bench.quality.arguments import arguments, plain
from tests.bench.quality.recalibrated import recalibrated
from tests.bench.quality.results import OWN, WRITTEN_HERE
from tests.bench.quality.training_free import training_free

SUMMEDITS = "summedits"
SCORE = "hallucination"


@dataclass(frozen=True)
class Set:
    """One family: (n,) labels, the number of the contexts that a row shares with others, and scores by method."""

    labels: Labels
    groups: npt.NDArray[np.int64]
    scores: dict[str, F32]
    coverage: float
    threshold: float


def main() -> None:
    options = arguments(__doc__)
    about = machine()
    data, work = sets.need(options.data), options.work / "grounding"
    encoder = scoring.encoder()
    known = {name: _some(examples, options.rows) for name, examples in families(data).items()}
    found: dict[str, Set] = {}
    for name, examples in known.items():
        print(f"hallucination without {name}", flush=True)
        said = scoring.score(fit_without(data, name, work), encoder, examples.items, SCORE)
        found[name] = _set(examples.items, examples.labels, said, encoder)
    print("hallucination without a fifth of the contexts", flush=True)
    parts = [fit_without_contexts(data, fold, work) for fold in range(FOLDS)]
    write(
        "grounding",
        {
            "machine": about,
            "encoder": describe(encoder),
            "rows": options.rows,
            "draws": options.draws,
            "families": {name: _measured(one, options.draws) for name, one in found.items()},
            "within": within(
                {name: own for name, own in known.items() if name not in WRITTEN_HERE}, parts, encoder, options.draws
            ),
            "summedits": summedits({k: one for k, one in found.items() if k.startswith(SUMMEDITS)}, options.draws),
        },
        options.output,
    )


def _some(examples: Examples, most: int) -> Examples:
    rows = sets.some([item.output + "\0" + "\0".join(item.contexts) for item in examples.items], most)
    return Examples(tuple(examples.items[row] for row in rows), examples.labels[rows])


def within(known: Mapping[str, Examples], parts: Sequence[Detector], encoder: Encoder, draws: int) -> dict[str, Any]:
    """Return what the recipe is worth on answers whose contexts it has not seen, of all families together.

    Each answer is scored by the detector of ``parts`` that was fitted without it: once with the weights that the
    probability is fitted to, once every answer counting the same.
    """
    labels = np.concatenate([own.labels for own in known.values()])
    weights = np.concatenate([answer_weights(name, own.labels) for name, own in known.items()])
    items = [item for own in known.values() for item in own.items]
    values = np.empty(len(items), np.float32)
    for fold, detector in enumerate(parts):
        own = np.concatenate([in_part(examples, fold) for examples in known.values()])
        values[own] = scoring.score(detector, encoder, [items[row] for row in np.flatnonzero(own)], SCORE).values
    groups = contexts_of(items)
    as_fitted = quality(labels, values, weights * len(weights) / weights.sum(), groups, draws=draws)
    return {
        "as_fitted": as_fitted.as_json(),
        "each_answer": quality(labels, values, groups=groups, draws=draws).as_json(),
    }


def contexts_of(items: Sequence[Item]) -> npt.NDArray[np.int64]:
    """Return (n,) the number of the contexts of each item."""
    known = {contexts: place for place, contexts in enumerate(dict.fromkeys(item.contexts for item in items))}
    return np.array([known[item.contexts] for item in items], np.int64)


def _set(items: Sequence[Item], labels: Labels, said: scoring.Said, encoder: Encoder) -> Set:
    scores = {OWN: said.values, **training_free(items, encoder)}
    return Set(labels, contexts_of(items), scores, said.coverage, said.threshold)


def _measured(one: Set, draws: int) -> dict[str, Any]:
    methods = {}
    for method, values in one.scores.items():
        methods[method] = quality(one.labels, values, groups=one.groups, draws=draws).as_json()
    own = one.scores[OWN]
    methods[OWN]["at"] = plain(operating(one.labels, own, np.ones(len(own)), one.threshold))
    return {
        "n": len(own),
        "bad": int(one.labels.sum()),
        "groups": int(one.groups.max()) + 1,
        "coverage": one.coverage,
        "methods": methods,
        "recalibrated": recalibrated(one.labels, own),
    }


def summedits(
    domains: Mapping[str, Set], draws: int, beside: Mapping[str, Mapping[str, Set]] | None = None
) -> dict[str, Any]:
    """Return balanced accuracy of each domain at the threshold that is best on the others, and the mean over domains.

    Domains weigh the same in the choice. The interval of the mean is over documents, within domains. ``beside`` holds
    for each domain the others on its scale, where scales differ.
    """
    if len(domains) < 2:
        return {}
    found: dict[str, Any] = {}
    for method in next(iter(domains.values())).scores:
        by_domain, drawn = {}, []
        for name, one in domains.items():
            others = domains if beside is None else beside[name]
            threshold = _best([other for key, other in others.items() if key != name], method)
            flagged = one.scores[method] >= threshold

            def balanced(weights: F64, flagged: Any = flagged, labels: Labels = one.labels) -> F64:
                sides = (weights[labels], flagged[labels]), (weights[~labels], ~flagged[~labels])
                shares = [(own * right).sum() / own.sum() if own.sum() else np.nan for own, right in sides]
                return np.array([np.mean(shares)])

            (estimate,), draws_of = bootstrap(balanced, np.ones(len(flagged)), one.groups, draws=draws)
            by_domain[name] = plain(estimate) | {"threshold": round(threshold, 4), "n": len(flagged)}
            drawn.append(draws_of[:, 0])
        mean = float(np.mean([one["value"] for one in by_domain.values()]))
        low, high = np.nanquantile(np.mean(drawn, axis=0), (0.025, 0.975))
        found[method] = {"mean": {"value": mean, "low": float(low), "high": float(high)}, "domains": by_domain}
    return found


def _best(others: Sequence[Set], method: str) -> float:
    values = np.concatenate([one.scores[method] for one in others])
    labels = np.concatenate([one.labels for one in others])
    weights = np.concatenate([np.full(len(one.labels), 1 / len(one.labels)) for one in others])
    return Ranked(labels, values).curve(weights).balanced()[0]


if __name__ == "__main__":
    main()
