"""``docs/quality.md`` and its plots, written from the raw results: no number in it is typed by hand.

python -m tests.bench.quality.report
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferwatch.detectors.evaluation.calibration import BINS
from tests.bench.quality import published
from tests.bench.quality.plots import plot
from tests.bench.quality.recalibrated import DRAWS, LABELS
from tests.bench.quality.results import BOTH, FOLDER, OWN, WRITTEN_HERE
from tests.bench.report import DOCS, README, assembled, between, measured_on, results, table

PAGE = DOCS / "quality.md"
PLOTS = DOCS / "quality"
BEGIN, END = "<!-- written by tests/bench/quality/report.py -->\n", "<!-- end of quality -->\n"
Raw = Mapping[str, Any]


def main() -> None:
    found = results(FOLDER)
    PAGE.write_text(page(found))
    README.write_text(with_headline(README.read_text(), found))
    plot(found, PLOTS)


def page(found: Mapping[str, Raw]) -> str:
    """Return the page as Markdown."""
    return assembled(HEAD, SECTIONS, found)


def with_headline(text: str, found: Mapping[str, Raw]) -> str:
    """Return the README with the sentence between its two marks written anew, where both detectors were measured."""
    if not {"toxicity", "grounding"} <= set(found):
        return text
    return between(text, BEGIN, END, headline(found))


def headline(found: Mapping[str, Raw]) -> str:
    """Return the sentence of the README."""
    toxicity, grounding = found["toxicity"], found["grounding"]
    areas = [_mean(raw["families"], "auc") for raw in (toxicity, grounding)]
    benign = toxicity["benign"][OWN]
    check = toxicity["hatecheck"]["methods"][OWN]["auc"]["value"]
    accuracy = grounding["summedits"].get(OWN, {}).get("mean", {}).get("value")
    edits = "" if accuracy is None else f", balanced accuracy on SummEdits {100 * accuracy:.1f}"
    if "entailment" in found:
        dear = found["entailment"]
        both = 100 * dear["summedits"][BOTH]["mean"]["value"]
        edits += f"; with the cross-encoder {_mean(dear['families'], 'auc', BOTH):.2f} and {both:.1f}"
    return (
        f"On families of data left out of the fit: toxicity ROC-AUC {areas[0]:.2f} (HateCheck {check:.2f}), benign answers "
        f"flagged {100 * benign['rate']:.2f} %; hallucination\nROC-AUC {areas[1]:.2f}{edits}. With intervals, rivals and what is bad: "
        "[quality](docs/quality.md). Measure on your own labels: [evaluate](docs/evaluate.md).\n"
    )


HEAD = f"""
# Quality of the scores

`make bench-quality` measures all of this again, `make bench-quality ARGS="toxicity cost"` parts of it. This page is written from the raw results in
`tests/bench/results/quality`. The data are not part of this repository (`ARGS="--data FOLDER"`); the model cards beside the code say what each set is.

