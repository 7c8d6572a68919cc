"""``make bench-drift``: every part in turn, each in a process of its own, and one JSON line at the end.

    python -m tests.bench.drift [PART …] [--data FILE] [--output DIR] [--quick]

Without names all parts run. Each part writes its raw result as JSON; the line is taken from those, also from earlier
runs of parts that were not named. A part that fails is said at the end, and in the exit status.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.bench.drift import report
from tests.bench.drift.logs import DATA
from tests.bench.drift.results import FOLDER
from tests.bench.machine import read

PARTS: dict[str, tuple[str, ...]] = {
    "speed": ("--rows", "200", "--rounds", "1", "--rival-rounds", "1"),
    "false_alarms": ("--windows", "4", "--rival-windows", "2"),
    "power": ("--references", "3", "--repeats", "2", "--groups", "4"),
    "delay": ("--streams", "1", "--slow-streams", "1", "--equal-streams", "2", "--online", "0"),
    "year": ("--years", "1", "--days", "2"),
}
"""Part -> what makes it quick: enough to see that it runs, too little for a number."""
Read = Callable[[str], Mapping[str, Any]]


def _worst(of: Read) -> dict[str, float]:
    worst = of("false_alarms")["worst"]
    return {"n": worst["n"], **{key: round(worst[key], 4) for key in ("rate", "low", "high")}}


SUMMARY: dict[str, Callable[[Read], object]] = {
    "false_alarm_worst": _worst,
    "year_false_alarms": lambda of: round(of("year")["mean"], 2),
    "year_budget": lambda of: round(of("year")["budget"], 2),
    "speedup_vs_evidently_fastest": lambda of: round(of("speed")["speedup_vs_evidently_fastest"]["report"], 1),
    "scenarios": lambda of: of("power")["count"]["scenarios"],
    "scenarios_at_least_best_rival": lambda of: of("power")["count"]["not_lower"],
}


def summary(folder: Path) -> dict[str, object]:
    """Return the line's numbers from the raw results; None for what was not measured."""
    found: dict[str, object] = {}
    for name, take in SUMMARY.items():
        try:
            found[name] = take(lambda part: read(part, folder))
        except (KeyError, TypeError):
            found[name] = None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--data", type=Path, default=DATA, help="alpaca_eval.jsonl.gz")
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--quick", action="store_true", help="see that everything runs; the numbers mean nothing")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if options.quick and options.output == FOLDER:
        parser.error("--quick wants an --output of its own: its numbers mean nothing")
    # subprocess.run ends its child when an exception passes: no part outlives this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = []
    for part in options.parts or PARTS:
        quick = PARTS[part] if options.quick else ()
        print(f"== {part}", flush=True)
        command = [sys.executable, "-W", "ignore", "-m", f"tests.bench.drift.{part}"]
        done = subprocess.run(
            [*command, "--data", str(options.data), "--output", str(options.output), *quick], check=False
        )
        if done.returncode:
            failed.append(part)
    if options.output == FOLDER:
        report.main()
    if count := read("power", options.output).get("count"):
        print(
            f"power: at least the best rival's in {count['plain']} of {count['scenarios']} scenarios as the numbers "
            f"stand, not significantly less in {count['not_lower']}; the line counts the latter",
            flush=True,
        )
    print(json.dumps(summary(options.output)), flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
