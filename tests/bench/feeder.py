"""Live traffic: sends records at a steady rate, each with the moment it is sent as its event time.

A process of its own, so that sending takes nothing from the worker but its share of the machine. Ends with one JSON
line: how many it sent, how far it fell behind its schedule, and when the first record of each incident was sent.

    python -m tests.bench.feeder '{"broker": …, "topic": …, "partitions": 4, "rate": 70, "seconds": 120}'
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from kafka import KafkaProducer

from inferwatch.schemas.clock import SystemClock
from tests.bench.workloads import Kind, records

PAUSE = 0.05
"""Seconds slept at least; what became due is sent together. Sent one by one, 240 records a second cost client and
broker a sixth of two cores, which a service whose applications and broker are elsewhere has for itself; so, a
sixteenth."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Every record of ``application`` fails from ``start`` on for ``seconds`` (both from the feed's beginning)."""

    application: str
    start: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Feed:
    """What to send where."""

    broker: str
    topic: str
    partitions: int
    rate: float
    seconds: float
    kind: Kind = "short"
    applications: Sequence[str] = ("bench",)
    incidents: Sequence[Incident] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fed:
    """What was sent. ``first_bad`` has one time for each incident."""

    sent: int
    behind_s: float
    first_bad: list[datetime | None]


def feed(what: Feed) -> Fed:
    """Send it all and return when the broker has it."""
    total = round(what.rate * what.seconds)
    prepared = records(what.kind, total)
    new: Any = KafkaProducer
    producer = new(bootstrap_servers=what.broker, linger_ms=5)
    clock = SystemClock()
    first_bad: list[datetime | None] = [None] * len(what.incidents)
    behind = 0.0
    start = time.perf_counter()
    for place, record in enumerate(prepared):
        due = place / what.rate
        elapsed = time.perf_counter() - start
        if elapsed < due:
            time.sleep(max(due - elapsed, PAUSE))
        behind = max(behind, elapsed - due)
        now = clock.now()
        now -= timedelta(microseconds=now.microsecond % 1000)
        application = what.applications[place % len(what.applications)]
        error = ""
        for number, incident in enumerate(what.incidents):
            if application == incident.application and 0 <= due - incident.start < incident.seconds:
                error = "upstream timeout"
                first_bad[number] = first_bad[number] or now
        changed = record | {"timestamp": now.isoformat(), "application": application, "error": error}
        producer.send(what.topic, orjson.dumps(changed), partition=place % what.partitions)
    producer.flush()
    producer.close()
    return Fed(total, behind, first_bad)


async def feeding(what: Feed) -> Fed:
    """Do it in a process of its own, which ends with this task."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.feeder", json.dumps(asdict(what)), stdout=asyncio.subprocess.PIPE
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"the feeder ended with {process.returncode}")
    found = json.loads(said.splitlines()[-1])
    times = [datetime.fromisoformat(at) if at else None for at in found["first_bad"]]
    return Fed(found["sent"], found["behind_s"], times)


def main() -> None:
    given = json.loads(sys.argv[1])
    given["incidents"] = [Incident(**one) for one in given.get("incidents", [])]
    print(orjson.dumps(asdict(feed(Feed(**given)))).decode())


if __name__ == "__main__":
    main()
