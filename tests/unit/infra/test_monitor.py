"""Asking for the lag may go wrong in any way; the worker goes on, and the number is absent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from inferwatch.infra import monitoring
from inferwatch.infra.monitoring import Monitor
from inferwatch.infra.telemetry import Telemetry
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.settings import MonitoringSettings
from inferwatch.streams.consuming import StreamCounters
from inferwatch.streams.telemetry import ERRORS


class Stream:
    """As much of ``KafkaStream`` as is watched."""

    joined = True

    def __init__(self, lag: Callable[[], Awaitable[dict[int, int]]]) -> None:
        self.lag = lag
        self.counters = StreamCounters()

    def partitions(self) -> frozenset[int]:
        return frozenset({0})

    def queued(self) -> tuple[int, int]:
        return 0, 0


async def known() -> dict[int, int]:
    return {0: 7}


async def failing() -> dict[int, int]:
    raise ConnectionError("planted")


async def hanging() -> dict[int, int]:
    return await asyncio.get_running_loop().create_future()


async def closed_under_it() -> dict[int, int]:
    answer: asyncio.Future[dict[int, int]] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(answer.cancel)
    return await answer


def monitor(lag: Callable[[], Awaitable[dict[int, int]]]) -> Monitor:
    stream: Any = Stream(lag)
    clock: Any = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    return Monitor(MonitoringSettings(), None, clock, Telemetry(), stream)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lag", "error"), [(failing, "ConnectionError"), (hanging, "TimeoutError"), (closed_under_it, "CancelledError")]
)
async def test_a_look_survives_whatever_asking_runs_into(lag: Any, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "LOOK_SECONDS", 0.05)
    watched = monitor(lag)
    await watched.look()
    assert watched.telemetry.total(ERRORS, "reason") == {error: 1}


async def test_a_look_that_is_cancelled_itself_ends() -> None:
    looking = asyncio.ensure_future(monitor(hanging).look())
    await asyncio.sleep(0)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking


async def test_the_lag_is_shown() -> None:
    watched = monitor(known)
    await watched.look()
    assert b'inferwatch_consumer_lag_records{partition="0"} 7.0' in watched.telemetry.text()
