"""``docs/alert-benchmarks.md``, written from the raw results: no number in it is typed by hand.

python -m tests.bench.alerts.report
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.bench.alerts.results import FOLDER
from tests.bench.report import DOCS, assembled, measured_on, results, table

PAGE = DOCS / "alert-benchmarks.md"
Raw = Mapping[str, Any]


def main() -> None:
    PAGE.write_text(page(results(FOLDER)))


def page(found: Mapping[str, Raw]) -> str:
    """Return the page as Markdown."""
    return assembled(HEAD, SECTIONS, found)


HEAD = """
# Alert benchmarks

`make bench-alerts` measures all of this again, `make bench-alerts ARGS="faults"` parts of it. This page is written from the raw results in
`tests/bench/results/alerts`, which also say versions and when they were measured.
"""


def agreement(raw: Raw) -> str:
    states = ", ".join(f"{count:,} to {state}" for state, count in raw["transitions"].items())
    return f"""
## Live, test, back-test

{raw["histories"]:,} random histories with {raw["instances"]:,} alert instances that changed state: rules of every kind (`for`,
`keep_firing_for`, recovery thresholds, intervals, earlier periods, burn rates, segments over their cap, every policy for silence), and
windows with gaps, too few rows, faults, and {raw["revisions"]:,} revisions by late data. *Live* is the service's alerting over the
embedded store; its process was killed {raw["crashes"]:,} times at a random call to the store, and windows were decided
{raw["decisions"]:,} times, some of them twice. *Test* is what `rules test` runs on, *back-test* the same on what the store recorded, and
*replay* every window decided once more. Transitions: {states}.

| histories where any of the four differs | episodes that paged twice |
|---|---|
| {raw["disagreements"]} | {raw["paged_twice"]} |

{measured_on(raw)}
"""


def speed(raw: Raw) -> str:
    seconds, storm = raw["seconds"], raw["storm"]
    rows = [
        ("a window, median", f"{seconds['median']} s", f"{raw['transitions']:.0f}"),
        (f"a window, slowest of {raw['windows']}", f"{seconds['max']} s", ""),
        ("a window in which half of all fire at once", f"{storm['seconds']} s", f"{storm['transitions']:,}"),
    ]
    return f"""
## Rule instances a window

{raw["instances"]:,} instances of {raw["rules"]} rules over {raw["series"]:,} series, with {raw["windows_before"]} windows of each in the
store. Reading what was decided and what the rules look back to, judging, and writing what changed:
{raw["instances_per_s"]:,} instances/s.

{table(("", "", "transitions"), rows)}

{measured_on(raw)}
"""


def faults(raw: Raw) -> str:
    refused = ", ".join(f"{count:,} {kind}" for kind, count in sorted(raw["refused"].items()))
    return f"""
## Delivery under faults

{raw["schedules"]} schedules of alerts that fire and resolve, to a stand-in for PagerDuty and a webhook over HTTP: {_kinds(raw)}. Requests
that went wrong: {refused}. Processes died {raw["killed_deciding"]} times while they decided and {raw["killed_delivering"]} times while they
delivered. Time is injected: a receiver that is down is down for an hour.

| alerts, times receivers | lost | seen twice | requests | absorbed by the receiver's key |
|---|---|---|---|---|
| {raw["alerts"]:,} | {raw["lost"]} | {raw["repeated"]} | {raw["requests"]:,} | {raw["absorbed"]} |

{measured_on(raw)}
"""


def _kinds(raw: Raw) -> str:
    return ", ".join(f"{kind} ({count})" for kind, count in raw["kinds"].items())


SECTIONS = {"agreement": agreement, "speed": speed, "faults": faults}


if __name__ == "__main__":
    main()
