"""How soon a change is found, sudden and slow, at a stated rate of false alarms.

``sudden``: the service as configured by ``false_alarms: "1 per 30d"`` over windows of 500 rows; delays in windows,
counted from the first that holds the change. Against a reference of as many rows as by default, and against one of
1,000, the least that the service freezes by itself. ``slow``: one percent of traffic more every day, windows of 100
rows; delay in days. Rows are drawn with replacement, a reference for every stream.

``equal``: beside the rivals, at the same expected run time of 20 windows of 50 rows. This project's scan pages at a
recurrence of 20 windows; a rival's window statistic pages where it exceeds the 95 % quantile of its null windows;
alibi-detect's online detector is configured for 1,000 rows. So short a time because that configuration simulates
several times as many windows as rows (it advises ten times; here five). Delays in rows; a stream that ends without a
page counts as its length. ``null`` is the same without a change: rows until a false page.

    python -m tests.bench.drift.delay [--streams 30] [--slow-streams 10] [--equal-streams 20] [--online 2]
                                      [--data FILE] [--output DIR]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from inferwatch.schemas.settings import DriftSettings
from inferwatch.streams.references.firsts import ENOUGH
from tests.bench.drift.logs import DATA, Pool, Rows, load
from tests.bench.drift.own import BUDGET_DAYS, NAME, SIZE, SPANS, Own
from tests.bench.drift.results import FOLDER
from tests.bench.drift.rivals import Request, Rivals
from tests.bench.drift.scenarios import BASE, mixture, of_source
from tests.bench.drift.stream import F64, recurrences, totals
from tests.bench.machine import machine, write

DAY = 288
REFERENCE, LEAST_REFERENCE, ROWS = DriftSettings().reference_rows, ENOUGH, 500
BEFORE, AFTER = 64, 96
SLOW_ROWS, SLOW_A_DAY, SLOW_DAYS = 100, 0.01, 40
SLOW_SOURCES = ("koala", "vicuna")
SWAPPED = "gpt-3.5-turbo-0613"
EQUAL_ROWS, EQUAL_WINDOWS, EQUAL_LONGEST, EQUAL_REFERENCE = 50, 20, 40, 400
BOOTSTRAPS = 5 * EQUAL_ROWS * EQUAL_WINDOWS
NULLS = 10
"""Null windows a reference, from which the rivals' thresholds are taken."""
SEED = 41
Change = tuple[Rows, Rows, float]
"""What was normal, what is new, and its share of traffic."""


def changes(pool: Pool) -> dict[str, Change]:
    """Return the sudden changes by name."""
    found: dict[str, Change] = {}
    for part in ("input", "output"):
        for source in sorted(set(pool.sources)):
            inside, outside = of_source(pool, source, part)
            found[f"{part}: 10 % {source}"] = (outside, inside, 0.10)
    found[f"{BASE} -> {SWAPPED}"] = (pool.of(BASE), pool.of(SWAPPED), 1.0)
    return found


def first(found: F64, days: float, change: int) -> tuple[int | None, bool]:
    """Return after how many windows of the change it pages (None: never), and whether it fired before."""
    late = np.flatnonzero(found[change:] >= days)
    return (int(late[0]) + 1 if len(late) else None), bool((found[:change] >= days).any())


