"""``make bench-drift``: every part in turn, each in a process of its own, and one JSON line at the end.

    python -m tests.bench.drift [PART …] [--data FILE] [--output DIR] [--quick]

Without names all parts run. Each part writes its raw result as JSON; the line is taken from those, also from earlier
runs of parts that were not named. A part that fails is said at the end, and in the exit status.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from tests.bench.drift import report
from tests.bench.drift.logs import DATA
from tests.bench.drift.results import FOLDER
from tests.bench.machine import read
from tests.bench.parts import Read, options_of, run, summary

PARTS: dict[str, tuple[str, ...]] = {
    "speed": ("--rows", "200", "--rounds", "1", "--rival-rounds", "1"),
    "false_alarms": ("--windows", "4", "--rival-windows", "2"),
    "power": ("--references", "3", "--repeats", "2", "--groups", "4"),
    "given": ("--windows", "4"),
    "delay": ("--streams", "1", "--slow-streams", "1", "--equal-streams", "2", "--online", "0"),
    "level": ("--references", "2"),
    "told": ("--windows", "20000", "--streams", "50"),
    "year": ("--years", "1", "--days", "2"),
}
"""Part -> what makes it quick: enough to see that it runs, too little for a number."""


def _worst(of: Read) -> dict[str, float]:
    worst = of("false_alarms")["worst"]
    return {"n": worst["n"], **{key: round(worst[key], 4) for key in ("rate", "low", "high")}}


SUMMARY: dict[str, Callable[[Read], object]] = {
    "false_alarm_worst": _worst,
    "year_false_alarms": lambda of: round(max(one["mean"] for one in of("year")["by_reference_rows"].values()), 2),
    "year_budget": lambda of: round(of("year")["budget"], 2),
    "speedup_vs_evidently_fastest": lambda of: round(of("speed")["speedup_vs_evidently_fastest"]["report"], 1),
    "scenarios": lambda of: of("power")["count"]["scenarios"],
    "scenarios_at_least_best_rival": lambda of: of("power")["count"]["not_lower"],
}


def main() -> None:
    options = options_of(__doc__, PARTS, FOLDER, ("--data", DATA, "alpaca_eval.jsonl.gz"))
    common = ["--data", str(options.data), "--output", str(options.output)]
    failed = run(
        (part, f"tests.bench.drift.{part}", [*common, *(PARTS[part] if options.quick else ())])
        for part in options.parts
    )
    if options.output == FOLDER:
        report.main()
    power = read("power", options.output)
    for key, fields in (("count", "by the default fields"), ("count_with_given", "with output_given_input")):
        if count := power.get(key):
            print(
                f"power, {fields}: at least the best rival's in {count['plain']} of {count['scenarios']} scenarios as "
                f"the numbers stand, not significantly less in {count['not_lower']}",
                flush=True,
            )
    if power:
        print("the line counts those that are not significantly less by the default fields", flush=True)
    print(json.dumps(summary(SUMMARY, options.output)), flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
