"""``docs/drift-benchmarks.md`` and its plots, written from the raw results: no number in it is typed by hand.

python -m tests.bench.drift.report
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from inferwatch.detectors.drift.multiplicity import benjamini_hochberg
from tests.bench.drift.own import BOTH, NAME
from tests.bench.drift.plots import plot
from tests.bench.drift.power import SIGNIFICANT
from tests.bench.drift.results import FOLDER
from tests.bench.report import DOCS, assembled, measured_on, results, table

PAGE = DOCS / "drift-benchmarks.md"
PLOTS = DOCS / "drift-benchmarks"
Raw = Mapping[str, Any]


def main() -> None:
    found = results(FOLDER)
    PAGE.write_text(page(found))
    plot(found, PLOTS)


def page(found: Mapping[str, Raw]) -> str:
    """Return the page as Markdown."""
    return assembled(HEAD, SECTIONS, found)


HEAD = """
# Drift benchmarks

`make bench-drift` measures all of this again, `make bench-drift ARGS="power year"` parts of it. This page is written from the raw results in
`tests/bench/results/drift`, which also say versions and when they were measured. Real rows are outputs of ten models to the same 805 prompts
(AlpacaEval; not part of this repository, `ARGS="--data FILE"`), encoded by the bundled encoder in int8, their first 900 characters. The rivals
run in an environment of their own: Evidently's four embedding drift methods, and alibi-detect (Business Source License 1.1: for this
comparison only).
"""


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def interval(one: Mapping[str, float]) -> str:
    return f"{percent(one['rate'])} [{100 * one['low']:.1f}, {100 * one['high']:.1f}]"


def missing(raw: Raw) -> str:
    """Return what could not be run, and why."""
    said = [f"Not run: {name}: `{why.strip().splitlines()[-1]}`." for name, why in raw["missing"].items()]
    return "\n\n".join(["", *said]) if said else ""


def versions(raw: Raw) -> str:
    return ", ".join(f"{name} {version}" for name, version in raw["versions"].items())


def false_alarms(raw: Raw) -> str:
    shown = []
    for pool, rates in raw["pools"].items():
        own, rivals = rates[NAME], rates["rivals"]
        rows = [
            (
                n,
                interval(one),
                interval(own["0.01"][n]),
                *(interval(by[n]) if n in by else "" for by in rivals.values()),
            )
            for n, one in own["0.05"].items()
        ]
        head = ("n", f"{NAME} at 5 %", "at 1 %", *rivals)
        shown.append(
            f"{TITLES[pool]}:\n\n{table(head, rows)}\n\n![False alarms](drift-benchmarks/false-alarms-{pool}.svg)"
        )
    worst = raw["worst"]
    # Where this project's side was measured again: the rivals' side, which has not changed, on the same draws before.
    before = f" The rivals' columns, on the same draws: {measured_on(raw['rivals'])}" if "rivals" in raw else ""
    return f"""
## False alarms of one window

Windows in which nothing has changed; {raw["windows"]:,} a size, each against a freshly drawn reference of {raw["reference_rows"]:,} rows, drawn with replacement: the pool is the
population. In brackets the exact 95 % interval (Clopper and Pearson). {NAME} is asked for 5 % and 1 %; the rivals' columns are their default
rules, which for Evidently are fixed thresholds and for alibi-detect 5 % by 100 permutations. Furthest from 5 %: {interval(worst)} at n = {worst["n"]} ({worst["pool"]}).

{chr(10).join(one + chr(10) for one in shown)}{missing(raw)}
{versions(raw)}. {measured_on(raw)}{before}"""


TITLES = {"real": "Real outputs", "synthetic": "Synthetic: a mixture of clusters"}


def power(raw: Raw) -> str:
    methods = raw["methods"]
    kinds: dict[tuple[str, int, float], list[Raw]] = defaultdict(list)
    for one in raw["scenarios"]:
        kinds[one["kind"], one["n"], one["share"]].append(one)
    rows = []
    for (kind, n, share), own in sorted(kinds.items()):
        means = {method: sum(one["power"][method] for one in own) / len(own) for method in methods}
        best = max(means.values())
        shown = [f"**{percent(mean)}**" if mean == best else percent(mean) for mean in means.values()]
        rows.append((f"{kind}, n = {n}" + (f", {share:.0%}" if share < 1 else ""), f"{len(own)}", *shown))
    short = sorted(
        (one for one in raw["scenarios"] if one["best_rival"] and not one["compared"][BOTH]["at_least"]),
        key=lambda one: one["power"][BOTH] - one["power"][one["best_rival"]],
    )
    losses = [
        (
            titled(one),
            percent(one["power"][NAME]),
            percent(one["power"][BOTH]),
            percent(one["power"][one["best_rival"]]),
            one["best_rival"],
            f"{one['compared'][BOTH]['lower_p']:.3f}",
        )
        for one in short[:SHOWN]
    ]
    nulls = [one["null_windows"] for one in raw["scenarios"]]
    least, most = min(nulls), max(nulls)
    count, both = raw["count"], raw["count_with_given"]
    others = both["scenarios"] - both["plain"]
    rest = f" The {len(losses)} with the largest difference:" if others > SHOWN else ""
    lost = table(("scenario", NAME, "with output_given_input", "best rival", "which", "p"), losses) if losses else ""
    return f"""
