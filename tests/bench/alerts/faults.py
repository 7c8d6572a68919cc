"""Delivery under faults: processes that die at any call, receivers that are down, busy, broken, or accept in silence.

    python -m tests.bench.alerts.faults [--schedules N] [--output DIR]

Everything goes through ``decide`` and ``deliver``, the real notifiers and HTTP. Time is injected. A process dies at a
random call to the store, before it took effect or after, as one that is killed with SIGKILL does for whoever comes
after it: the successor knows what the store says. An alert is lost where a receiver that answers again has not been
told of it, or not of its end; a page is repeated where a person sees the same alert open twice.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.infra.notifiers import build, close
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import StoreUnavailable
from inferwatch.schemas.metrics import WindowMetric, wilson
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.alerting.engine import Alerting
from tests.bench.alerts.receivers import BROKEN, BUSY, DEAF, DOWN, Receiver, Trouble, listening
from tests.bench.alerts.results import FOLDER
from tests.bench.alerts.stores import temporary_store
from tests.bench.machine import machine, write
from tests.support.mortal import Mortal

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
APART = timedelta(days=30)
SIZE = timedelta(minutes=15)
EPISODE = (0, 20, 30, 25, 1, 0)
"""Errors in 100 calls, window by window: one alert that fires and resolves."""
APPLICATIONS = 3
PASSES = 240
"""How often delivery is tried again, 5 minutes apart, before what has not arrived counts as lost."""
KEY = "0123456789abcdef0123456789abcdef"
KINDS = (DOWN, BUSY, BROKEN, DEAF, "killed", "all of them")


class Schedule:
    """One schedule: an episode of several applications, its processes and its receivers."""

    def __init__(self, store: ClickHouseStore, seed: int) -> None:
        self._store, self._rng = store, random.Random(seed)
        self.kind = KINDS[seed % len(KINDS)]
        self._start = FIRST_DAY + seed * APART
        self._clock = ManualClock(self._start)
        self._lethal = 0.6 if self.kind in ("killed", "all of them") else 0.0
        self.applications = [f"a{seed}-{place}" for place in range(APPLICATIONS)]
        self.killed: Counter[str] = Counter()
        self.pager, self.hook = self._receiver(), self._receiver()

    def _receiver(self) -> Receiver:
        troubles = []
        for kind in (DOWN, BUSY, BROKEN, DEAF):
            if self.kind in (kind, "all of them"):
                begin = self._start + SIZE * self._rng.uniform(0, 4)
                length = timedelta(hours=1) if kind == DOWN else timedelta(minutes=self._rng.uniform(10, 60))
                share = 1.0 if kind == DOWN else self._rng.uniform(0.5, 1)
                troubles.append(Trouble(kind, begin, begin + length, share))
        self._rng.shuffle(troubles)
        return Receiver(self._clock, troubles, [self._rng.random() for _ in range(97)])

    async def run(self) -> None:
        """Go through the windows and deliver until every receiver has seen every alert end, or it is hopeless."""
        async with listening(self.pager, self.hook) as address:
            settings = Settings.model_validate(
                {
                    "rules": [{"name": "errors", "metric": "error.rate", "when": "> 5 %", "no_data": "keep"}],
                    "windows": {"size": SIZE},
                    "receivers": [
                        {"type": "pagerduty", "name": "pager", "url": f"{address}/pagerduty", "routing_key": KEY},
                        {"type": "webhook", "name": "hook", "url": f"{address}/webhook"},
                    ],
                }
            )
            notifiers = build(settings, self._clock)

            def process(store: Any) -> Alerting:
                return Alerting(settings, store, notifiers, self._clock)

            living = process(self._store)

            async def done(name: str, work: Callable[[Alerting], Awaitable[object]]) -> None:
                nonlocal living
                if await self._killed(name, process, work):
                    living = process(self._store)
                await work(living)

            try:
                for place, hits in enumerate(EPISODE):
                    window = Window(self._start + place * SIZE, self._start + (place + 1) * SIZE)
                    metrics = [_number(window, application, hits) for application in self.applications]
                    self._clock.advance(SIZE)
                    await done("decide", lambda one: _as_await(one.decide(window, metrics)))  # noqa: B023
                    for _ in range(self._rng.randint(0, 3)):
                        await done("deliver", lambda one: one.deliver())
                        self._clock.advance(timedelta(seconds=self._rng.uniform(0, 120)))
                for _ in range(PASSES):
                    await done("deliver", lambda one: one.deliver())
                    if self.lost() == 0:
                        break
                    self._lethal = 0.0
                    self._clock.advance(timedelta(minutes=5))
                # What is on its way twice arrives now.
                for _ in range(5):
                    await living.deliver()
                    self._clock.advance(timedelta(minutes=20))
            finally:
                await close(notifiers)

    async def _killed(
        self, name: str, process: Callable[[Any], Alerting], work: Callable[[Alerting], Awaitable[object]]
    ) -> int:
        """Let processes begin the work and die of it, or not; return how many died."""
        died = 0
        while self._rng.random() < self._lethal:
            mortal = Mortal(self._store, self._rng.randint(1, 8), after=self._rng.random() < 0.5)
            try:
                await work(process(mortal))
            except StoreUnavailable:
                died += 1
                self.killed[name] += 1
                self._clock.advance(timedelta(seconds=self._rng.choice([1, 40])))
        return died

    def lost(self) -> int:
        """Return how many alerts a receiver was not told the beginning or the end of."""
        return sum(
            "fired" not in seen or seen[-1] != "resolved"
            for receiver in (self.pager, self.hook)
            for seen in (receiver.history.get(application, []) for application in self.applications)
        )

    def repeated(self) -> int:
        """Return how many times an alert that had been seen opened once more."""
        return sum(
            max(0, seen.count("fired") - 1)
            for receiver in (self.pager, self.hook)
            for seen in receiver.history.values()
        )


def _number(window: Window, application: str, hits: int) -> WindowMetric:
    return WindowMetric(window, SeriesKey(application), "error.rate", hits / 100, 100, 100, *wilson(hits, 100))


async def _as_await(found: object) -> object:
    return found


async def measure(store: ClickHouseStore, seeds: Sequence[int]) -> dict[str, Any]:
    """Return what the schedules of ``seeds`` showed."""
    totals: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    failed: list[dict[str, Any]] = []
    for seed in seeds:
        schedule = Schedule(store, seed)
        await schedule.run()
        lost, repeated = schedule.lost(), schedule.repeated()
        kinds[schedule.kind] += 1
        totals.update(
            alerts=2 * APPLICATIONS,
            lost=lost,
            repeated=repeated,
            requests=schedule.pager.requests + schedule.hook.requests,
            absorbed=schedule.pager.absorbed + schedule.hook.absorbed,
            killed_deciding=schedule.killed["decide"],
            killed_delivering=schedule.killed["deliver"],
        )
        refused.update(schedule.pager.refused + schedule.hook.refused)
        if lost or repeated:
            histories = {"pager": schedule.pager.history, "hook": schedule.hook.history}
            failed.append({"seed": seed, "kind": schedule.kind, "histories": histories})
        print(f"schedule {seed} ({schedule.kind}): {lost} lost, {repeated} repeated", flush=True)
    return {
        "schedules": len(seeds),
        "kinds": dict(kinds),
        **{name: totals[name] for name in sorted(totals)},
        "refused": dict(refused),
        "failed": failed,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--schedules", type=int, default=60)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    around, began = machine(), time.perf_counter()
    with temporary_store() as store:
        found = asyncio.run(measure(store, range(options.schedules)))
    seconds = round(time.perf_counter() - began, 1)
    write("faults", {"machine": around, "seconds": seconds, **found}, options.output)


if __name__ == "__main__":
    main()
