"""A year of five-minute windows in which nothing changes, many times over: how often does it page?

Rows are drawn with replacement from all real outputs: the pool is the population. Traffic has a daily rhythm and so
have the windows' sizes. Each year has a reference of its own. The rule is ``false_alarms: "1 per 30d"``; a page is the
beginning of an alert, as in the service.

Years of one reference are not independent samples of pages: an unlucky reference gives many. So the interval is that
of the mean over years, by bootstrap; the Poisson interval, which ignores this, is given beside it. References are of
the least rows that the service freezes by itself, and of as many as by default.

    python -m tests.bench.drift.year [--years 36] [--days 365] [--data FILE] [--output DIR]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32
from inferwatch.schemas.settings import DriftSettings
from inferwatch.streams.references.firsts import ENOUGH
from tests.bench.drift.counting import poisson
from tests.bench.drift.logs import DATA, Rows, load
from tests.bench.drift.own import BUDGET_DAYS, SIZE, SPANS, Own
from tests.bench.drift.parallel import each
from tests.bench.drift.results import FOLDER
from tests.bench.drift.stream import pages, recurrences, totals
from tests.bench.machine import machine, write

DAY = 288
REFERENCES = (ENOUGH, DriftSettings().reference_rows)
SEED = 31
LEAST, MEAN, SWING = 20, 120, 90
"""Rows of a window at night, on average, and how far the day swings."""
FEW_YEARS = 2000


def traffic(rng: np.random.Generator, windows: int) -> Rows:
    """Return the rows of each window: Poisson about a daily rhythm."""
    at = 2 * np.pi * np.arange(windows) / DAY
    return np.maximum(rng.poisson(MEAN - SWING * np.cos(at)), LEAST).astype(np.int64)


def paged(vectors: F32, task: tuple[Rows, int, int, int]) -> int:
    """Return the pages of one year: of rows of ``outputs`` over so many days, with a reference of its own of m rows."""
    outputs, m, days, number = task
    population = vectors[outputs]
    start = time.perf_counter()
    rng = np.random.default_rng([SEED, number])
    own = Own(population[rng.choice(len(population), m)])
    counts = traffic(rng, days * DAY)
    rows = rng.integers(0, len(population), counts.sum())
    found = recurrences(totals(own.features(population), rows, counts), counts, SIZE, SPANS, own.tails)
    taken, many = time.perf_counter() - start, pages(found, BUDGET_DAYS)
    print(f"{m} rows, year {number + 1}: {many} pages, strongest {found.max():.0f} days; {taken:.0f} s", flush=True)
    return many


def summed_up(pages_of_years: Sequence[int], share: float) -> dict[str, Any]:
    """Return the mean pages a year, and its intervals; ``share`` of a year is what each was."""
    resampled = np.random.default_rng(0).choice(pages_of_years, (FEW_YEARS, len(pages_of_years))).mean(axis=1) / share
    low, high = np.percentile(resampled, [2.5, 97.5])
    return {
        "pages": list(pages_of_years),
        "mean": float(np.mean(pages_of_years)) / share,
        "low": float(low),
        "high": float(high),
        "poisson": poisson(sum(pages_of_years), share * len(pages_of_years)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--years", type=int, default=36)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    about = machine()
    pool = load(options.data)
    found = {}
    for rows in REFERENCES:
        tasks = [(pool.outputs, rows, options.days, number) for number in range(options.years)]
        found[str(rows)] = summed_up(each(paged, pool.vectors, tasks), options.days / 365)
    write(
        "year",
        {
            "machine": about,
            "encoder": pool.revision,
            "data": pool.file,
            "windows_a_year": options.days * DAY,
            "rows_a_window": {"mean": MEAN, "swing": SWING, "least": LEAST},
            "spans": SPANS,
            "budget_days": BUDGET_DAYS,
            "budget": 365 / BUDGET_DAYS,
            "by_reference_rows": found,
        },
        options.output,
    )


if __name__ == "__main__":
    main()
