"""How much of a change each method finds, when all are wrong equally often.

Every method gives its own statistic for the same draws (``scenarios``); its threshold is the 95 % quantile of that
statistic over the null windows of the scenario's group and size. What a method's default rule would say plays no
part here (that is in ``false_alarms``), so a statistic is judged by how well it separates, not by how it is
calibrated. Of equal statistics chance decides.

A scenario is one (kind, pair, n, share). Counted are those in which this project's power is at least that of the best
rival in it as the numbers stand (``plain``), and those in which it is not significantly less than that best rival's
(``not_lower``): one-sided exact McNemar test on the same draws, 5 %. The best of several equally good rivals is ahead
by chance, which the second count allows for and the first does not.

    python -m tests.bench.drift.power [--references 50] [--repeats 30] [--data FILE] [--output DIR]
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32
from tests.bench.drift.counting import detected, lower
from tests.bench.drift.logs import DATA, Pool, Rows, load
from tests.bench.drift.own import NAME, Own
from tests.bench.drift.parallel import each
from tests.bench.drift.results import FOLDER
from tests.bench.drift.rivals import Request, Rivals
from tests.bench.drift.scenarios import Draw, Group, groups
from tests.bench.machine import machine, write

LEVEL = 0.05
SIGNIFICANT = 0.05
SEED = 20


def windows(draw: Draw) -> list[Rows]:
    """Return all windows of a draw in one order: null ones by size, then those of the scenarios."""
    return [rows for size in draw.null.values() for rows in size] + list(draw.changed.values())


def scored(pool: Pool, draws: Sequence[Draw], rivals: Rivals) -> dict[str, list[list[float]]]:
    """Return method -> draw -> the statistics of its windows."""
    requests = [Request(draw.reference.tolist(), [rows.tolist() for rows in windows(draw)]) for draw in draws]
    answers = rivals.each(requests, do="score", methods=rivals.methods)
    found = {method: [answer[method] for answer in answers] for method in rivals.methods}
    found[NAME] = each(own_scores, pool.vectors, [(draw.reference, windows(draw)) for draw in draws])
    return found


def own_scores(vectors: F32, rows: tuple[Rows, list[Rows]]) -> list[float]:
    """Return minus the log of the p-value of each window, which references and sizes have in common."""
    reference, drawn = rows
    found = Own(vectors[reference]).p_values([vectors[one] for one in drawn])
    return [-float(one) for one in np.log(found)]


def judged(group: Group, draws: Sequence[Draw], scores: dict[str, list[list[float]]]) -> list[dict[str, Any]]:
    """Return for each scenario of a group every method's power, and how this project's compares."""
    found = []
    for number, scenario in enumerate(group.scenarios):
        flags = {}
        for method, rows in scores.items():
            null, changed = [], []
            for draw, values in zip(draws, rows, strict=True):
                at = 0
                for size, drawn in draw.null.items():
                    if size == scenario.n:
                        null += values[at : at + len(drawn)]
                    at += len(drawn)
                if draw.changed:
                    changed.append(values[at + list(draw.changed).index(scenario)])
            flags[method] = detected(np.array(null), np.array(changed), LEVEL, seed=number)
        power = {method: float(one.mean()) for method, one in flags.items()}
        others = [method for method in power if method != NAME]
        best = max(others, key=power.__getitem__, default=None)
        worse = 1.0 if best is None else lower(flags[NAME], flags[best])
        better = {method: lower(flags[method], flags[NAME]) for method in others}
        found.append(
            {
                "kind": scenario.kind,
                "name": scenario.name,
                "n": scenario.n,
                "share": scenario.share,
                "null_windows": len(null),
                "draws": len(flags[NAME]),
                "power": power,
                "best_rival": best,
                "at_least": best is None or power[NAME] >= power[best],
                "more": best is not None and power[NAME] > power[best],
                "lower_p": worse,
                "not_lower": worse > SIGNIFICANT,
                "significantly_more": max(better.values(), default=1.0) <= SIGNIFICANT,
            }
        )
    return found


def counted(scenarios: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return how many scenarios there are, and in how many this project does at least as well, or better."""
    ties = Counter(bool(one["at_least"] and not one["more"]) for one in scenarios)
    return {
        "scenarios": len(scenarios),
        "plain": sum(one["at_least"] for one in scenarios),
        "more": sum(one["more"] for one in scenarios),
        "ties": ties[True],
        "not_lower": sum(one["not_lower"] for one in scenarios),
        "significantly_more": sum(one["significantly_more"] for one in scenarios),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--references", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--groups", type=int, help="take the first of so many of each kind only")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    about = machine()
    pool = load(options.data)
    found: list[dict[str, Any]] = []
    taken = groups(pool, references=options.references, repeats=options.repeats)
    if options.groups:
        taken = taken[:: max(1, len(taken) // options.groups)]
    with Rivals(pool.vectors, os.cpu_count() or 1) as rivals:
        for group in taken:
            start = time.perf_counter()
            draws = list(group.draws(SEED))
            here = judged(group, draws, scored(pool, draws, rivals))
            found += here
            count = counted(here)
            print(
                f"{group.name}: at least the best rival in {count['plain']} of {count['scenarios']}, "
                f"not significantly less in {count['not_lower']}; {time.perf_counter() - start:.0f} s",
                flush=True,
            )
        rest = {"methods": [NAME, *rivals.methods], "versions": rivals.versions, "missing": rivals.missing}
    write(
        "power",
        {
            "machine": about,
            "encoder": pool.revision,
            "data": pool.file,
            "level": LEVEL,
            "references": options.references,
            "repeats": options.repeats,
            **rest,
            "count": counted(found),
            "scenarios": found,
        },
        options.output,
    )


if __name__ == "__main__":
    main()
