"""Backfill at full speed over historic offsets gives the windows and alerts that live traffic gave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.infra.web.queries import overview
from inferwatch.schemas.alerts import State
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.settings import Settings, StoreSettings
from inferwatch.schemas.windows import Window
from inferwatch.streams.alerting.engine import Alerting
from inferwatch.streams.closing import Closer
from inferwatch.streams.ports import Extent, RawRecord

DAY = datetime(2026, 3, 1, tzinfo=UTC)
PARTITIONS = 3
LATENESS = 30.0
MINUTES = 24
MINUTE = timedelta(minutes=1)
DATABASES = count()
Another = Callable[[str], StoreSettings]
NUMBERS = "SELECT * EXCEPT (revision, published_at, edition) FROM window_metrics"
TRANSITIONS = "SELECT * EXCEPT (decided_at) FROM alerts"


@dataclass
class Topic:
    """Three partitions that reach as far as the test says."""

    ends: dict[int, int]
    topic: str = "logs"

    def extents(self) -> dict[int, Extent]:
        return {number: Extent(0, end) for number, end in self.ends.items()}


@dataclass
class Service:
    """Pipeline, closer and alerts over one store, from a topic."""

    settings: Settings
    store: ClickHouseStore
    pipeline: Any
    topic: Topic
    clock: ManualClock

    def __post_init__(self) -> None:
        limits = {"length": 0.25}
        alerting = Alerting(self.settings, self.store, {}, self.clock, limits)
        self.closer = Closer(
            self.settings, self.store, self.clock, alerting, "hashed-words-1", limits, self.topic  # type: ignore[arg-type]
        )  # fmt: skip
        self.closed: list[Window] = []
        self.stored = dict.fromkeys(range(PARTITIONS), 0)

    def take(self, log: dict[int, list[RawRecord]], partition: int, most: int) -> None:
        """Store up to ``most`` of the partition's records that the source has."""
        start = self.stored[partition]
        end = min(start + most, self.topic.ends[partition])
        if end > start:
            self.pipeline.commit(self.pipeline.prepare(log[partition][start:end]))
            self.stored[partition] = end

    def tick(self) -> None:
        self.closed += self.closer.tick()

    def finish(self) -> None:
        """Let time pass until everything is closed."""
        for _ in range(7):
            self.clock.advance(2 * MINUTE)
            self.tick()


def log_of(random: Random, record: Any) -> dict[int, list[RawRecord]]:
    """Return partition -> records: one a minute or more each, out of order by less than the lateness."""
    found: dict[int, list[RawRecord]] = {}
    for partition in range(PARTITIONS):
        times = sorted(minute + random.random() for minute in range(MINUTES) for _ in range(random.choice([1, 1, 2])))
        times.sort(key=lambda at: at + random.random() * LATENESS / 60)
        found[partition] = [
            record(
                offset,
                minute=at,
                partition=partition,
                output="x" * (random.choice([40, 40, 40, 5]) if 8 < at < 17 else 5),
                model=random.choice("ab"),
            )
            for offset, at in enumerate(times)
        ]
    return found


def event_minute(raw: RawRecord) -> float:
    from inferwatch.streams.decode import decode

    return (decode(raw, max_future=timedelta(days=365)).timestamp - DAY) / MINUTE


def live(service: Service, log: dict[int, list[RawRecord]], random: Random) -> None:
    """Records come as they happen, and are stored a moment or a few minutes later."""
    for minute in range(1, MINUTES + 2):
        service.clock.advance(MINUTE)
        for partition, records in log.items():
            produced = [place for place, one in enumerate(records) if event_minute(one) < minute]
            service.topic.ends[partition] = max([service.topic.ends[partition], *(place + 1 for place in produced)])
        for partition in random.sample(range(PARTITIONS), PARTITIONS):
            if random.random() < 0.7:
                service.take(log, partition, random.randint(1, 9))
            if random.random() < 0.25:
                service.tick()
    backfill(service, log, random)


def backfill(service: Service, log: dict[int, list[RawRecord]], random: Random) -> None:
    """Everything is there, and is stored as fast as it goes, one partition far before another."""
    service.topic.ends = {partition: len(records) for partition, records in log.items()}
    while any(service.stored[partition] < len(records) for partition, records in log.items()):
        service.take(log, random.choice([0, 0, 0, 1, 2]), random.choice([1, 7, 30]))
        if random.random() < 0.3:
            service.tick()
    service.finish()


def configured(another: Another, slide: str | None) -> Settings:
    windows = {"size": "10m", "allowed_lateness": f"{LATENESS:.0f}s", "idle_timeout": "2m"}
    return Settings.model_validate(
        {
            "store": another(f"backfill_{next(DATABASES)}"),
            "windows": windows | ({"slide": slide} if slide else {}),
            "drift": {"min_rows": 10, "reference_rows": 50},
            "segments": {"dimensions": ["model"]},
            "rules": [{"name": "long", "metric": "length.rate", "when": "> 25 %", "min_events": 3}],
            "receivers": [{"type": "webhook", "name": "people", "url": "http://127.0.0.1:9/"}],
        }
    )


def rows(store: ClickHouseStore, sql: str) -> list[str]:
    """Return rows as text, so that NaN equals NaN."""
    return sorted(map(str, store.query(sql).to_pylist()))


def running(settings: Settings, build: Any) -> Iterator[Service]:
    with open_store(settings.store) as store:
        pipeline = build(store, windows=settings.windows.model_dump(exclude_none=True))
        yield Service(settings, store, pipeline, Topic(dict.fromkeys(range(PARTITIONS), 0)), ManualClock(DAY))


@pytest.mark.parametrize("slide", [None, "5m"], ids=["tumbling", "sliding"])
@examples(max_examples=2, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_backfill_gives_what_live_gave(another: Another, build: Any, record: Any, slide: str | None, seed: int) -> None:
    log = log_of(Random(seed), record)
    total = sum(map(len, log.values()))
    found = []
    for how in (live, backfill):
        for service in running(configured(another, slide), build):
            how(service, log, Random(seed + 1))
            found.append((rows(service.store, NUMBERS), rows(service.store, TRANSITIONS)))
            revised = service.store.query("SELECT countIf(revision > 0) AS n FROM windows").to_pylist()[0]["n"]
            assert revised == 0, "no record is later than the lateness allows"
            assert len(service.closed) == len(set(service.closed))
            _counted_once(service, total)
    assert found[0] == found[1]


def _counted_once(service: Service, total: int) -> None:
    """Every row is in as many windows as overlap, the web counts it once, and no alert takes a step twice."""
    windows = service.store.query("SELECT window_start, rows FROM windows").to_pylist()
    overlaps = service.settings.windows.size // service.settings.windows.step
    assert sum(window["rows"] for window in windows) == overlaps * total
    shown = overview(service.store)
    assert shown["totals"]["rows"] == total
    whole = [one["rows"] for one in shown["series"] if one["dimension"] == "__all__"]
    assert sum(whole) == total
    steps: dict[str, list[State]] = {}
    for one in service.store.query("SELECT fingerprint, from_state, to_state, at FROM alerts ORDER BY at").to_pylist():
        steps.setdefault(one["fingerprint"], []).append(one)
    assert steps, "the rule fires in some window"
    for own in steps.values():
        assert all(later["from_state"] == one["to_state"] for one, later in pairwise(own)), own
