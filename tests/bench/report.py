"""``docs/benchmarks.md`` and its plots, written from the raw results: no number in it is typed by hand.

python -m tests.bench.report
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

from tests.bench.machine import RESULTS, read

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "benchmarks.md"
README = DOCS.parent / "README.md"
BEGIN, END = "<!-- written by tests/bench/report.py -->\n", "<!-- end -->\n"
PLOTS = DOCS / "benchmarks"
Raw = Mapping[str, Any]


def main() -> None:
    found = results()
    PAGE.write_text(page(found))
    README.write_text(with_headline(README.read_text(), found))
    plot(found, PLOTS)


def results(folder: Path = RESULTS) -> dict[str, Raw]:
    """Return part -> raw result, of the parts that were measured."""
    return {file.stem: read(file.stem, folder) for file in sorted(folder.glob("*.json"))}


def page(found: Mapping[str, Raw]) -> str:
    """Return the page as Markdown."""
    return assembled(HEAD, SECTIONS, found)


def assembled(head: str, sections: Mapping[str, Callable[[Raw], str]], found: Mapping[str, Raw]) -> str:
    """Return a page: the head, and the section of each part that was measured."""
    parts = [head, *(write(found[name]) for name, write in sections.items() if name in found)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def between(text: str, begin: str, end: str, new: str) -> str:
    """Return ``text`` with what stands between its two marks written anew."""
    before, _, rest = text.partition(begin)
    return before + begin + new + end + rest.partition(end)[2]


HEAD = """
# Benchmarks

`make bench` measures all of this again, `make bench ARGS="encoders growth"` parts of it, `make soak` memory over 100 minutes. This page is
written from the raw results in `tests/bench/results`, which also say versions and when they were measured. Every ratio compares the same
work in one run on one machine, side by side in turn. Texts are composed of the demo's sentences, every one distinct; *short*
texts have about 30 tokens, *long* ones about 256, and a record has two of them.
"""


def with_headline(text: str, found: Mapping[str, Raw]) -> str:
    """Return the README with the numbers between its two marks written anew."""
    return between(text, BEGIN, END, headline(found))


def headline(found: Mapping[str, Raw]) -> str:
    """Return the few numbers that the README shows; every part must have been measured."""
    short, long = (found["throughput"]["workloads"][kind] for kind in ("short", "long"))
    encoders, late, grown, static = (found[name] for name in ("encoders", "latency", "growth", "static"))
    machine = found["throughput"]["machine"]
    chosen = encoders["short"]["sides"]["chosen"]
    rows = [
        (
            "end to end against the bare encoder, short / long texts",
            f"{short['ratio']:.2f} / {long['ratio']:.2f}",
            f"{short['end_to_end_per_s']:.0f} / {long['end_to_end_per_s']:.0f} inferences/s",
        ),
        (
            f"encoder ({encoders['encoders']['chosen']['backend']}) against sentence-transformers fp32, short texts",
            f"{chosen['speedup']:.2f} x",
            f"{chosen['texts_per_s']:.0f} texts/s",
        ),
        ("static tier, end to end, one worker", f"{static['per_s']:,.0f} inferences/s", "drift only"),
        (
            "event to row, p95, at 70 % of the highest rate",
            f"{late['row_s']['p95']:.2f} s",
            f"{late['rate_per_s']:.0f}/s",
        ),
        (
            "first failed event to alert, p95",
            f"{late['alert_s']['p95']:.1f} s",
            f"windows of {late['window_s']:.0f} s, lateness {late['lateness_s']:.0f} s",
        ),
        (
            f"cost a row in a window of {grown['sizes'][-1]['rows']:,} rows against 1,000",
            f"{grown['largest_over_1000']:.2f} x",
            "with scoring",
        ),
    ]
    on = f"On {machine['cores']} cores of {machine['cpu']}, everything in one process, broker and load generator beside it:"
    return f"{on}\n\n{table(('', 'measured', ''), rows)}\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measured_on(raw: Raw) -> str:
    machine = raw["machine"]
    known = ", ".join(machine["instructions"])
    busy = f"load {machine['load_before']} before"
    return f"Measured {raw['measured_at'][:10]} on {machine['cores']} cores of {machine['cpu']} ({known}); {busy}."


def throughput(raw: Raw) -> str:
    rows = [
        (
            kind,
            f"{one['bare_per_s']:.0f}",
            f"{one['end_to_end_per_s']:.0f}",
            f"**{one['ratio']:.3f}**",
            " ".join(f"{pair['ratio']:.3f}" for pair in one["pairs"]),
            f"{one['pairs'][0]['windows_closed']}",
        )
        for kind, one in raw["workloads"].items()
    ]
    head = ("texts", "bare encoder, records/s", "end to end, records/s", "ratio (median)", "pairs", "windows closed")
    return f"""
