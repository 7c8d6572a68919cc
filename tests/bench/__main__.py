"""``make bench``: every part in turn, each in a process of its own, and one JSON line at the end.

    python -m tests.bench [PART …] [--output DIR] [--quick]

Without names all parts run but the soak (``make soak``), which takes 100 minutes. Each part writes its raw result as
JSON; the line is taken from those, also from earlier runs of parts that were not named. A part that fails is said at
the end, and in the exit status.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from tests.bench import report
from tests.bench.machine import RESULTS
from tests.bench.parts import Read, options_of, run, summary

PARTS: dict[str, tuple[str, ...]] = {
    "encoders": ("--rounds", "1", "--short", "32", "--long", "4"),
    "throughput": ("--seconds", "1", "--pairs", "1"),
    "static": ("--seconds", "1", "--runs", "1"),
    "latency": ("--seconds", "28", "--warm-up", "4", "--window", "5", "--pilot", "1"),
    "growth": ("--sizes", "100", "1000", "--templates", "64"),
    "scaling": ("--records", "8000"),
    "rivals": ("--conversations", "8", "--rounds", "1"),
}
"""Part -> what makes it quick: enough to see that it runs, too little for a number."""
MODULES = {"static": "static_tier"}

SUMMARY: dict[str, Callable[[Read], object]] = {
    "end_to_end_ratio_short": lambda of: round(of("throughput")["workloads"]["short"]["ratio"], 3),
    "end_to_end_ratio_long": lambda of: round(of("throughput")["workloads"]["long"]["ratio"], 3),
    "speedup_vs_st_fp32_short": lambda of: round(of("encoders")["short"]["sides"]["chosen"]["speedup"], 3),
    "static_tier_per_s": lambda of: round(of("static")["per_s"], 1),
    "row_latency_p95_s": lambda of: round(of("latency")["row_s"]["p95"], 3),
    "alert_latency_p95_s": lambda of: round(of("latency")["alert_s"]["p95"], 3),
}


def main() -> None:
    options = options_of(__doc__, PARTS, RESULTS)
    output = ["--output", str(options.output)]
    failed = run(
        (part, f"tests.bench.{MODULES.get(part, part)}", [*output, *(PARTS[part] if options.quick else ())])
        for part in options.parts
    )
    if options.output == RESULTS:
        report.main()
    print(json.dumps(summary(SUMMARY, options.output)), flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
