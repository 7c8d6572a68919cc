"""What each detector costs a text beside the encoder: ``python -m tests.bench.detectors.cost LOGS.jsonl.gz``.

LOGS has ``instruction`` and ``output`` on each line. Printed are microseconds of CPU time an inference, median of
repeated passes, with the vectors given; and how many more texts each detector has encoded than input and output.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from inferwatch.detectors.base import Batch, Item
from inferwatch.detectors.registry import known_detectors, load_detectors

_BATCH = 64


Row = tuple[str, str, tuple[str, ...]]
"""Input, output and contexts."""


def cost(rows: Sequence[Row], passes: int) -> dict[str, dict[str, float]]:
    """Return detector -> microseconds an item (median over passes), and extra texts an item."""
    found: dict[str, dict[str, float]] = {}
    for detector in load_detectors(known_detectors()):
        wanted = list(dict.fromkeys(text for row in rows for text in detector.texts(Item(*row))))
        vectors = np.random.default_rng(0).normal(size=(max(len(wanted), 1), 384)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        index = {text: row for row, text in enumerate(wanted)}
        seen = []
        for _ in range(passes):
            # New items: what a detector remembers of one is gone with the last of its equals.
            batches = [[Item(*row) for row in rows[start : start + _BATCH]] for start in range(0, len(rows), _BATCH)]
            started = time.process_time()
            for items in batches:
                for item in items:
                    list(detector.texts(item))
                detector.score(Batch(items, index, vectors))
            seen.append((time.process_time() - started) / len(rows) * 1e6)
            del batches, items, item
        shared = {text for row in rows for text in row[:2]}
        found[detector.name] = {
            "us_per_item": round(statistics.median(seen), 1),
            "texts_beside_input_and_output": round(sum(text not in shared for text in wanted) / len(rows), 2),
        }
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--passes", type=int, default=3)
    options = parser.parse_args()
    with gzip.open(options.logs, "rt", encoding="utf-8") as handle:
        rows = [json.loads(line) for line in handle]
    step = max(1, len(rows) // options.rows)
    chosen = [(row["instruction"], row["output"], (row["instruction"],)) for row in rows[::step][: options.rows]]
    with threadpool_limits(1):
        print(json.dumps(cost(chosen, options.passes), indent=1))