## End to end against the bare encoder

From a filled Kafka topic through decoding, redaction, scoring, ClickHouse and closing windows, against the bare encoder on the same distinct
texts in one call. Encoder: `{raw["encoder"]["backend"]}`. Windows are of 5 minutes, as by default, and of 5 s in `short_5s`: sixty times as many to close.

{table(head, rows)}

{measured_on(raw)}"""


def encoders(raw: Raw) -> str:
    rows = []
    for name, short in raw["short"]["sides"].items():
        long = raw["long"]["sides"][name]
        shown = f"chosen by `auto`: {raw['encoders']['chosen']['backend']}" if name == "chosen" else name
        near = short["cosine"]
        rows.append(
            (
                shown,
                f"{short['texts_per_s']:,.0f}",
                f"{short['speedup']:.2f}",
                f"{long['texts_per_s']:,.0f}",
                f"{long['speedup']:.2f}",
                f"{1e3 * short['single_p50_s']:.2f}",
                f"{near['mean']:.4f} / {near['p1']:.4f}" if near else "another space",
            )
        )
    head = (
        "backend",
        "short, texts/s",
        "speed-up",
        "long, texts/s",
        "speed-up",
        "one short text, ms",
        "cosine, mean / p1",
    )
    return f"""
## Encoders

Against `SentenceTransformer.encode` as its users call it (fp32, 32 texts a batch, all cores). Cosines are to its vectors; those of model2vec
to the static tier's, whose token vectors it was given.

{table(head, rows)}

![Texts a second](benchmarks/encoders.svg)

{measured_on(raw)}"""


def static(raw: Raw) -> str:
    profile = raw["profiled"]["profile"]
    rows = [(one["thread"], f"`{one['function']}`", f"{100 * one['share']:.0f} %") for one in profile["within"][:14]]
    runs = ", ".join(f"{one['per_s']:.0f}" for one in raw["runs"])
    cpu = raw["runs"][0]
    return f"""
## The static tier in one worker

