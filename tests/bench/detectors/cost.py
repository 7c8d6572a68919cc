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
from pathlib import Path

import numpy as np

from inferwatch.detectors.base import Batch, Item
from inferwatch.detectors.registry import known_detectors, load_detectors

_BATCH = 64


def cost(items: list[Item], passes: int) -> dict[str, dict[str, float]]:
    """Return detector -> microseconds an item (median over passes), and extra texts an item."""
    found: dict[str, dict[str, float]] = {}
    for detector in load_detectors(known_detectors()):
        named = [list(detector.texts(item)) for item in items]
        wanted = list(dict.fromkeys(text for texts in named for text in texts))
        vectors = np.random.default_rng(0).normal(size=(max(len(wanted), 1), 384)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        index = {text: row for row, text in enumerate(wanted)}
        seen = []
        for _ in range(passes):
            fresh = [Item(item.input, item.output, item.contexts) for item in items]  # nothing kept from the last pass
            started = time.process_time()
            for start in range(0, len(fresh), _BATCH):
                detector.score(Batch(fresh[start : start + _BATCH], index, vectors))
            seen.append((time.process_time() - started) / len(items) * 1e6)
        shared = {text for item in items for text in (item.input, item.output)}
        found[detector.name] = {
            "us_per_item": round(statistics.median(seen), 1),
            "texts_beside_input_and_output": round(sum(text not in shared for text in wanted) / len(items), 2),
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
    texts = [Item(row["instruction"], row["output"], (row["instruction"],)) for row in rows[::step][: options.rows]]
    print(json.dumps(cost(texts, options.passes), indent=1))
