"""How many single-fact edits are caught.

``python -m inferwatch.detectors.hallucination.measure_edits DATA --work DIR``

Supported answers of each family, and the same answers with one fact changed (edits.py), scored by the exact rules alone
and by the detector fitted without that family. Precision counts an edit and its original once each.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32, Batch, Encoder, Item
from inferwatch.detectors.encoder.cache import CachedEncoder
from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder
from inferwatch.detectors.hallucination.corpora import Examples, families
from inferwatch.detectors.hallucination.detector import Hallucination
from inferwatch.detectors.hallucination.edits import KINDS, change, name_pool
from inferwatch.detectors.hallucination.fit import fit_without
from inferwatch.detectors.hallucination.grounding import known_of, read
from inferwatch.detectors.hallucination.mismatches import mismatches

_SEED = 20261126
_PRECISION = 0.9


def edited(own: Examples, pool: Sequence[str], kind: str, rng: np.random.Generator) -> list[tuple[Item, Item]]:
    """Return the supported answers that have such a fact, each with its changed copy."""
    found = []
    for item, wrong in zip(own.items, own.labels, strict=True):
        edit = None if wrong else change(item.output, item.contexts, kind, pool, rng)
        if edit is not None:
            copy = Item(item.input, edit.text, item.contexts)
            if read(item).claims and read(copy).claims:
                found.append((item, copy))
    return found


def exact(items: Sequence[Item]) -> F32:
    """Return 1 for each item of which some claim has an exact mismatch."""
    flagged = [any(mismatches(claim, known_of(item, read(item))) for claim in read(item).claims) for item in items]
    return np.array(flagged, np.float32)


def figures(right: F32, wrong: F32, threshold: float) -> dict[str, float]:
    """Return recall and precision at ``threshold``, and the recall at the lowest threshold of 90 % precision."""
    hits, false = int((wrong >= threshold).sum()), int((right >= threshold).sum())
    best = 0.0
    for at in np.unique(np.concatenate([right, wrong])):
        caught, missed = int((wrong >= at).sum()), int((right >= at).sum())
        if at > 0 and caught >= _PRECISION * (caught + missed):
            best = max(best, caught / len(wrong))
    return {
        "n": len(wrong),
        "recall": round(hits / len(wrong), 3),
        "precision": round(hits / max(1, hits + false), 3),
        "recall_at_90_precision": round(best, 3),
    }


def report(
    found: Mapping[str, Examples], detectors: Mapping[str, Hallucination], encoder: Encoder
) -> dict[str, dict[str, Any]]:
    """Return the figures by kind of edit and family, and of all families together."""
    rng = np.random.default_rng(_SEED)
    pool = name_pool([context for own in found.values() for item in own.items for context in item.contexts])
    made = {(kind, name): edited(own, pool, kind, rng) for kind in KINDS for name, own in found.items()}
    result: dict[str, dict[str, Any]] = defaultdict(dict)
    for kind in KINDS:
        parts: list[tuple[F32, F32, F32, F32]] = []
        for name in found:
            pairs = made[kind, name]
            if pairs:
                right, wrong = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
                scores = [_scores(detectors[name], items, encoder) for items in (right, wrong)]
                parts.append((exact(right), exact(wrong), scores[0], scores[1]))
                result[kind][name] = _both(parts[-1:])
        if parts:
            result[kind]["all"] = _both(parts)
    return dict(result)


def _scores(detector: Hallucination, items: Sequence[Item], encoder: Encoder) -> F32:
    return detector.score(Batch.encode(items, [detector], encoder))[0].values


def _both(parts: Sequence[tuple[F32, F32, F32, F32]]) -> dict[str, dict[str, float]]:
    rules_right, rules_wrong, right, wrong = (np.concatenate([part[place] for part in parts]) for place in range(4))
    threshold = Hallucination.emits["hallucination"]
    return {"exact": figures(rules_right, rules_wrong, 1), "score": figures(right, wrong, threshold)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="where fitted weights are kept")
    options = parser.parse_args(arguments)
    found = families(options.folder)
    detectors = {name: fit_without(options.folder, name, options.work) for name in found}
    encoder = CachedEncoder(SentenceTransformerEncoder(threads=1), 50_000)
    print(json.dumps(report(found, detectors, encoder)))


if __name__ == "__main__":
    main()