def scanned(pool: Pool, reference: Rows, rows: Rows, n: int, spans: tuple[tuple[int, int], ...] = SPANS) -> F64:
    """Return the recurrence after each window of n rows."""
    own = Own(pool.vectors[reference])
    known, compact = np.unique(rows, return_inverse=True)
    counts = np.full(len(rows) // n, n)
    return recurrences(totals(own.features(pool.vectors[known]), compact, counts), counts, SIZE, spans, own.tails)


def sudden(pool: Pool, change: Change, streams: int, reference_rows: int = REFERENCE) -> dict[str, Any]:
    """Return the delays of one sudden change, in windows."""
    normal, novel, share = change
    delays, early = [], 0
    for at in range(streams):
        rng = np.random.default_rng([SEED, at])
        reference = rng.choice(normal, reference_rows)
        before, after = rng.choice(normal, BEFORE * ROWS), mixture(rng, normal, novel, AFTER * ROWS, share)
        delay, fired = first(scanned(pool, reference, np.concatenate([before, after]), ROWS), BUDGET_DAYS, BEFORE)
        delays.append(delay)
        early += fired
    known = np.array([AFTER + 1 if one is None else one for one in delays])
    return {
        "delays": delays,
        "median": float(np.median(known)),
        "p90": float(np.percentile(known, 90)),
        "within": {str(n): float((known <= n).mean()) for n in (1, 2, 3, 6, 12)},
        "fired_before": early,
    }


def slow(pool: Pool, change: Change, streams: int) -> dict[str, Any]:
    """Return the delays of a share that grows from day to day, in days."""
    normal, novel, _ = change
    windows = SLOW_DAYS * DAY
    share = np.repeat(SLOW_A_DAY * np.arange(windows) / DAY, SLOW_ROWS)
    delays: list[float | None] = []
    for at in range(streams):
        rng = np.random.default_rng([SEED, 1000 + at])
        reference = rng.choice(normal, REFERENCE)
        new = rng.random(len(share)) < share
        rows = np.where(new, rng.choice(novel, len(share)), rng.choice(normal, len(share)))
        windows_taken, _ = first(scanned(pool, reference, rows, SLOW_ROWS), BUDGET_DAYS, 0)
        delays.append(None if windows_taken is None else windows_taken / DAY)
    known = np.array([SLOW_DAYS if one is None else one for one in delays])
    return {"delays": delays, "median_days": float(np.median(known)), "p90_days": float(np.percentile(known, 90))}


def equal(pool: Pool, change: Change, streams: int, rivals: Rivals, online: int) -> dict[str, Any]:
    """Return rows until a page, by method, at the same expected run time."""
    normal, novel, share = change
    length = EQUAL_LONGEST * EQUAL_ROWS
    references, drawn, nulls = [], [], []
    for at in range(streams):
        rng = np.random.default_rng([SEED, 2000 + at])
        references.append(rng.choice(normal, EQUAL_REFERENCE))
        drawn.append(mixture(rng, normal, novel, length, share))
        nulls.append(rng.choice(normal, (NULLS, EQUAL_ROWS)))
    days = SIZE * EQUAL_WINDOWS / timedelta(days=1)
    # Scales longer than the run time cannot page within it: the scan has those up to it.
    spans = tuple((span, stride) for span, stride in SPANS if span <= EQUAL_WINDOWS)
    found: dict[str, list[int | None]] = {NAME: []}
    for reference, rows in zip(references, drawn, strict=True):
        delay, _ = first(scanned(pool, reference, rows, EQUAL_ROWS, spans), days, 0)
        found[NAME].append(None if delay is None else delay * EQUAL_ROWS)
    requests = [
        Request(reference.tolist(), [*null.tolist(), *rows.reshape(-1, EQUAL_ROWS).tolist()])
        for reference, null, rows in zip(references, nulls, drawn, strict=True)
    ]
    answers = rivals.each(requests, do="score", methods=rivals.methods)
    for method in rivals.methods:
        scores = np.array([answer[method] for answer in answers])
        threshold = np.quantile(scores[:, :NULLS], 1 - 1 / EQUAL_WINDOWS)
        over = scores[:, NULLS:] > threshold
        found[method] = [int(np.argmax(row) + 1) * EQUAL_ROWS if row.any() else None for row in over]
    if online and any(method.startswith("alibi") for method in rivals.methods):
        asked = [
            Request(reference.tolist(), [rows.tolist() for rows in drawn[at::online]])
            for at, reference in enumerate(references[:online])
        ]
        limits = {"ert": EQUAL_ROWS * EQUAL_WINDOWS, "window": EQUAL_ROWS, "bootstraps": BOOTSTRAPS}
        answered = rivals.each(asked, do="online", **limits)
        found["alibi-detect online MMD"] = [alarm for answer in answered for alarm in answer["alarms"]]
    return {
        method: {
            "rows": rows,
            "mean": float(np.mean([length if one is None else one for one in rows])),
            "median": float(np.median([length if one is None else one for one in rows])),
            "none": sum(one is None for one in rows),
        }
        for method, rows in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--streams", type=int, default=30)
    parser.add_argument("--slow-streams", type=int, default=10)
    parser.add_argument("--equal-streams", type=int, default=20)
    parser.add_argument("--online", type=int, default=2, help="references the online detector is configured for")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    about = machine()
    pool = load(options.data)
    known = changes(pool)
    koala, swapped = known["input: 10 % koala"], known[f"{BASE} -> {SWAPPED}"]
    said: Callable[[str, dict[str, Any]], None] = lambda name, one: print(name, one, flush=True)  # noqa: E731
    found: dict[str, Any] = {"sudden": {}, "slow": {}, "equal": {}}
    for rows in (REFERENCE, LEAST_REFERENCE):
        found["sudden"][str(rows)] = {}
        for name, change in known.items():
            one = found["sudden"][str(rows)][name] = sudden(pool, change, options.streams, rows)
            said(f"{rows}: {name}", {key: one[key] for key in ("median", "p90", "within", "fired_before")})
    for name in SLOW_SOURCES:
        one = found["slow"][name] = slow(pool, known[f"input: 10 % {name}"], options.slow_streams)
        said(f"slow: {name}", {key: one[key] for key in ("median_days", "p90_days")})
    sides = {
        "input: 50 % koala": (*koala[:2], 0.50),
        f"{BASE} -> {SWAPPED}": swapped,
        "null": (koala[0], koala[0], 0.0),
    }
    with Rivals(pool.vectors, os.cpu_count() or 1) as rivals:
        for name, change in sides.items():
            one = found["equal"][name] = equal(pool, change, options.equal_streams, rivals, options.online)
            said(name, {method: round(value["mean"]) for method, value in one.items()})
        rest = {"versions": rivals.versions, "missing": rivals.missing}
    write(
        "delay",
        {
            "machine": about,
            "encoder": pool.revision,
            "data": pool.file,
            "rows": ROWS,
            "reference_rows": REFERENCE,
            "budget_days": BUDGET_DAYS,
            "slow": {"rows": SLOW_ROWS, "share_a_day": SLOW_A_DAY, "days": SLOW_DAYS},
            "equal": {
                "rows": EQUAL_ROWS,
                "run_time_rows": EQUAL_ROWS * EQUAL_WINDOWS,
                "longest_rows": EQUAL_ROWS * EQUAL_LONGEST,
                "reference_rows": EQUAL_REFERENCE,
                "bootstraps": BOOTSTRAPS,
            },
            **rest,
            "found": found,
        },
        options.output,
    )


if __name__ == "__main__":
    main()