**{raw["per_s"]:,.0f} inferences a second** end to end in one process (runs: {runs}), drift only, `kafka.batch_records: 2048`, windows of 5 s; the bare encoder reaches
{raw["bare_per_s"]:,.0f}. A run of {cpu["records"]:,} records took {cpu["seconds"]:.1f} s, {cpu["worker_cpu_s"]:.1f} s of processor time in the worker (the store's engine
included) and {cpu["broker_cpu_s"]:.1f} s in the broker. Where threads were, by a sampling profiler (shares of the time; inner functions count within outer ones; a
thread that waits for the interpreter's lock counts as busy):

{table(("thread", "within", "share of the time"), rows)}

{measured_on(raw)}"""


def latency(raw: Raw) -> str:
    rows = []
    for name, key in (
        ("event to row", "row_s"),
        ("first failed event to alert", "alert_s"),
        ("end of the window to alert", "alert_after_window_s"),
    ):
        found = raw[key]
        rows.append((name, *(f"{found[one]:.2f}" for one in ("p50", "p95", "p99", "max"))))
    promised = raw["window_s"] + raw["lateness_s"] + 5
    return f"""
## Latency at 70 % of the highest rate

{raw["rate_per_s"]:.0f} records a second for {raw["seconds"]:.0f} s ({raw["rows_measured"]:,} rows, {len(raw["alerts"])} incidents), windows of {raw["window_s"]:.0f} s, lateness {raw["lateness_s"]:.0f} s. An incident begins
anywhere in a window; one window + lateness + 5 s = {promised:.0f} s is promised from its first failed event to the receiver having the alert. Seconds:

{table(("", "p50", "p95", "p99", "max"), rows)}

In the first {raw["starting"]["seconds"]:.0f} s, which are not in the table, the worker joins and catches up, and freezes each application's references
as soon as the records for them are there: some seconds of a core, once. Event to row then: {raw["starting"]["row_s"]["p95"]:.1f} s at p95, {raw["starting"]["row_s"]["max"]:.1f} s at most.

![Event to row](benchmarks/latency.svg)

{measured_on(raw)}"""


def growth(raw: Raw) -> str:
    rows = [
        (
            f"{one['rows']:,}",
            f"{one['commit_ms_a_row']:.3f}",
            f"{one['close_s']:.2f}",
            f"{one['close_ms_a_row']:.4f}",
            f"{raw['ms_a_row'][str(one['rows'])]:.3f}",
            f"{1e3 * one['idle_tick_s']:.0f}",
        )
        for one in raw["sizes"]
    ]
    head = (
        "rows in the window",
        "store, ms/row",
        "closing, s",
        "closing, ms/row",
        "all with scoring, ms/row",
        "a look, ms",
    )
    segments = [(f"{one['segments']:,}", f"{one['metrics']:,}", f"{one['aggregate_s']:.2f}") for one in raw["segments"]]
    return f"""
## Cost as windows grow

Scoring costs {raw["prepare_ms_a_row"]:.2f} ms a row here, whatever the window. A window of {raw["sizes"][-1]["rows"]:,} rows costs **{raw["largest_over_1000"]:.2f}** times as much a row as one of 1,000
with scoring, {raw["store_largest_over_1000"]:.2f} times without it (closing has a fixed part, which many rows share).

{table(head, rows)}

![Cost a row](benchmarks/growth.svg)

Aggregating one window of {raw["segments"][0]["rows"]:,} rows by one dimension:

{table(("segments", "numbers", "seconds"), segments)}

{measured_on(raw)}"""


def scaling(raw: Raw) -> str:
    rows = [
        (str(one["workers"]), f"{one['per_s']:,.0f}", *(f"{found:.2f}" for found in one["cores_used"].values()))
        for one in raw["runs"]
    ]
    return f"""
## One worker and two

The static tier, one store for all in a process of its own. Broker, store and workers share {raw["cores"]} cores: **{raw["ratio"]:.2f}** times the rate with two.

{table(("workers", "inferences/s", "cores used: workers", "store", "broker"), rows)}

{measured_on(raw)}"""


def rivals(raw: Raw) -> str:
    rows = [
        (f"{name} {raw['versions'].get(name, '')}".strip(), f"{one['per_s']:.1f}", f"**{one['own_speedup']:.1f}**")
        for name, one in raw["sides"].items()
    ]
    return f"""
## Beside LangKit and Evidently

{raw["conversations"]} conversations of short texts, {raw["rounds"]} rounds in turn, all with the same model. LangKit's `response.relevance_to_prompt` and Evidently's
`SemanticSimilarity` encode input and output and compare them. inferwatch decodes and redacts the record, encodes both, and scores toxicity and
hallucination too; its encoder is `{raw["encoder"]["backend"]}`, theirs runs in fp32. The others' toxicity needs models from a hub and could not be run. Evidently 0.7.23 cannot be imported beside pandas 3, which its
requirements allow; it was given pandas 2.

{table(("", "conversations/s", "inferwatch is faster by"), rows)}

{measured_on(raw)}"""


def soak(raw: Raw) -> str:
    slope = raw["slope"]
    low, high = slope["interval"]
    looks = raw["looks"]
    names = {
        "glibc_in_use": "in use with glibc (models, Arrow, large Python objects), MiB",
        "engine_in_use": "in use with the embedded engine, MiB",
        "engine_resident": "held by the embedded engine, MiB",
        "python_arenas": "arenas of Python's small objects, MiB",
        "threads": "threads",
        "parts": "parts of tables",
        "outdated_parts": "parts merged away and not yet deleted",
    }
    ends = [raw["minutes"] * 60 * tenth / 10 for tenth in range(11)]
    spans = [
        (f"{start / 60:.0f} to {end / 60:.0f}", inside)
        for start, end in pairwise(ends)
        if (inside := [one for one in looks if start <= one["at"] < end])
    ]
    rows = [
        (label, *(f"{mean(one[name] for one in inside):.0f}" for _, inside in spans)) for name, label in names.items()
    ]
    return f"""
## Memory

One worker under {raw["rate_per_s"]:.0f} records a second for {raw["minutes"]:.0f} minutes ({raw["records"]:,} records, {raw["windows_closed"]} windows). After {raw["warm_up_minutes"]:.0f} minutes of warm-up:
{slope["mean_mib"]:.0f} MiB, **{slope["mib_an_hour"]:+.1f} MiB an hour** (95 % interval {low:+.1f} to {high:+.1f}).

![Resident memory](benchmarks/soak.svg)

Whose memory it is, by minutes (means of a look a minute); stacks of threads and what glibc keeps for later are in none of it:

{table(("", *(span for span, _ in spans)), rows)}

{measured_on(raw)}"""


SECTIONS = {
    "throughput": throughput,
    "encoders": encoders,
    "rivals": rivals,
    "static": static,
    "scaling": scaling,
    "latency": latency,
    "growth": growth,
    "soak": soak,
}


def plot(found: Mapping[str, Raw], folder: Path) -> None:
    """Draw what is measured, as SVG."""
    # Imported here: whoever only reads the page needs none of it.
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "inferwatch", "figure.figsize": (7, 3.2), "axes.grid": True})
    folder.mkdir(exist_ok=True)

    def save(name: str, xlabel: str, ylabel: str) -> None:
        plt.xlabel(xlabel)
        plt.ylabel(ylabel)
        plt.tight_layout()
        plt.savefig(folder / f"{name}.svg", metadata={"Date": None})
        plt.close()

    if raw := found.get("encoders"):
        sides = raw["short"]["sides"]
        plt.barh(list(sides), [one["texts_per_s"] for one in sides.values()])
        plt.xscale("log")
        save("encoders", "short texts a second (logarithmic)", "")
    if raw := found.get("latency"):
        plt.plot(raw["row_s"]["percentiles"], range(1, 100))
        plt.xlim(left=0)
        save("latency", "seconds from event to row", "percent of rows")
    if raw := found.get("growth"):
        rows = [one["rows"] for one in raw["sizes"]]
        plt.plot(rows, [raw["ms_a_row"][str(n)] for n in rows], marker="o", label="with scoring")
        plt.plot(rows, [raw["store_ms_a_row"][str(n)] for n in rows], marker="o", label="storing and closing")
        plt.xscale("log")
        plt.ylim(bottom=0)
        plt.legend()
        save("growth", "rows in the window", "ms a row")
    if raw := found.get("soak"):
        at, mib = zip(*raw["samples"], strict=True)
        plt.plot([one / 60 for one in at], mib)
        plt.ylim(bottom=0)
        save("soak", "minutes", "resident memory, MiB")


if __name__ == "__main__":
    main()