## Power at the same rate of false alarms

Every method's own statistic, its threshold the 95 % quantile over null windows of the same sizes, on the same draws: {raw["repeats"]} windows a scenario, {least} to {most} null windows a
threshold. So a difference of a few percent between two methods is chance. Averages over the scenarios of a kind, the highest in bold:

{table(("", "scenarios", *methods), rows)}

Of **{count["scenarios"]}** scenarios, {NAME} finds

- by its default fields at least as much as the best rival in {counts(count)}
- with `drift.fields: [input, output, output_given_input]` in {counts(both)} There a change of
  outputs is looked for in both numbers of theirs, combined as in [the test](drift.md#the-test). The rivals take one matrix of vectors, that of the outputs, and are not told the inputs.

"Significantly" is by a one-sided exact McNemar test on the same draws, 5 %. The best of several equally good rivals is ahead by chance, which that count allows for and
the first does not.
{chosen_on(raw["scenarios"])}

![Power over contamination](drift-benchmarks/power.svg)

![Swaps](drift-benchmarks/swaps.svg)

With `output_given_input` behind the best rival as the numbers stand, in {others}.{rest} p is that of the McNemar test.

{lost}{missing(raw)}

{versions(raw)}. {measured_on(raw)}"""


def titled(one: Raw) -> str:
    """Return a scenario's name."""
    return f"{one['kind']}: {one['name']}, n = {one['n']}" + (f", {one['share']:.0%}" if one["share"] < 1 else "")


def again(raw: Raw) -> str:
    scenarios = raw["scenarios"]
    rows, kept_up = [], 0
    for one in scenarios:
        power, first = one["power"], one["was_ahead"]
        kept_up += power[BOTH] >= power[first]
        best, p = one["best_rival"], one["compared"][BOTH]["lower_p"]
        rows.append(
            (titled(one), *map(percent, (power[NAME], power[BOTH], power[first])), first, percent(power[best]), best, f"{p:.3f}")
        )  # fmt: skip
    less = sum(not one["compared"][BOTH]["not_lower"] for one in scenarios)
    of_all = sum(q <= SIGNIFICANT for q in benjamini_hochberg([one["compared"][BOTH]["lower_p"] for one in scenarios]))
    mean = {name: sum(one["power"][name] for one in scenarios) / len(scenarios) for name in raw["methods"]}
    return f"""
### Those behind, once more

Who is picked for having been behind was so partly by chance. The same {len(scenarios)} scenarios with other draws (`python -m tests.bench.drift.power --again --repeats {raw["repeats"]}`), {raw["repeats"]} windows each: at least as much as the rival that was ahead above in **{kept_up}**, significantly less than the best of all rivals (picked after the fact) in **{less}**, with regard to all {len(scenarios)} comparisons (Benjamini and Hochberg) in **{of_all}**.
Averages: {", ".join(f"{name} {percent(value)}" for name, value in mean.items())}.

{table(("scenario", NAME, "with output_given_input", "who was ahead", "which", "best rival now", "which", "p"), rows)}{missing(raw)}

{measured_on(raw)}"""


def counts(count: Mapping[str, int]) -> str:
    """Say in how many scenarios one side does how well."""
    return (
        f"**{count['plain']}** as the numbers stand (more in {count['more']}, as much in {count['ties']}), not significantly less in "
        f"**{count['not_lower']}**, significantly more than every rival in {count['significantly_more']}."
    )


SHOWN = 20
CHOSEN_ON = 5
"""Models whose outputs were also looked at when constants of the test were chosen (MODEL_CARD.md)."""


def chosen_on(scenarios: Sequence[Raw]) -> str:
    """Say what is left where no change is among models that were looked at before; which ones was not noted."""
    models = sorted({name for one in scenarios if one["kind"] == "swap" for name in one["name"].split(" -> ")})
    shares = []
    for known in map(set, combinations(models, CHOSEN_ON)):
        others = [one for one in scenarios if not set(re.split(r" -> | \+ ", one["name"])) <= known]
        if others and len(others) < len(scenarios):
            shares.append(sum(one["compared"][NAME]["at_least"] for one in others) / len(others))
    if not shares:
        return ""
    return f"""
Two constants of the test were chosen on swaps among five of these {len(models)} models, beside other data; which five was not noted. Without the changes among five of
them, whichever those are, it finds by its default fields at least as much as the best rival in {min(shares):.0%} to {max(shares):.0%} of the scenarios, instead of {sum(one["compared"][NAME]["at_least"] for one in scenarios) / len(scenarios):.0%}."""


def given(raw: Raw) -> str:
    left = raw["variance_left"].values()
    rows = [(n, interval(one), interval(raw["rates"]["0.01"][n])) for n, one in raw["rates"]["0.05"].items()]
    return f"""
## Outputs given their inputs

Of the variance of the outputs of a model, {min(left):.0%} to {max(left):.0%} are left without what they share with their inputs ({len(left)} models). False alarms of one window of
`output_given_input`, of the same draws as above ({raw["windows"]:,} a size); where 5 % is above the interval, it alarms less often than it is asked to:

{table(("n", "at 5 %", "at 1 %"), rows)}

{measured_on(raw)}"""


def delay(raw: Raw) -> str:
    found = raw["found"]

    def share(one: Raw, within: str) -> str:
        return f"{one['within'][within]:.0%}"

    head = ("sudden", "median", "p90", "within 1", "within 2", "within 3", "within 6", "fired before")
    sudden = "\n\n".join(
        f"Reference of {int(rows):,} rows:\n\n"
        + table(
            head,
            [
                (
                    name, f"{one['median']:.0f}", f"{one['p90']:.0f}", *(share(one, n) for n in ("1", "2", "3", "6")),
                    f"{one['fired_before']}",
                )
                for name, one in changes.items()
            ],
        )
        for rows, changes in found["sudden"].items()
    )  # fmt: skip
    slow = [(name, f"{one['median_days']:.1f}", f"{one['p90_days']:.1f}") for name, one in found["slow"].items()]
    equal = raw["equal"]
    methods = list(next(iter(found["equal"].values())))
    rows = [
        (method, *(f"{by[method]['mean']:.0f} / {by[method]['median']:.0f}" for by in found["equal"].values()))
        for method in methods
        if all(by[method]["rows"] for by in found["equal"].values())
    ]
    streams = len(next(iter(found["sudden"][str(raw["reference_rows"])].values()))["delays"])
    return f"""
## Delay

With `false_alarms: "1 per {raw["budget_days"]}d"`, windows of {raw["rows"]} rows, {streams} streams a change, each with a reference of its own. Windows from the change to the page:

{sudden}

A share that grows by {raw["slow"]["share_a_day"]:.0%} of traffic a day, windows of {raw["slow"]["rows"]} rows every five minutes, references of {raw["reference_rows"]:,} rows. Days until the page:

{table(("slow", "median", "p90"), slow)}

![Delay](drift-benchmarks/delay.svg)

Beside the rivals, at the same expected run time of {equal["run_time_rows"]:,} rows without a change ({NAME}: a recurrence of that; a statistic of windows of {equal["rows"]} rows: its quantile; the online
detector: configured for it with {equal["bootstraps"]:,} simulations). Rows until the page, mean / median; a stream without one counts as {equal["longest_rows"]:,}. *null* is without a change: more is better.

{table(("", *found["equal"]), rows)}{missing(raw)}

{versions(raw)}. {measured_on(raw)}"""


def told(raw: Raw) -> str:
    rows = [
        (name, f"{one['auc']:.3f}", *(f"{one['within'][n]:.0%}" for n in ("1", "2", "3", "6")))
        for name, one in raw["found"].items()
    ]
    return f"""
### Found by somebody who was told

A yardstick for the table above: a logistic regression that learned from labels what is normal and what is new (prompts apart), and knows the share. Its sum of log likelihood
ratios since the change may have begun (Page) pages once in {raw["budget_days"]} days without one ({raw["windows"]:,} null windows), {raw["streams"]:,} streams a change. A drift test has seen only what is normal.

{table(("sudden", "rows told apart, AUC", "within 1", "within 2", "within 3", "within 6"), rows)}

{measured_on(raw)}"""


def level(raw: Raw) -> str:
    def found(one: Raw, at: str) -> tuple[str, ...]:
        return interval(one[at]["null"]), *(f"{one[at]['within'][n]['rate']:.0%}" for n in ("1", "2", "3"))

    shown = "\n\n".join(
        f"p-value at most {at}:\n\n"
        + table(
            ("sudden", "without the change", "within 1", "within 2", "within 3"),
            [(name, *found(one, at)) for name, one in raw["found"].items()],
        )
        for at in ("0.05", "0.01")
    )
    return f"""
### By the p-values of single windows

A page a month is much to ask. Each window's own `drift.<field>.p_value` says sooner that something has changed, and errs as often as its level, in one of 20 or of 100 windows: to look at, not to be woken by.
The same changes, windows of {raw["rows"]} rows, {raw["references"]} references of {raw["reference_rows"]:,} rows each. In how many of them one of the first windows with the change is at or below the level:

{shown}

{measured_on(raw)}"""


def year(raw: Raw) -> str:
    sides = raw["by_reference_rows"]
    rows = raw["rows_a_window"]
    years = len(next(iter(sides.values()))["pages"])
    lines = [
        [
            f"{int(m):,}",
            f"**{one['mean']:.1f}**",
            f"{one['low']:.1f} to {one['high']:.1f}",
            f"{one['poisson']['low']:.1f} to {one['poisson']['high']:.1f}",
            f"{np.median(one['pages']):g}",
            f"{sum(pages > raw['budget'] for pages in one['pages'])} of {years}",
        ]
        for m, one in sides.items()
    ]
    return f"""
## A year without a change

{years} simulated years of {raw["windows_a_year"]:,} windows of five minutes ({rows["mean"]} rows on average, {rows["mean"] - rows["swing"]} to {rows["mean"] + rows["swing"]} over the day), each with a reference of its own, by the scan over
{len(raw["spans"])} scales, `false_alarms: "1 per {raw["budget_days"]}d"`: {raw["budget"]:.1f} pages a year are in the budget. References of the least rows that the service freezes by itself, and of the default. The intervals are 95 % ones of the mean over
years and references (bootstrap of years), and what they would be if pages were independent. The promise is one on average: all windows of a year share one reference, and an unlucky one gives many.

{table(["rows of the reference", "pages a year", "95 % interval", "if independent", "median year", "years over the budget"], lines)}

{"".join(f"By year, {int(m):,} rows: {', '.join(str(pages) for pages in one['pages'])}." + chr(10) for m, one in sides.items())}
![Pages](drift-benchmarks/year.svg)

{measured_on(raw)}"""


def speed(raw: Raw) -> str:
    rows = [
        (
            name,
            f"{'over ' * one.get('stopped', False)}{1e3 * one['median_s']:,.1f}",
            f"{'over ' * one.get('stopped', False)}{one['own_speedup']:,.1f}",
            f"{one['peak_mib']:,.0f}" if one["peak_mib"] else "-",
        )
        for name, one in sorted(raw["sides"].items(), key=lambda item: item[1]["median_s"])
    ]
    fast = raw["speedup_vs_evidently_fastest"]
    faster = (
        f"**{fast['report']:,.0f} times** as fast as the fastest of Evidently's reports and {fast['function']:,.2f} times as the fastest of its bare functions"
        if fast["report"] and fast["function"]
        else "not compared with Evidently, which could not be run"
    )
    windows = [(f"{int(n):,}", f"{1e3 * seconds:.2f}") for n, seconds in raw["window_s"].items()]
    own = [1e3 * seconds for seconds in raw["sides"][NAME]["seconds"]]
    times = max((len(one["seconds"]) for name, one in raw["sides"].items() if name != NAME), default=0)
    return f"""
## Time and memory

{raw["rows"]:,} against {raw["rows"]:,} vectors of {raw["dim"]} numbers, side by side in turn. {NAME} compares with a prepared reference, {faster}. Preparing a reference takes {raw["prepare_median_s"]:.2f} s, once.
Medians of {len(own)} comparisons of {NAME}, which took {min(own):.0f} to {max(own):.0f} ms, and of {times} of the others.
*function* is Evidently's method by itself, on data frames that are there; *report* is `Report([EmbeddingsDrift(…)]).run(…)`, the way its users have, which also projects the
vectors for a picture. Evidently's fastest function, the distance of means, has no null distribution at all: its threshold is a constant.

{table(("", "ms", f"{NAME} is faster by", "largest resident MiB"), rows)}

One window against a reference of 1,000 rows; the service samples at most `drift.window_rows` of a window, so that more traffic than that costs no more:

{table(("rows", "ms"), windows)}{missing(raw)}

{versions(raw)}. {measured_on(raw)}"""


SECTIONS = {
    "false_alarms": false_alarms,
    "given": given,
    "year": year,
    "power": power,
    "power_again": again,
    "delay": delay,
    "told": told,
    "level": level,
    "speed": speed,
}


if __name__ == "__main__":
    main()
