"""How long one closed window takes with 10,000 rule instances, the store's reads and writes included.

    python -m tests.bench.alerts.speed [--instances N] [--windows N] [--output DIR]

The store holds a day of windows of every series, as a running service's does: what the rules look back to is read from
it. In each window one instance in a hundred fires and as many resolve; in the last, half of all fire at once.
"""

from __future__ import annotations

import argparse
import statistics
import time
from datetime import UTC, datetime, timedelta
from math import nan
from pathlib import Path
from typing import Any

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.metrics import WindowMetric, wilson
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.alerting.engine import Alerting
from inferwatch.streams.publication import publication
from tests.bench.alerts.results import FOLDER
from tests.bench.alerts.stores import temporary_store
from tests.bench.machine import machine, write

DAY = datetime(2026, 3, 1, tzinfo=UTC)
SIZE = timedelta(minutes=5)
APPLICATIONS, METRICS = 10, 10
N = 200
RULES: tuple[dict[str, Any], ...] = (
    {"when": "> 5 %"},
    {"when": "> 5 %", "for": "10m", "keep_firing_for": "15m"},
    {"when": "ci_low > 5 %", "resolve_when": "< 3 %"},
    {"when": "> 2", "compare": {"to": "previous", "over": "1h"}},
)
"""What is asked of every metric; comparing with an earlier hour costs a look at its windows."""


def settings_of(values: int) -> Settings:
    rules = [
        {"name": f"m{metric}-r{place}", "metric": f"score-{metric}.rate", "group_by": ["model"], **rule}
        for metric in range(METRICS)
        for place, rule in enumerate(RULES)
    ]
    segments = {"dimensions": ["model"], "max_values": values}
    return Settings.model_validate({"rules": rules, "windows": {"size": SIZE}, "segments": segments})


def numbers(window: Window, values: int, bad: int) -> list[WindowMetric]:
    """Return a window's numbers: of every ``bad``-th series 20 %, of the others 1 %; the bad ones differ by window."""
    place = (window.start - DAY) // SIZE
    found = []
    for metric in range(METRICS):
        for application in range(APPLICATIONS):
            for value in range(values):
                hits = N // 5 if bad and (value + application * values + 7 * place) % bad == 0 else N // 100
                series = SeriesKey(f"app-{application}", "model", f"model-{value}")
                found.append(WindowMetric(window, series, f"score-{metric}.rate", hits / N, N, N, *wilson(hits, N)))
    return found


def measure(store: ClickHouseStore, instances: int, windows: int, past: int) -> dict[str, Any]:
    """Return the seconds of ``windows`` windows with ``past`` before them, and of one in which half of all fire."""
    values = instances // (APPLICATIONS * METRICS * len(RULES))
    clock = ManualClock(DAY)
    alerting = Alerting(settings_of(values), store, {}, clock)
    seconds: list[float] = []
    transitions: list[int] = []
    storm, fired = nan, 0
    for place in range(past + windows + 1):
        window = Window(DAY + place * SIZE, DAY + (place + 1) * SIZE)
        last = place == past + windows
        found = publication(window, 0, N, numbers(window, values, 2 if last else 100 if place >= past else 0))
        store.insert("window_metrics_raw", found.metric_rows(clock.now()), token=found.token)
        if place >= past:
            began = time.perf_counter()
            changed = alerting.decide(window, found.metrics)
            took = time.perf_counter() - began
            if last:
                storm, fired = took, len(changed)
            else:
                seconds.append(took)
                transitions.append(len(changed))
        store.insert("windows_raw", found.window_row(clock.now()), token=found.token)
        clock.advance(SIZE)
    median = statistics.median(seconds)
    return {
        "instances": values * APPLICATIONS * METRICS * len(RULES),
        "series": values * APPLICATIONS * METRICS,
        "rules": METRICS * len(RULES),
        "windows_before": past,
        "windows": windows,
        "transitions": statistics.median(transitions),
        "seconds": {
            "median": round(median, 3),
            "max": round(max(seconds), 3),
            "all": [round(one, 3) for one in seconds],
        },
        "instances_per_s": round(values * APPLICATIONS * METRICS * len(RULES) / median),
        "storm": {"transitions": fired, "seconds": round(storm, 3)},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--windows", type=int, default=20)
    parser.add_argument("--past", type=int, default=288)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    around = machine()
    with temporary_store() as store:
        found = measure(store, options.instances, options.windows, options.past)
    print(f"{found['instances']:,} instances: {found['seconds']['median']} s a window", flush=True)
    write("speed", {"machine": around, **found}, options.output)


if __name__ == "__main__":
    main()
