"""``make bench-alerts``: every part in turn, each in a process of its own, and one JSON line at the end.

    python -m tests.bench.alerts [PART …] [--output DIR] [--quick]

Without names all parts run. Each part writes its raw result as JSON; the line is taken from those, also from earlier
runs of parts that were not named. A part that fails is said at the end, and in the exit status.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from tests.bench.alerts import report
from tests.bench.alerts.results import FOLDER
from tests.bench.parts import Read, options_of, run, summary

PARTS: dict[str, tuple[str, ...]] = {
    "agreement": ("--histories", "10"),
    "speed": ("--instances", "400", "--windows", "2", "--past", "3"),
    "faults": ("--schedules", "2"),
}
"""Part -> what makes it quick: enough to see that it runs, too little for a number."""

SUMMARY: dict[str, Callable[[Read], object]] = {
    "histories": lambda of: of("agreement")["histories"],
    "disagreements": lambda of: of("agreement")["disagreements"],
    "instances_per_s": lambda of: of("speed")["instances_per_s"],
    "fault_schedules": lambda of: of("faults")["schedules"],
    "alerts_lost": lambda of: of("faults")["lost"],
    "pages_repeated": lambda of: of("faults")["repeated"],
}


def main() -> None:
    options = options_of(__doc__, PARTS, FOLDER)
    common = ["--output", str(options.output)]
    failed = run(
        (part, f"tests.bench.alerts.{part}", [*common, *(PARTS[part] if options.quick else ())])
        for part in options.parts
    )
    if options.output == FOLDER:
        report.main()
    print(json.dumps(summary(SUMMARY, options.output)), flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
