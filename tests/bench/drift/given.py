"""Outputs given their inputs: how much of outputs is left, and how often nothing is called drift.

Windows and references are drawn as in ``false_alarms``, of the same outputs.

    python -m tests.bench.drift.given [--windows 1000] [--data FILE] [--output DIR]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from inferwatch.detectors.base import F32
from tests.bench.drift.false_alarms import LEVELS, REFERENCE, p_values, rates
from tests.bench.drift.logs import DATA, load
from tests.bench.drift.parallel import each
from tests.bench.drift.results import FOLDER
from tests.bench.machine import machine, write


def variance(vectors: F32) -> float:
    """Return the mean squared distance of (n, dim) vectors from their mean."""
    return float(np.square(vectors - vectors.mean(axis=0)).sum(axis=1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    about = machine()
    pool = load(options.data)
    left = {
        name: variance(pool.vectors[given]) / variance(pool.vectors[own])
        for name, own, given in zip(pool.generators, pool.table, pool.given, strict=True)
    }
    print({name: round(share, 3) for name, share in left.items()}, flush=True)
    tasks = [(pool.given.ravel(), at) for at in range(options.windows)]
    found = rates(np.array(each(p_values, pool.vectors, tasks)))
    print({n: one["rate"] for n, one in found[str(LEVELS[0])].items()}, flush=True)
    write(
        "given",
        {
            "machine": about,
            "encoder": pool.revision,
            "data": pool.file,
            "reference_rows": REFERENCE,
            "windows": options.windows,
            "variance_left": left,
            "rates": found,
        },
        options.output,
    )


if __name__ == "__main__":
    main()
