"""``make bench``: every part in turn, each in a process of its own, and one JSON line at the end.

    python -m tests.bench [PART …] [--output DIR] [--quick]

Without names all parts run but the soak (``make soak``), which takes half an hour. Each part writes its raw result as
JSON; the line is taken from those, also from earlier runs of parts that were not named. A part that fails is said at
the end, and in the exit status.
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

from inferwatch.detectors.encoder.build import build_models
from inferwatch.detectors.encoder.built import models_folder
from tests.bench import report
from tests.bench.machine import RESULTS, read

PARTS: dict[str, tuple[str, ...]] = {
    "encoders": ("--rounds", "1", "--short", "32", "--long", "4"),
    "throughput": ("--seconds", "1", "--pairs", "1"),
    "static": ("--seconds", "1", "--runs", "1"),
    "latency": ("--seconds", "32", "--window", "5", "--pilot", "1"),
    "growth": ("--sizes", "100", "1000", "--templates", "64"),
    "scaling": ("--records", "8000"),
    "rivals": ("--conversations", "8", "--rounds", "1"),
}
"""Part -> what makes it quick: enough to see that it runs, too little for a number."""
MODULES = {"static": "static_tier"}

SUMMARY: dict[str, Callable[[Callable[[str], Mapping[str, Any]]], float]] = {
    "end_to_end_ratio_short": lambda of: of("throughput")["workloads"]["short"]["ratio"],
    "end_to_end_ratio_long": lambda of: of("throughput")["workloads"]["long"]["ratio"],
    "speedup_vs_st_fp32_short": lambda of: of("encoders")["short"]["sides"]["chosen"]["speedup"],
    "static_tier_per_s": lambda of: of("static")["per_s"],
    "row_latency_p95_s": lambda of: of("latency")["row_s"]["p95"],
    "alert_latency_p95_s": lambda of: of("latency")["alert_s"]["p95"],
}


def summary(folder: Path) -> dict[str, float | None]:
    """Return the line's numbers from the raw results; None for what was not measured."""
    found: dict[str, float | None] = {}
    for name, take in SUMMARY.items():
        try:
            found[name] = round(float(take(lambda part: read(part, folder))), 3)
        except KeyError:
            found[name] = None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="see that everything runs; the numbers mean nothing")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    # subprocess.run ends its child when an exception passes: no part outlives this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = []
    # What a user of the fast backends does first; `auto` then chooses between them.
    build_models(models_folder(None), say=lambda words: print(words, flush=True))
    for part in options.parts or PARTS:
        module = f"tests.bench.{MODULES.get(part, part)}"
        quick = PARTS[part] if options.quick else ()
        print(f"== {part}", flush=True)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", module, "--output", str(options.output), *quick], check=False
        )
        if done.returncode:
            failed.append(part)
    if options.output == RESULTS:
        report.main()
    print(json.dumps(summary(options.output)), flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
