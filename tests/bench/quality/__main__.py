"""``make bench-quality``: every part in turn, each in a process of its own, and one JSON line at the end.

    python -m tests.bench.quality [PART …] [--data FOLDER] [--work FOLDER] [--output DIR] [--quick]

Without names all parts run. Each part writes its raw result as JSON; the line is taken from those, also from earlier
runs of parts that were not named. A part that fails is said at the end, and in the exit status. The first run fits a
detector for each family that is left out, and keeps it in the work folder.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Mapping
from typing import Any

from tests.bench.parts import Read, options_of, run, summary
from tests.bench.quality import report
from tests.bench.quality.results import BOTH, DATA, FOLDER, OWN, WORK, WRITTEN_HERE

PARTS = ("toxicity", "grounding", "int8", "edits", "cost")
QUICK = ("--rows", "120", "--draws", "20", "--madlibs", "600", "--answers-share", "400", "--rounds", "1")


def values(raw: Mapping[str, Any], measure: str, method: str = OWN) -> list[float]:
    """Return one measure of this project on every family of others in a part, where it is defined."""
    families = (one for name, one in raw["families"].items() if name not in WRITTEN_HERE)
    found = [one["methods"][method].get(measure, {}).get("value") for one in families]
    return [one for one in found if one is not None]


def rows_left_out(raw: Mapping[str, Any]) -> float:
    """Return toxicity's calibration error, fitted on all families, on rows it has not seen: mean over families."""
    families = (one for name, one in raw["within"].items() if name not in WRITTEN_HERE)
    return statistics.mean(one["methods"][OWN]["ece"]["value"] for one in families)


def after_labels(raw: Mapping[str, Any]) -> list[float]:
    """Return the calibration error after a fit to a hundred labels, on every family of others that has enough rows."""
    families = (one for name, one in raw["families"].items() if name not in WRITTEN_HERE)
    return [one["recalibrated"]["ece"] for one in families if one["recalibrated"]]


SUMMARY: dict[str, Callable[[Read], object]] = {
    "toxicity_mean_auc": lambda of: round(statistics.mean(values(of("toxicity"), "auc")), 4),
    "toxicity_tpr_at_5fpr": lambda of: round(statistics.mean(values(of("toxicity"), "tpr_at_5fpr")), 4),
    "hatecheck_auc": lambda of: round(of("toxicity")["hatecheck"]["methods"][OWN]["auc"]["value"], 4),
    "benign_llm_flag_rate": lambda of: round(of("toxicity")["benign"][OWN]["rate"], 4),
    "grounding_mean_auc": lambda of: round(statistics.mean(values(of("entailment"), "auc", BOTH)), 4),
    "summedits_balanced_accuracy": lambda of: round(100 * of("entailment")["summedits"][BOTH]["mean"]["value"], 4),
    "ece": lambda of: round(
        statistics.mean([*values(of("toxicity"), "ece"), *values(of("entailment"), "ece", BOTH)]), 4
    ),
    "ece_after_100_labels": lambda of: round(
        statistics.mean([*after_labels(of("toxicity")), *after_labels(of("entailment"))]), 4
    ),
    "toxicity_ece_after_100_labels": lambda of: round(statistics.mean(after_labels(of("toxicity"))), 4),
    "toxicity_ece_rows_left_out": lambda of: round(rows_left_out(of("toxicity")), 4),
    "features_ece_contexts_left_out": lambda of: of("grounding")["within"]["as_fitted"]["ece"]["value"],
    "grounding_ece": lambda of: round(statistics.mean(values(of("entailment"), "ece", BOTH)), 4),
    "features_grounding_mean_auc": lambda of: round(statistics.mean(values(of("grounding"), "auc")), 4),
    "features_summedits_balanced_accuracy": lambda of: round(
        100 * of("grounding")["summedits"][OWN]["mean"]["value"], 4
    ),
    "features_ece": lambda of: round(
        statistics.mean([*values(of("toxicity"), "ece"), *values(of("grounding"), "ece")]), 4
    ),
}
"""Means are over the families left out, with both labels, of others.

The figures of grounding are of ``entailment``, the features with the cross-encoder, as last measured by its own part
(``python -m tests.bench.quality.entailment``); those named ``features_…`` are of ``hallucination`` alone. ``ece`` and
``features_ece`` are over the families of toxicity too. Those of rows and contexts left out are of what is shipped:
fitted on all families, measured on what it has not seen of them.
"""


def main() -> None:
    data, work = ("--data", DATA, "folder of the data sets"), ("--work", WORK, "keeps fitted detectors between runs")
    options = options_of(__doc__, PARTS, FOLDER, data, work)
    common = ["--data", str(options.data), "--work", str(options.work), "--output", str(options.output)]
    failed = run(
        (part, f"tests.bench.quality.{part}", [*common, *(QUICK if options.quick else ())]) for part in options.parts
    )
    if options.output == FOLDER:
        report.main()
    print(json.dumps(summary(SUMMARY, options.output)), flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
