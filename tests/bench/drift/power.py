"""How much of a change each method finds, when all are wrong equally often.

Every method gives its own statistic for the same draws (``scenarios``); its threshold is the 95 % quantile of that
statistic over the null windows of the scenario's group and size. What a method's default rule would say plays no
part here (that is in ``false_alarms``), so a statistic is judged by how well it separates, not by how it is
calibrated. Of equal statistics chance decides.

This project comes twice: by its default fields, and where outputs are compared also with ``output_given_input``. The
rivals take one matrix of vectors, which is that of the outputs.

A scenario is one (kind, pair, n, share). Counted are those in which this project's power is at least that of the best
rival in it as the numbers stand (``plain``), and those in which it is not significantly less than that best rival's
(``not_lower``): one-sided exact McNemar test on the same draws, 5 %. The best of several equally good rivals is ahead
by chance, which the second count allows for and the first does not.

    python -m tests.bench.drift.power [--references 50] [--repeats 30] [--data FILE] [--output DIR]

``--again`` is for the scenarios in which this project was behind, as the last result in DIR has it: the same with
other draws, more of them, written beside it. Whoever is picked for having been behind was so partly by chance; the
new draws do not know it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.combination import cauchy
from tests.bench.drift.counting import Flags, detected, lower
from tests.bench.drift.logs import DATA, Pool, Rows, load
from tests.bench.drift.own import BOTH, F64, NAME, Own
from tests.bench.drift.parallel import each
from tests.bench.drift.results import FOLDER
from tests.bench.drift.rivals import Request, Rivals
from tests.bench.drift.scenarios import Draw, Group, Scenario, groups, only
from tests.bench.machine import machine, read, write

LEVEL = 0.05
SIGNIFICANT = 0.05
SEED, SEED_AGAIN = 20, 21
OWN = (NAME, BOTH)


def windows(draw: Draw) -> list[Rows]:
    """Return all windows of a draw in one order: null ones by size, then those of the scenarios."""
    return [rows for size in draw.null.values() for rows in size] + list(draw.changed.values())


def scored(pool: Pool, draws: Sequence[Draw], rivals: Rivals) -> dict[str, list[list[float]]]:
    """Return method -> draw -> the statistics of its windows."""
    requests = [Request(draw.reference.tolist(), [rows.tolist() for rows in windows(draw)]) for draw in draws]
    answers = rivals.each(requests, do="score", methods=rivals.methods)
    found = {method: [answer[method] for answer in answers] for method in rivals.methods}
    return found | own_scores(pool, draws)


def own_scores(pool: Pool, draws: Sequence[Draw]) -> dict[str, list[list[float]]]:
    """Return the same of this project: minus the log of a p-value, which references and sizes have in common."""
    sides = [[pool.of_fields(rows) for rows in (draw.reference, *windows(draw))] for draw in draws]
    tasks = [list(field) for one in sides for field in zip(*one, strict=True)]
    values = iter(each(p_values, pool.vectors, tasks))
    found: dict[str, list[list[float]]] = {name: [] for name in OWN}
    for one in sides:
        fields = np.array([next(values) for _ in one[0]])
        for name, p in ((NAME, fields[0]), (BOTH, cauchy(fields))):
            found[name].append((-np.log(p)).tolist())
    return found


def p_values(vectors: F32, rows: list[Rows]) -> F64:
    """Return the p-value of each window; the first of ``rows`` are the reference's."""
    reference, *drawn = rows
    return Own(vectors[reference]).p_values([vectors[one] for one in drawn])


def judged(group: Group, draws: Sequence[Draw], scores: dict[str, list[list[float]]]) -> list[dict[str, Any]]:
    """Return for each scenario of a group every method's power, and how this project's compares, by ``OWN``."""
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
        others = [method for method in power if method not in OWN]
        best = max(others, key=power.__getitem__, default=None)
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
                "compared": {name: compared(flags, power, name, best) for name in OWN if name in flags},
            }
        )
    return found


def compared(flags: Mapping[str, Flags], power: Mapping[str, float], own: str, best: str | None) -> dict[str, Any]:
    """Return how ``own`` compares with the best rival, and whether it finds significantly more than any."""
    worse = 1.0 if best is None else lower(flags[own], flags[best])
    better = [lower(one, flags[own]) for method, one in flags.items() if method not in OWN]
    return {
        "at_least": best is None or power[own] >= power[best],
        "more": best is not None and power[own] > power[best],
        "lower_p": worse,
        "not_lower": worse > SIGNIFICANT,
        "significantly_more": max(better, default=1.0) <= SIGNIFICANT,
    }


def counted(scenarios: Sequence[dict[str, Any]], own: str = NAME) -> dict[str, Any]:
    """Return how many scenarios there are, and in how many ``own`` does at least as well, or better."""
    found = [one["compared"][own] for one in scenarios]
    return {
        "scenarios": len(found),
        "plain": sum(one["at_least"] for one in found),
        "more": sum(one["more"] for one in found),
        "ties": sum(one["at_least"] and not one["more"] for one in found),
        "not_lower": sum(one["not_lower"] for one in found),
        "significantly_more": sum(one["significantly_more"] for one in found),
    }


def behind(scenarios: Sequence[dict[str, Any]]) -> dict[Scenario, str]:
    """Return those in which ``BOTH`` found less than the best rival as the numbers stand, and which rival that was."""
    return {
        Scenario(one["kind"], one["name"], one["n"], one["share"]): one["best_rival"]
        for one in scenarios
        if not one["compared"][BOTH]["at_least"]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--references", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--groups", type=int, help="take the first of so many of each kind only")
    parser.add_argument("--again", action="store_true", help="the scenarios of the last result that were behind only")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    about = machine()
    pool = load(options.data)
    found: list[dict[str, Any]] = []
    taken = groups(pool, references=options.references, repeats=options.repeats)
    if options.groups:
        taken = taken[:: max(1, len(taken) // options.groups)]
    ahead: dict[Scenario, str] = {}
    if options.again:
        last = read("power", options.output)
        if not last:
            parser.error(f"--again: {options.output} has no power.json")
        ahead = behind(last["scenarios"])
        taken = list(only(taken, ahead.keys()))
    with Rivals(pool.vectors, os.cpu_count() or 1) as rivals:
        for group in taken:
            start = time.perf_counter()
            draws = list(group.draws(SEED_AGAIN if options.again else SEED))
            here = judged(group, draws, scored(pool, draws, rivals))
            for scenario, one in zip(group.scenarios, here, strict=True):
                if scenario in ahead:
                    one["was_ahead"] = ahead[scenario]
            found += here
            for name in OWN:
                count = counted(here, name)
                print(
                    f"{group.name}, {name}: at least the best rival in {count['plain']} of {count['scenarios']}, "
                    f"not significantly less in {count['not_lower']}; {time.perf_counter() - start:.0f} s",
                    flush=True,
                )
        rest = {"methods": [*OWN, *rivals.methods], "versions": rivals.versions, "missing": rivals.missing}
    if not options.again:
        # It would be about scenarios that were behind in the result that is replaced.
        (options.output / "power_again.json").unlink(missing_ok=True)
    write(
        "power_again" if options.again else "power",
        {
            "machine": about,
            "encoder": pool.revision,
            "data": pool.file,
            "level": LEVEL,
            "references": options.references,
            "repeats": options.repeats,
            **rest,
            "count": counted(found),
            "count_with_given": counted(found, BOTH),
            "scenarios": found,
        },
        options.output,
    )


if __name__ == "__main__":
    main()
