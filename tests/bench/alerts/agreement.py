"""Live alerts, tests of rules and back-tests agree: the same histories through all three, with crashes on the way.

    python -m tests.bench.alerts.agreement [--histories N] [--output DIR]

Live is ``Alerting`` over the embedded store, killed at random calls to it and repeated at random. A test of rules is
``Memory``, fed with the same windows. A back-test is ``Memory`` fed with what the store recorded. A replay decides
every window once more. A history disagrees where any of them has another transition, or another order of them.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from math import isnan
from pathlib import Path
from typing import Any

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.alerts import ACTIVE, Transition
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import StoreUnavailable
from inferwatch.schemas.settings import Settings
from inferwatch.streams.alerting.backtest import see
from inferwatch.streams.alerting.engine import Alerting
from inferwatch.streams.alerting.evaluation import Memory
from inferwatch.streams.alerting.recorded import recorded
from inferwatch.streams.publication import publication
from tests.bench.alerts.histories import FIRST_DAY, SIZE, Event, Run, run
from tests.bench.alerts.results import FOLDER
from tests.bench.alerts.stores import temporary_store
from tests.bench.machine import machine, write
from tests.support.mortal import Mortal

PER_RUN = 50
"""Histories that go through the same windows: what a window costs is shared by them."""
MORTALITY = 0.3
"""How often a process dies while it decides a window, and how often it is delivered again."""
Row = tuple[Any, ...]


class Live:
    """The service's side of a run: publishes, decides, dies, is started again and goes on."""

    def __init__(self, store: ClickHouseStore, of: Run, rng: random.Random) -> None:
        self._store, self._rng = store, rng
        windows = {"size": SIZE, "slide": of.slide}
        self._settings = Settings.model_validate({"rules": of.rules, "windows": windows})
        self._clock = ManualClock(FIRST_DAY)
        self.crashes = self.repeated = 0

    def go(self, events: Sequence[Event], slide: timedelta) -> None:
        """Take ``events`` as the closer does."""
        passed = None
        for event in events:
            self._clock.advance(timedelta(seconds=1))
            if event.window is None:
                if passed is not None and event.until > passed:
                    self._until_done(lambda one, began=passed, until=event.until: one.let_pass(began, until))
                    passed = event.until
                continue
            window, before = event.window, event.window.end - slide
            if passed is not None and before > passed:
                self._until_done(lambda one, began=passed, until=before: one.let_pass(began, until))
                passed = before
            found = publication(window, event.revision, 1 + len(event.metrics), event.metrics)
            self._store.insert("window_metrics_raw", found.metric_rows(self._clock.now()), token=found.token)
            self._until_done(lambda one, found=found, until=passed: one.decide(found.window, found.metrics, until))
            row = found.window_row(self._clock.now(), passed)
            self._store.insert("windows_raw", row, token=found.token)
            passed = window.end if passed is None else max(passed, window.end)

    def _until_done(self, work: Callable[[Alerting], object]) -> None:
        if self._rng.random() < MORTALITY:
            mortal = Mortal(self._store, self._rng.randint(1, 5), after=self._rng.random() < 0.5)
            try:
                work(Alerting(self._settings, mortal, {}, self._clock))
            except StoreUnavailable:
                self.crashes += 1
        for _ in range(2 if self._rng.random() < MORTALITY else 1):
            work(Alerting(self._settings, self._store, {}, self._clock))
            self.repeated += 1


def decided(store: ClickHouseStore, of: Run) -> list[Row]:
    """Return what the store has of a run's alerts."""
    rows = store.query(
        "SELECT id, alert_id, fingerprint, rule, from_state, to_state, a.at AS at, since, a.value AS value, n, "
        "threshold, sequence FROM alerts AS a WHERE rule IN {rules:Array(String)}",
        {"rules": [rule.name for rule in of.rules]},
    ).to_pylist()
    return sorted(tuple(_plain(value) for value in row.values()) for row in rows)