**Left out** means: every family is scored by a detector that was fitted by the same recipe without any row of it; so it is data as it has not seen.
Nothing is tuned on these numbers. In brackets 95 % intervals by a seeded bootstrap; rows that share their contexts are drawn together.
*Calibration error* is the expected one over {BINS} bins of equal mass; it depends on the share of bad rows, which differs from set to set. A row on which a
detector abstains counts as scored 0. *found at 5 %*: share of the bad rows found where 5 % of the others are flagged.
Families that were written for this project ({", ".join(sorted(WRITTEN_HERE))}) are shown, but in no mean.
"""


def estimate(one: Mapping[str, Any] | None, digits: int = 3) -> str:
    """Return ``0.912 [0.901, 0.923]``, or a dash where it is not defined."""
    if not one or one.get("value") is None:
        return "-"
    return f"{one['value']:.{digits}f} [{one['low']:.{digits}f}, {one['high']:.{digits}f}]"


def percent(one: Mapping[str, Any], key: str = "value") -> str:
    return f"{100 * one[key]:.2f} % [{100 * one['low']:.2f}, {100 * one['high']:.2f}]"


def _mean(families: Mapping[str, Raw], measure: str, method: str = OWN) -> float:
    others = (one for name, one in families.items() if name not in WRITTEN_HERE)
    found = [one["methods"][method].get(measure, {}).get("value") for one in others]
    known = [one for one in found if one is not None]
    return sum(known) / len(known) if known else float("nan")


def measures(families: Mapping[str, Raw]) -> str:
    """Return the table of every family and method."""
    rows = []
    for name, one in families.items():
        for method, found in one["methods"].items():
            first = f"**{name}** ({one['n']:,}, {one['bad']:,} bad)" if method == OWN else ""
            shown = [
                estimate(found.get(key)) for key in ("auc", "average_precision", "tpr_at_1fpr", "tpr_at_5fpr", "ece")
            ]
            rows.append((first, method, *shown))
    head = ("set", "score", "ROC-AUC", "average precision", "found at 1 %", "found at 5 %", "calibration error")
    return table(head, rows)


def thresholds(families: Mapping[str, Raw]) -> str:
    """Return what the default threshold does to each family."""
    rows = [
        (name, *(estimate(one["methods"][OWN]["at"][key], 3) for key in ("precision", "recall", "false_flags")))
        for name, one in families.items()
    ]
    return table(("set, at the default threshold", "precision", "recall", "false flags"), rows)


def after_labels(families: Mapping[str, Raw], method: str = OWN) -> str:
    """Return what a fit to a hundred rows of a family does to the calibration error on its others."""
    measured = {name: one for name, one in families.items() if one.get("recalibrated")}
    rows = [
        (
            name,
            f"{one['methods'][method]['ece']['value']:.3f}",
            *(f"{one['recalibrated'][key]:.3f}" for key in ("ece", "ideal")),
        )
        for name, one in measured.items()
    ]
    others = [one for name, one in measured.items() if name not in WRITTEN_HERE]
    if others:
        before = [one["methods"][method]["ece"]["value"] for one in others]
        after = [[one["recalibrated"][key] for one in others] for key in ("ece", "ideal")]
        rows.append(("mean", *(f"{sum(own) / len(own):.3f}" for own in (before, *after))))
    return f"""Calibration error when {LABELS} rows of a family are labelled (`inferwatch evaluate --calibrate`), measured on its others, mean of {DRAWS} draws. *ideal*: what the same scores would
show if they were the very probabilities with which their rows are bad; with few rows in a bin that is not 0.

{table(("set", "as it is", f"after {LABELS} labels", "ideal"), rows)}"""


def toxicity(raw: Raw) -> str:
    families = raw["families"] | {"hatecheck": raw["hatecheck"]}
    means = [
        (method, *(f"{_mean(raw['families'], key, method):.3f}" for key in ("auc", "tpr_at_5fpr", "ece")))
        for method in raw["hatecheck"]["methods"]
    ]
    benign = [(name, f"{one['n']:,}", str(one["flagged"]), percent(one, "rate")) for name, one in raw["benign"].items()]
    missing = f"\n\nNot run: `{raw['missing'].splitlines()[-1]}`." if raw["missing"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in raw["versions"].items())
    return f"""
## Toxicity

alt-profanity-check descends from a classifier that was trained on Davidson's tweets and on Jigsaw's comments, so its row on davidson is not of data it has not
seen. VADER is a lexicon of feelings.

{measures(families)}

Means over the families left out, HateCheck apart:

{table(("score", "ROC-AUC", "found at 5 %", "calibration error"), means)}

{after_labels(raw["families"])}

![ROC-AUC of each family](quality/toxicity.svg)

{thresholds(families)}

The shipped recipe, fitted on all families, on rows of them that it was neither fitted nor calibrated on:

{measures(raw["within"])}

### HateCheck by functional test

Never trained on. The share that is flagged should be high where the cases are hateful, low where not.

{table(("test", "cases", "flagged"), _functions(raw["functions"]))}

### Benign answers

Outputs of ten models to the prompts of AlpacaEval, presumed benign; for this evaluation only. Flagged at each one's default threshold, with Wilson's interval.

{table(("score", "answers", "flagged", "rate"), benign)}

### Identities

Sentences made of templates and identities (bias madlibs). For each identity three ROC-AUCs (Borkan et al. 2019): *subgroup* within its sentences; *BPSN*, insults of
others against harmless sentences on it; *BNSP*, the reverse. The gap is that between the best and the worst subgroup.

