"""A hung loop is told from an idle one, and a slow store from a dead one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from inferwatch.infra import health as module
from inferwatch.infra.health import Health, Readiness, healthy
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import StoreUnavailable

LIMIT = timedelta(seconds=60)


def ticking() -> ManualClock:
    return ManualClock(datetime(2026, 3, 1, tzinfo=UTC))


def test_a_loop_that_moves_is_alive_however_long_it_works() -> None:
    clock, done = ticking(), 0
    health = Health(LIMIT, clock)
    health.watch("stream", lambda: done)
    for _ in range(10):
        clock.advance(timedelta(seconds=59))
        done += 1
        assert healthy(health.report())


def test_a_loop_with_work_that_does_not_move_is_hung_until_it_moves_again() -> None:
    clock = ticking()
    sign: Hashable = 1
    health = Health(LIMIT, clock)
    health.watch("stream", lambda: sign)
    health.watch("closing", lambda: clock.monotonic())
    clock.advance(timedelta(seconds=60))
    assert health.report() == {"stream": "no sign of life for 60 s (limit 60 s)", "closing": "ok"}
    assert not healthy(health.report())
    sign = 2
    assert healthy(health.report())


def test_a_loop_without_work_is_not_hung() -> None:
    clock = ticking()
    sign: Hashable = None
    health = Health(LIMIT, clock)
    health.watch("stream", lambda: sign)
    clock.advance(timedelta(hours=5))
    assert healthy(health.report())
    sign = 7  # work arrives after hours of none
    assert healthy(health.report())
    clock.advance(timedelta(seconds=61))
    assert not healthy(health.report())


class Engine:
    """A store that answers when let, or refuses."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.let.set()
        self.refuses = False
        self.asked = 0

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        self.asked += 1
        assert self.let.wait(30)
        if self.refuses:
            raise StoreUnavailable("refused by 10.0.0.7:8123")
        return pa.table({})

    def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        raise AssertionError("a probe writes nothing")


async def test_ready_is_a_member_of_the_group_with_a_store_that_answers() -> None:
    engine, joined = Engine(), False
    ready = Readiness(engine, lambda: joined)
    assert await ready.report() == {"group": "not a member of the consumer group (yet)", "store": "ok"}
    joined = True
    assert healthy(await ready.report())
    engine.refuses = True
    assert await ready.report() == {"group": "ok", "store": "does not answer (StoreUnavailable)"}


async def test_probes_of_a_hanging_store_do_not_pile_up(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)
    engine = Engine()
    engine.let.clear()
    ready = Readiness(engine)
    reports = await asyncio.gather(*(ready.report() for _ in range(20)))
    assert not any(healthy(report) for report in reports)
    assert engine.asked == 1
    engine.let.set()
    while not healthy(await ready.report()):
        await asyncio.sleep(0.01)
    assert engine.asked <= 3
