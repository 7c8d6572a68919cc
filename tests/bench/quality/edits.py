"""One number or one name changed in an answer that its contexts support: is it seen, and is the original left alone?

    python -m tests.bench.quality.edits [--data FOLDER] [--work FOLDER] [--rows 3000] [--output DIR]

Every supported answer that has such a fact is scored as it is and changed, by the detector fitted without its family.
The threshold of a family is the lowest with the wanted precision on the other families' answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from inferwatch.detectors.base import F32, Item
from inferwatch.detectors.evaluation.quality import quality
from inferwatch.detectors.evaluation.ranking import Labels
from inferwatch.detectors.evaluation.thresholds import operating, propose
from inferwatch.detectors.hallucination.edits import change, name_pool
from inferwatch.detectors.hallucination.fit import families, fit_without
from tests.bench.machine import machine, write
from tests.bench.quality import scoring, sets
from tests.bench.quality.arguments import arguments, plain
from tests.bench.quality.grounding import SCORE

SEED = 20261125
KINDS = ("number", "name", "number_in_context", "name_in_context", "date", "unit", "negation", "relation")
PRECISION = 0.9
Scored = dict[str, tuple[Labels, F32]]
"""Family -> labels and scores of originals and of what became of them."""


def main() -> None:
    options = arguments(__doc__)
    about = machine()
    data, work = sets.need(options.data), options.work / "grounding"
    encoder = scoring.encoder()
    scored: dict[str, Scored] = {kind: {} for kind in KINDS}
    threshold = 0.0
    for name, examples in families(data).items():
        detector = fit_without(data, name, work)
        good = [item for item, bad in zip(examples.items, examples.labels, strict=True) if not bad]
        good = [good[row] for row in sets.some([item.output for item in good], options.rows // 6)]
        pool = name_pool([item.output for item in good])
        threshold = detector.emits[SCORE]
        for kind in KINDS:
            pairs = changed(good, kind, pool)
            if pairs:
                items = [item for pair in pairs for item in pair]
                said = scoring.score(detector, encoder, items, SCORE)
                scored[kind][name] = (np.arange(len(items)) % 2 == 1, said.values)
        print(
            f"{name}: {', '.join(f'{kind} {len(scored[kind].get(name, ((),))[0]) // 2}' for kind in KINDS)}", flush=True
        )
    found = {kind: judged(own, threshold, options.draws) for kind, own in scored.items() if own}
    write("edits", {"machine": about, "precision": PRECISION, "kinds": found}, options.output)


def changed(items: list[Item], kind: str, pool: list[str]) -> list[tuple[Item, Item]]:
    """Return the items that can be changed, and what becomes of each."""
    rng = np.random.default_rng(SEED)
    pairs = []
    for item in items:
        edit = change(item.output, item.contexts, kind, pool, rng)
        if edit is not None:
            pairs.append((item, Item(item.input, edit.text, item.contexts)))
    return pairs


def judged(own: Scored, threshold: float, draws: int) -> dict[str, Any]:
    """Return what is found of one kind: ranking, at the detector's threshold, and at those of the other families."""
    labels = np.concatenate([one for one, _ in own.values()])
    values = np.concatenate([one for _, one in own.values()])
    groups = np.arange(len(labels)) // 2
    found: dict[str, Any] = {
        "pairs": len(labels) // 2,
        "families": {name: len(one) // 2 for name, (one, _) in own.items()},
        "quality": quality(labels, values, groups=groups, draws=draws).as_json(),
        "at": plain(operating(labels, values, np.ones(len(values)), threshold)),
    }
    if len(own) > 1:
        # Where the others cannot reach the precision nothing is flagged: above every score.
        marks = []
        for name, (one, _) in own.items():
            rest = [pair for key, pair in own.items() if key != name]
            rows = np.concatenate([a for a, _ in rest]), np.concatenate([b for _, b in rest])
            reached = propose(*rows, np.ones(len(rows[0])), PRECISION).reached
            marks.append(np.full(len(one), 1.0 if reached is None else reached.threshold))
        limits = np.concatenate(marks)
        flags = (values >= limits) & (limits < 1)
        at = plain(operating(labels, flags.astype(np.float32), np.ones(len(flags)), 1.0))
        found["at_others"] = {key: at[key] for key in ("flagged", "precision", "recall", "false_flags")}
    return found


if __name__ == "__main__":
    main()