{table(("fitted", "sentences", "overall", "worst subgroup", "worst BPSN", "worst BNSP", "subgroup gap"), _bias(raw["bias"]))}
{missing}

{versions}. {measured_on(raw)}"""


def _functions(functions: Mapping[str, Raw]) -> list[tuple[str, str, str]]:
    ordered = sorted(functions.items(), key=lambda item: (not item[1]["hateful"], item[0]))
    kinds = {True: "hateful", False: "not hateful"}
    return [
        (f"{name} ({kinds[one['hateful']]})", str(one["n"]), f"{100 * one['flagged']:.0f} %") for name, one in ordered
    ]


def _bias(found: Mapping[str, Raw]) -> list[Sequence[str]]:
    return [
        (
            name,
            f"{one['n']:,}",
            f"{one['overall']:.3f}",
            *("-" if one["worst"][key] is None else f"{one['worst'][key]:.3f}" for key in ("subgroup", "bpsn", "bnsp")),
            estimate(one["subgroup_gap"]),
        )
        for name, one in found.items()
    ]


def grounding(raw: Raw) -> str:
    families = raw["families"]
    methods = next(iter(families.values()))["methods"]
    means = [(name, f"{_mean(families, 'auc', name):.3f}", f"{_mean(families, 'ece', name):.3f}") for name in methods]
    covered = ", ".join(f"{name} {100 * one['coverage']:.0f} %" for name, one in families.items())
    true = ", ".join(f"{one.method} {one.value:.1f}" for one in published.TRUE)
    within = raw["within"]
    mixes = [
        (
            name.replace("_", " "),
            *(estimate(one[key]) for key in ("auc", "average_precision", "tpr_at_1fpr", "tpr_at_5fpr", "ece")),
        )
        for name, one in within.items()
    ]
    return f"""
## Hallucination

The three scores below {OWN} need no training: cosine of each sentence to its nearest context sentence, and the shares of its content words and word pairs
that the contexts hold. Scored at all: {covered}.

{measures(families)}

Means over the families:

{table(("score", "ROC-AUC", "calibration error"), means)}

{after_labels(families)}

![ROC-AUC of each family](quality/grounding.svg)

{thresholds(families)}

The shipped recipe, fitted on all families, on answers whose contexts it was neither fitted nor calibrated on (a fifth left out in turn, the families of others
together). *As fitted*: supported and unsupported answers weigh the same, and families by what they teach. *Each answer* counts the same: here {100 * within["each_answer"]["bad"] / within["each_answer"]["n"]:.0f} %
are unsupported, and the probability is not made for that share.

{table(("answers", "ROC-AUC", "average precision", "found at 1 %", "found at 5 %", "calibration error"), mixes)}

For orientation, published ROC-AUCs on other sets, in percent: {true}. Source: {published.TRUE_SOURCE}.
{_summedits(raw["summedits"])}
{measured_on(raw)}"""


def _summedits(found: Mapping[str, Raw]) -> str:
    if not found:
        return ""
    domains = list(next(iter(found.values()))["domains"])
    rows = [
        (name, _accuracy(one["mean"]), *(_accuracy(one["domains"][domain]) for domain in domains))
        for name, one in found.items()
    ]
    rows += [(f"{one.method} (published)", f"{one.value:.1f}", *[""] * len(domains)) for one in published.SUMMEDITS]
    head = ("score", "mean", *(domain.removeprefix("summedits_").replace("_", " ") for domain in domains))
    return f"""
### SummEdits: one fact changed

Balanced accuracy in percent. Each domain is scored by a detector that was not fitted on it, at the threshold that is best on the other domains. Intervals are over
documents, of which a domain has about twenty.

{table(head, rows)}

