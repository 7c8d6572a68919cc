"""How often a window is called drift in which nothing has changed, at window sizes from 50 to 5,000.

Every window has a reference of its own, freshly drawn: a rate over windows of one reference would be that
reference's. One reference faces one window of every size, so that within a size all windows are independent. Rows are
drawn with replacement from 8,050 real outputs and from a synthetic mixture: the pool is the population, and of 5,000
rows some come twice, in window and reference alike, as independent draws do.

The rivals' rates are those of their default rules, on the first of the same draws of real rows.

    python -m tests.bench.drift.false_alarms [--windows 1000] [--rival-windows 80] [--data FILE] [--output DIR]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32
from inferwatch.streams.references.firsts import ENOUGH
from tests.bench.drift.counting import rate
from tests.bench.drift.logs import DATA, Rows, load
from tests.bench.drift.own import F64, NAME, Own
from tests.bench.drift.parallel import each
from tests.bench.drift.results import FOLDER
from tests.bench.drift.rivals import Request, Rivals, joined
from tests.bench.machine import machine, write

SIZES = (50, 100, 250, 500, 1000, 2500, 5000)
RIVAL_SIZES = (50, 100, 250, 500)
LEVELS = (0.05, 0.01)
REFERENCE = ENOUGH
"""Rows of a reference: the fewest that the service freezes by itself, with which its null is hardest to get right."""
SEED = 11


def drawn(population: Rows, at: int, sizes: Sequence[int]) -> tuple[Rows, list[Rows]]:
    """Return reference number ``at`` and its null windows."""
    rng = np.random.default_rng([SEED, at])
    return rng.choice(population, REFERENCE), [rng.choice(population, n) for n in sizes]


def p_values(vectors: F32, task: tuple[Rows, int]) -> F64:
    """Return the (sizes,) p-values of reference number ``at`` of a population, the pair in ``task``."""
    reference, null = drawn(*task, SIZES)
    return Own(vectors[reference]).p_values([vectors[rows] for rows in null])


def rates(values: F64) -> dict[str, dict[str, dict[str, float]]]:
    """Return level -> size -> how often the (references, sizes) p-values are at most that."""
    return {
        str(level): {str(n): rate(int((values[:, at] <= level).sum()), len(values)) for at, n in enumerate(SIZES)}
        for level in LEVELS
    }


def rival_rates(population: Rows, windows: int, rivals: Rivals) -> dict[str, dict[str, dict[str, float]]]:
    """Return method -> size -> how often its default rule says drift."""
    found: dict[str, dict[str, dict[str, float]]] = {method: {} for method in rivals.methods}
    for number, n in enumerate(RIVAL_SIZES):
        draws = [drawn(population, at, SIZES) for at in range(windows)]
        requests = [Request(reference.tolist(), [null[number].tolist()]) for reference, null in draws]
        answers = rivals.each(requests, do="decide", methods=rivals.methods)
        for method in rivals.methods:
            found[method][str(n)] = rate(sum(joined(answers, method)), windows)
        print(f"rivals, n = {n}: {windows} windows", flush=True)
    return found


def worst(found: dict[str, Any]) -> dict[str, Any]:
    """Return the size and pool whose rate at the first level is furthest from it, in standard errors."""
    level = LEVELS[0]
    every = [
        {"pool": pool, "n": int(n), **{key: one[key] for key in ("rate", "low", "high", "of")}}
        for pool, rates in found.items()
        for n, one in rates[NAME][str(level)].items()
    ]
    return max(every, key=lambda one: abs(one["rate"] - level) * np.sqrt(one["of"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--rival-windows", type=int, default=80)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    about = machine()
    pool = load(options.data)
    found: dict[str, Any] = {}
    with Rivals(pool.vectors, os.cpu_count() or 1) as rivals:
        for name, population in (("real", pool.outputs), ("synthetic", pool.synthetic)):
            values = np.array(each(p_values, pool.vectors, [(population, at) for at in range(options.windows)]))
            print(f"{name}: {options.windows} references", flush=True)
            theirs = rival_rates(population, options.rival_windows, rivals) if name == "real" else {}
            found[name] = {NAME: rates(values), "rivals": theirs}
        rest = {"versions": rivals.versions, "missing": rivals.missing}
    far = worst(found)
    print(f"furthest from {LEVELS[0]}: {far['rate']:.4f} [{far['low']:.4f}, {far['high']:.4f}] at n = {far['n']}")
    write(
        "false_alarms",
        {
            "machine": about,
            "encoder": pool.revision,
            "data": pool.file,
            "reference_rows": REFERENCE,
            "windows": options.windows,
            **rest,
            "worst": far,
            "pools": found,
        },
        options.output,
    )


if __name__ == "__main__":
    main()