def remembered(transitions: Sequence[Transition]) -> list[Row]:
    """Return transitions as ``decided`` does. One that a later revision repeats replaces the first, as in the store."""
    found = {
        one.id: (
            one.id, one.alert_id, one.fingerprint, one.rule, one.from_state.value, one.to_state.value, one.at,
            one.since, _plain(one.value), one.n, one.threshold, one.sequence,
        )
        for one in sorted(transitions, key=lambda one: one.sequence)
    }  # fmt: skip
    return sorted(found.values())


def _plain(value: Any) -> Any:
    return "NaN" if isinstance(value, float) and isnan(value) else value


def tested(of: Run) -> list[Row]:
    """Return what a test of the rules sees."""
    memory = Memory(of.rules, SIZE, of.slide)
    for event in of.events:
        if event.window is None:
            memory.advance(event.until)
        else:
            memory.feed(event.window, event.metrics)
    return remembered(memory.transitions)


def backtested(store: ClickHouseStore, of: Run) -> list[Row]:
    """Return what a back-test of the recorded windows sees, in the order in which they were published."""
    first, last = of.events[0], max(event.until for event in of.events)
    memory = Memory(of.rules, SIZE, of.slide)
    for look in recorded(store, of.rules, first.until - 2 * SIZE, last + SIZE):
        see(memory, look)
    memory.advance(last)
    return remembered(memory.transitions)


def replayed(store: ClickHouseStore, of: Run) -> list[Row]:
    """Return what the store has after every window was decided once more, by its newest revision."""
    settings = Settings.model_validate({"rules": of.rules, "windows": {"size": SIZE, "slide": of.slide}})
    newest = {event.window: event for event in of.events if event.window is not None}
    again, last = Alerting(settings, store, {}, ManualClock(FIRST_DAY)), max(event.until for event in of.events)
    for window, event in sorted(newest.items()):
        again.decide(window, event.metrics, last)
    return decided(store, of)


def disagreeing(of: Run, views: dict[str, list[Row]]) -> dict[str, set[str]]:
    """Return application -> which views differ from the live one."""
    rules = {rule.name: rule.applications[0] for rule in of.rules}
    found: dict[str, set[str]] = defaultdict(set)
    for name, view in views.items():
        for row in set(view) ^ set(views["live"]):
            found[rules[row[3]]].add(name)
    return found


def measure(store: ClickHouseStore, seed: int, histories: int) -> dict[str, Any]:
    """Take one run through all; return what it had and where it disagrees."""
    of = run(seed, histories)
    live = Live(store, of, random.Random(seed))
    live.go(of.events, of.slide)
    views = {"live": decided(store, of), "test": tested(of), "backtest": backtested(store, of)}
    views["replay"] = replayed(store, of)
    states = Counter(row[5] for row in views["live"])
    paged = Counter(row[1] for row in views["live"] if row[5] == "firing" and row[4] not in ACTIVE)
    return {
        "histories": histories,
        "instances": len({row[2] for row in views["live"]}),
        "windows": len({event.window for event in of.events if event.window is not None}),
        "revisions": sum(event.revision > 0 for event in of.events),
        "crashes": live.crashes,
        "decisions": live.repeated,
        "transitions": states,
        "paged_twice": sum(count > 1 for count in paged.values()),
        "disagreements": {name: sorted(views) for name, views in disagreeing(of, views).items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    began, around = time.perf_counter(), machine()
    totals: Counter[str] = Counter()
    transitions: Counter[str] = Counter()
    disagreements: dict[str, list[str]] = {}
    with temporary_store() as store:
        for seed in range(-(-options.histories // PER_RUN)):
            found = measure(store, seed, min(PER_RUN, options.histories - seed * PER_RUN))
            transitions.update(found["transitions"])
            disagreements |= found["disagreements"]
            totals.update({name: value for name, value in found.items() if isinstance(value, int)})
            print(f"{totals['histories']} histories, {len(disagreements)} disagree", flush=True)
            summed = {
                "machine": around,
                "seconds": round(time.perf_counter() - began, 1),
                **totals,
                "transitions": dict(sorted(transitions.items())),
                "disagreements": len(disagreements),
                "disagreeing": disagreements,
            }
            write("agreement", summed, options.output)


if __name__ == "__main__":
    main()
