"""Seconds and memory of one comparison of 5,000 with 5,000 vectors of 384 numbers, side by side in turn.

This project compares a window with a prepared reference, as its service does; preparing it, once a reference, is
measured beside. Evidently is run both ways its users have: its method's bare function, and the report with the metric
``EmbeddingsDrift``, which computes a projection (t-SNE) for its picture as well. alibi-detect: building the detector
and one prediction, permutations as by default. Every method has a process of its own, so that its largest resident
memory is its own; all get all cores. A method that has not answered after ``--limit`` seconds is stopped, and so
reported.

    python -m tests.bench.drift.speed [--rows 5000] [--rounds 5] [--rival-rounds 2] [--limit 120]
                                      [--data FILE] [--output DIR]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32
from tests.bench.drift.logs import DATA, load, synthetic
from tests.bench.drift.own import NAME, Own
from tests.bench.drift.results import FOLDER
from tests.bench.drift.rivals import Answer, Process, Request, Rivals
from tests.bench.machine import machine, peak_mib, write

REFERENCE, WINDOW = "reference", "window"


def own_side(vectors: F32, rows: int, rounds: int) -> dict[str, Any]:
    """Return seconds of preparing and of one window, and this process's peak memory."""
    reference, window = vectors[:rows], vectors[rows : 2 * rows]
    prepare, first, compare = [], [], []
    for at in range(rounds):
        # Other contents each time: nothing can be kept from the round before.
        old, new = np.roll(reference, at, axis=1), np.roll(window, at, axis=1)
        start = time.perf_counter()
        own = Own(old)
        own.prepare()
        prepared = time.perf_counter()
        own.p_value(new)
        first.append(time.perf_counter() - prepared)
        start_again = time.perf_counter()
        own.p_value(new[::-1])
        compare.append(time.perf_counter() - start_again)
        prepare.append(prepared - start)
    return {"prepare_s": prepare, "first_s": first, "seconds": compare, "peak_mib": peak_mib()}


def of_window(vectors: F32, sizes: Sequence[int]) -> dict[str, float]:
    """Return the median seconds of a window by its size, against a reference of 1,000 rows."""
    own = Own(vectors[:1000])
    own.prepare()
    found = {}
    for n in sizes:
        taken = []
        for at in range(5):
            window = vectors[1000 + at : 1000 + at + n]
            start = time.perf_counter()
            own.p_value(window)
            taken.append(time.perf_counter() - start)
        found[str(n)] = statistics.median(taken)
    return found


def timed(vectors: F32, methods: Sequence[str], rows: int, limit: float) -> Iterator[tuple[str, Answer | None]]:
    """Yield the seconds and the peak memory of each method, and of Evidently's reports after the bare functions.

    None for what took longer than ``limit`` seconds.
    """
    request = Request(range(rows), [range(rows, 2 * rows)])
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.npy"
        np.save(pool, vectors)
        for method in methods:
            library = method.partition(" ")[0]
            process = Process(pool, os.cpu_count() or 1, [library])
            for way in ("function", "report") if library == "evidently" else ("function",):
                answer = process.ask_within(limit, request, do="time", method=method, way=way)
                yield f"{method}, {way}", answer
                if answer is None:
                    break
            process.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rival-rounds", type=int, default=2)
    parser.add_argument("--limit", type=float, default=120, help="seconds after which a method is stopped")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    about = machine()
    rows = options.rows
    pool = load(options.data)
    vectors = synthetic(2 * rows, 0, seed=1)[0]
    sides: dict[str, dict[str, Any]] = {}
    with Rivals(vectors, 1) as rivals:
        methods, rest = rivals.methods, {"versions": rivals.versions, "missing": rivals.missing}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        # A process of its own, because this one holds the encoder.
        windows = alone.submit(of_window, np.asarray(pool.vectors), (50, 100, 500, 1000, 5000)).result()
    for turn in range(options.rival_rounds):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            found = alone.submit(own_side, vectors, rows, options.rounds).result()
        mine = sides.setdefault(NAME, {"prepare_s": [], "first_s": [], "seconds": [], "peak_mib": 0.0})
        for key in ("prepare_s", "first_s", "seconds"):
            mine[key] += found[key]
        mine["peak_mib"] = max(mine["peak_mib"], found["peak_mib"])
        for name, answer in timed(vectors, methods, rows, options.limit):
            one = sides.setdefault(name, {"seconds": [], "peak_mib": 0.0, "stopped": False})
            one["stopped"] = one["stopped"] or answer is None
            one["seconds"].append(answer["seconds"] if answer else options.limit)
            one["peak_mib"] = max(one["peak_mib"], answer["peak_mib"] if answer else 0.0)
            print(f"{turn + 1}: {name}: {'over ' if answer is None else ''}{one['seconds'][-1]:.2f} s", flush=True)
    own = statistics.median(sides[NAME]["seconds"])
    for one in sides.values():
        one["median_s"] = statistics.median(one["seconds"])
        one["own_speedup"] = one["median_s"] / own
    fastest = {
        way: min((one["own_speedup"] for name, one in sides.items() if name.endswith(f", {way}")
                  and name.startswith("evidently")), default=None)
        for way in ("report", "function")
    }  # fmt: skip
    prepare = statistics.median(sides[NAME]["prepare_s"])
    print(f"{NAME}: {1e3 * own:.1f} ms a window, {prepare:.2f} s a reference; faster by {fastest}", flush=True)
    write(
        "speed",
        {
            "machine": about,
            "rows": rows,
            "dim": vectors.shape[1],
            **rest,
            "sides": sides,
            "prepare_median_s": prepare,
            "speedup_vs_evidently_fastest": fastest,
            "window_s": windows,
        },
        options.output,
    )


if __name__ == "__main__":
    main()
