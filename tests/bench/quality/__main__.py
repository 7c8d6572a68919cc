"""``make bench-quality``: every part in turn, each in a process of its own, and one JSON line at the end.

    python -m tests.bench.quality [PART …] [--data FOLDER] [--work FOLDER] [--output DIR] [--quick]

Without names all parts run. Each part writes its raw result as JSON; the line is taken from those, also from earlier
runs of parts that were not named. A part that fails is said at the end, and in the exit status. The first run fits a
detector for each family that is left out, and keeps it in the work folder.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from inferwatch.detectors.encoder.build import build_models
from inferwatch.detectors.encoder.built import models_folder
from tests.bench.machine import read
from tests.bench.quality import report
from tests.bench.quality.results import DATA, FOLDER, OWN, WORK, WRITTEN_HERE

PARTS = ("toxicity", "grounding", "edits", "cost")
QUICK = ("--rows", "120", "--draws", "20", "--madlibs", "600", "--answers-share", "400", "--rounds", "1")
Read = Callable[[str], Mapping[str, Any]]


def values(raw: Mapping[str, Any], measure: str) -> list[float]:
    """Return one measure of this project on every family of others in a part, where it is defined."""
    families = (one for name, one in raw["families"].items() if name not in WRITTEN_HERE)
    found = [one["methods"][OWN].get(measure, {}).get("value") for one in families]
    return [one for one in found if one is not None]


SUMMARY: dict[str, Callable[[Read], float]] = {
    "toxicity_mean_auc": lambda of: statistics.mean(values(of("toxicity"), "auc")),
    "toxicity_tpr_at_5fpr": lambda of: statistics.mean(values(of("toxicity"), "tpr_at_5fpr")),
    "hatecheck_auc": lambda of: of("toxicity")["hatecheck"]["methods"][OWN]["auc"]["value"],
    "benign_llm_flag_rate": lambda of: of("toxicity")["benign"][OWN]["rate"],
    "summedits_balanced_accuracy": lambda of: 100 * of("grounding")["summedits"][OWN]["mean"]["value"],
    "grounding_mean_auc": lambda of: statistics.mean(values(of("grounding"), "auc")),
    "ece": lambda of: statistics.mean([*values(of("toxicity"), "ece"), *values(of("grounding"), "ece")]),
}
"""Means are over the families left out, with both labels, of others; ``ece`` over those of both detectors."""


def summary(folder: Path) -> dict[str, float | None]:
    """Return the line's numbers from the raw results; None for what was not measured."""
    found: dict[str, float | None] = {}
    for name, take in SUMMARY.items():
        try:
            found[name] = round(float(take(lambda part: read(part, folder))), 4)
        except (KeyError, statistics.StatisticsError):
            found[name] = None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the data sets")
    parser.add_argument("--work", type=Path, default=WORK, help="keeps fitted detectors between runs")
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
    build_models(models_folder(None), say=lambda words: print(words, flush=True))
    failed = []
    for part in options.parts or PARTS:
        print(f"== {part}", flush=True)
        command = [sys.executable, "-W", "ignore", "-m", f"tests.bench.quality.{part}", "--data", str(options.data)]
        quick = QUICK if options.quick else ()
        command += ["--work", str(options.work), "--output", str(options.output), *quick]
        if subprocess.run(command, check=False).returncode:
            failed.append(part)
    if options.output == FOLDER:
        report.main()
    print(json.dumps(summary(options.output)), flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
