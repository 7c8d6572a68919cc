"""How soon a change is found by the p-values of single windows, at a stated level: no rule over time, no run length.

The sudden changes of ``delay``, windows of as many rows against references of as many as by default. Each reference
faces windows without the change, too: how often those are below the level.

    python -m tests.bench.drift.level [--references 100] [--data FILE] [--output DIR]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32
from tests.bench.drift.counting import rate
from tests.bench.drift.delay import REFERENCE, ROWS, Change, changes
from tests.bench.drift.logs import DATA, load
from tests.bench.drift.own import F64, Own
from tests.bench.drift.parallel import each
from tests.bench.drift.results import FOLDER
from tests.bench.drift.scenarios import mixture
from tests.bench.machine import machine, write

LEVELS = (0.05, 0.01, 0.001)
WINDOWS = 3
SEED = 47
Task = tuple[Change, int, int]
"""The change, the rows of the reference, and which reference it is."""


def p_values(vectors: F32, task: Task) -> F64:
    """Return the p-values of windows without the change, and of the first windows with it: (2, ``WINDOWS``)."""
    (normal, novel, share), reference_rows, at = task
    rng = np.random.default_rng([SEED, at])
    own = Own(vectors[rng.choice(normal, reference_rows)])
    drawn = [mixture(rng, normal, novel, ROWS, part) for part in (0.0, share) for _ in range(WINDOWS)]
    return own.p_values([vectors[rows] for rows in drawn]).reshape(2, WINDOWS)


def summed_up(found: F64) -> dict[str, dict[str, Any]]:
    """Return for each level, of (references, 2, ``WINDOWS``) p-values: found within so many windows, and the null."""
    levels = {}
    for level in LEVELS:
        below = found <= level
        within = below[:, 1].cumsum(axis=1) > 0
        levels[str(level)] = {
            "null": rate(int(below[:, 0].sum()), below[:, 0].size),
            "within": {str(n): rate(int(within[:, n - 1].sum()), len(found)) for n in range(1, WINDOWS + 1)},
        }
    return levels


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--references", type=int, default=100)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    about = machine()
    pool = load(options.data)
    found = {}
    for name, change in changes(pool).items():
        tasks = [(change, REFERENCE, at) for at in range(options.references)]
        found[name] = summed_up(np.array(each(p_values, pool.vectors, tasks)))
        print(name, {level: one["within"]["2"]["rate"] for level, one in found[name].items()}, flush=True)
    write(
        "level",
        {
            "machine": about,
            "encoder": pool.revision,
            "data": pool.file,
            "rows": ROWS,
            "reference_rows": REFERENCE,
            "references": options.references,
            "found": found,
        },
        options.output,
    )


if __name__ == "__main__":
    main()