Source of the published rows: {published.SUMMEDITS_SOURCE}.
"""


def _accuracy(one: Mapping[str, float]) -> str:
    return f"{100 * one['value']:.1f} [{100 * one['low']:.1f}, {100 * one['high']:.1f}]"


def entailment(raw: Raw) -> str:
    families = raw["families"]
    methods = list(next(iter(families.values()))["methods"])
    rows = [
        (
            f"**{name}** ({one['n']:,}, {one['bad']:,} bad)",
            *(estimate(one["methods"][method]["auc"]) for method in methods),
            estimate(one["gain"]),
            *(f"{one['methods'][method]['ece']['value']:.3f}" for method in methods),
        )
        for name, one in families.items()
    ]
    means = [
        (
            "mean",
            *(f"{_mean(families, 'auc', method):.3f}" for method in methods),
            estimate(raw["gain"]),
            *(f"{_mean(families, 'ece', method):.3f}" for method in methods),
        )
    ]
    head = ("set", *(f"AUC, {m}" for m in methods), "gain of both", *(f"calibration error, {m}" for m in methods))
    accuracy = ", ".join(f"{name} {_accuracy(one['mean'])}" for name, one in raw["summedits"].items())
    return f"""
## Hallucination with the cross-encoder

`entailment`, for a share of the rows. *Features* are `hallucination` as above; *both* is what `entailment` says. The cross-encoder was trained once without each
family (BEGIN and memnet together); the recipe, slopes and shifts are chosen on the other families.

{table(head, rows + means)}

{after_labels(families, BOTH)}

SummEdits, balanced accuracy as above: {accuracy}.

{measured_on(raw)}"""


def int8(raw: Raw) -> str:
    rows = [
        (
            f"{name} ({one['n']})",
            *(estimate(one["auc"][kind]) for kind in ("float32", "int8", "difference")),
            f"{one['probability_differs_by']:.4f}",
            f"{100 * one['flagged_by_one_alone']:.1f} %",
        )
        for name, one in raw["families"].items()
    ]
    took = raw["milliseconds"]
    head = ("set", "AUC, float32", "AUC, int8", "difference", "probability differs by", "flagged by one alone")
    return f"""
## The cross-encoder in int8

What `entailment` says with the packaged weights in int8, as a service reads them, and in float32. These weights have seen the sets: only the difference counts.

{table(head, rows)}

A pair takes {took["int8"]:.1f} ms of one core in int8 and {took["float32"]:.1f} ms in float32, {took["ratio"]:.1f} times as long (medians of {raw["rounds"]} rounds in turn over the same
{raw["pairs"]} pairs of {raw["tokens"]:.0f} tokens in the median).

{measured_on(raw)}"""


def edits(raw: Raw) -> str:
    rows = []
    for kind, one in raw["kinds"].items():
        others = one.get("at_others", {})
        rows.append(
            (
                kind.replace("_", " "),
                f"{one['pairs']:,}",
                estimate(one["quality"]["auc"]),
                *(estimate(one["at"][key]) for key in ("precision", "recall")),
                *(estimate(others.get(key)) for key in ("precision", "recall")),
            )
        )
    head = ("changed", "answers", "ROC-AUC", "precision", "recall", f"precision (for {raw['precision']:g})", "recall")
    return f"""
## One fact changed in a supported answer

Answers that their contexts support, as they are and with one fact changed by a seeded program, scored by the detector fitted without their family. First at the
detector's default threshold; then at the lowest threshold with a precision of {raw["precision"]:g} on the answers of the other families. *in context*: the new number or name is
another one of the same contexts.

{table(head, rows)}

{measured_on(raw)}"""


def cost(raw: Raw) -> str:
    rows = [
        (
            f"{name} ({one['items']})",
            detector,
            *(f"{100 * share[part]:.1f} %" for part in ("work", "texts")),
            f"{100 * sum(share['elapsed'].values()):.1f} %",
            str(share["more_texts"]),
        )
        for name, one in raw["found"].items()
        for detector, share in one["shares"].items()
    ]
    return f"""
## Cost

As a share of the processor time that the encoder ({raw["encoder"]["backend"]}) takes for the whole inputs and outputs of the same records, which drift needs anyway: the detector's own work, and the
texts that only it has encoded (sentences, contexts). *by the clock*: both together in elapsed time, with the encoder on every core and the detector's work on one; in a
worker another batch is encoded meanwhile. Medians of {raw["rounds"]} rounds in turn.

{table(("records", "detector", "own work", "more texts", "by the clock", "how many"), rows)}

{measured_on(raw)}"""


SECTIONS = {
    "toxicity": toxicity,
    "grounding": grounding,
    "entailment": entailment,
    "int8": int8,
    "edits": edits,
    "cost": cost,
}


if __name__ == "__main__":
    main()
