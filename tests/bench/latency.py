"""How long an event takes to become a row, and an incident an alert, at 70 % of the highest rate.

A worker first reads a filled topic, which gives its highest rate here and now. Then another process sends records live
at 70 % of it, each with the moment of sending as its event time, to a worker with 20 s windows.

- Event to row: from a record's event time to the return of the commit that stored it, when every query sees it. The
  beginning is apart (``starting``): the worker joins and catches up, and once the applications have 5,000 records
  each their references are frozen, six at once, which takes a core some 15 s, and what waited meanwhile is scored. It
  ends two minutes after those records are sent.
- Event to alert: now and then every record of one of three applications fails for as long as a window. A rule fires at
  an error rate of 2 % in a window. From the event time of the first failed record to the moment a local HTTP receiver
  has the alert. The first window with a failure in it must end and wait for late records first, so one window +
  lateness + 5 s is promised. Incidents begin anywhere in a window. Also: from the end of the alert's
  window to its acceptance.

    python -m tests.bench.latency [--seconds 150] [--warm-up SECONDS] [--window 20] [--pilot 15] [--output DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from aiohttp import web

from inferwatch.infra.assembly import load_models
from inferwatch.infra.local.broker import LocalKafka
from inferwatch.infra.topics import ensure_topics
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.settings import Settings
from tests.bench.encoding import bare, describe
from tests.bench.feeder import Fed, Feed, Incident, feeding
from tests.bench.machine import RESULTS, machine, write
from tests.bench.service import Notes, cached, produce, run, settings_for, stored, until
from tests.bench.throughput import PILOT
from tests.bench.workloads import records, stamped

LATENESS = 2.0
LOAD = 0.7
SETTLING = 120.0
"""Seconds from the last record that a reference needs until it is frozen, and what waited meanwhile is scored."""
APPLICATIONS = ("alpha", "beta", "gamma")
EVERY = 3
"""Windows between two incidents of one application: it recovers before the next."""
RULE = {"name": "errors", "metric": "error.rate", "when": ">= 0.02", "min_events": 10, "receivers": ["bench"]}


@dataclass(frozen=True, slots=True)
class Accepted:
    """One alert as the receiver took it. ``window_end`` is the end of the window that decided it."""

    at: datetime
    application: str
    window_end: datetime


@asynccontextmanager
async def receiver(taken: list[Accepted]) -> AsyncIterator[str]:
    """A local web server that accepts every firing alert; yields its address."""
    clock = SystemClock()

    async def take(request: web.Request) -> web.Response:
        note = (await request.json())["notification"]
        if note["status"] == "firing":
            taken.append(Accepted(clock.now(), note["labels"]["application"], datetime.fromisoformat(note["at"])))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/"
    finally:
        await runner.cleanup()


def incidents(begin: float, end: float, window: float) -> list[Incident]:
    """Return the incidents of each application, begun anywhere in a window, the same every time."""
    rng = Random("incidents")
    every = EVERY * window
    found = []
    for place, application in enumerate(APPLICATIONS):
        start = begin + place * window
        while start + every < end:
            found.append(Incident(application, start + rng.random() * window, window))
            start += every
    return found


def warm_up(rate: float) -> float:
    """Return the seconds at the beginning that are left out, at ``rate`` records a second."""
    return len(APPLICATIONS) * Settings().drift.reference_rows / rate + SETTLING


async def live(feed: Feed, settings: Settings, models: Any, taken: list[Accepted]) -> tuple[Notes, Fed]:
    """Run a worker under the feed until everything sent is stored."""
    fed: list[Fed] = []

    async def sending() -> None:
        fed.append(await feeding(feed))

    notes = await run(settings, models, lambda notes: bool(fed) and notes.records >= fed[0].sent, meanwhile=[sending()])
    return notes, fed[0]


async def measure(
    broker: str, dsn: str, rate: float, starting: float, seconds: float, window: float, models: Any
) -> dict[str, Any]:
    """Return the latencies under ``rate`` records a second, of ``seconds`` after the ``starting`` ones."""
    taken: list[Accepted] = []
    async with receiver(taken) as url:
        settings = settings_for(
            "latency", broker, dsn,
            windows={"size": window, "allowed_lateness": LATENESS},
            receivers=[{"type": "webhook", "name": "bench", "url": url}],
            rules=[RULE],
        )  # fmt: skip
        ensure_topics(settings.kafka)
        feed = Feed(
            broker, settings.kafka.topic, settings.kafka.partitions, rate, starting + seconds,
            applications=APPLICATIONS, incidents=incidents(starting, starting + seconds, window),
        )  # fmt: skip
        notes, fed = await live(feed, settings, models, taken)
    left = stored(settings, expected=fed.sent)
    begin = notes.began + starting
    lags = np.array([lag for commit in notes.commits if commit.at >= begin for lag in commit.lags])
    before = [lag for commit in notes.commits if commit.at < begin for lag in commit.lags]
    alerts = [_alert(incident, first, taken) for incident, first in zip(feed.incidents, fed.first_bad, strict=True)]
    missed = [one for one in alerts if one["accepted"] is None]
    if missed:
        raise RuntimeError(f"no alert came for {len(missed)} of {len(alerts)} incidents: {missed}")
    return {
        "records": fed.sent,
        "rows_measured": len(lags),
        "feeder_behind_s": fed.behind_s,
        "windows_closed": left.windows,
        "windows_revised": left.revised,
        "row_s": _quantiles(lags) | {"percentiles": [round(float(q), 4) for q in np.percentile(lags, range(1, 100))]},
        "starting": {"seconds": starting, "row_s": _quantiles(before)},
        "alerts": alerts,
        "alert_s": _quantiles([one["after_first_bad_s"] for one in alerts]),
        "alert_after_window_s": _quantiles([one["after_window_s"] for one in alerts]),
    }


def _alert(incident: Incident, first: datetime | None, taken: Sequence[Accepted]) -> dict[str, Any]:
    """Match an incident with the first alert of its application after it began."""
    found = [one for one in taken if first and one.application == incident.application and one.window_end >= first]
    accepted = min(found, key=lambda one: one.at, default=None)
    if accepted is None or first is None:
        return {"application": incident.application, "first_bad": str(first), "accepted": None}
    return {
        "application": incident.application,
        "first_bad": first.isoformat(),
        "accepted": accepted.at.isoformat(),
        "window_end": accepted.window_end.isoformat(),
        "after_first_bad_s": (accepted.at - first).total_seconds(),
        "after_window_s": (accepted.at - accepted.window_end).total_seconds(),
    }


def _quantiles(values: Any) -> dict[str, float]:
    found = np.percentile(np.asarray(values, float), [50, 95, 99, 100])
    return {name: round(float(value), 4) for name, value in zip(("p50", "p95", "p99", "max"), found, strict=True)}


def highest_rate(broker: str, dsn: str, seconds: float, models: Any) -> float:
    """Return inferences a second of a worker that reads a filled topic for about ``seconds``."""
    rate = 0.0
    for name, wanted in (("pilot", 0.0), ("highest", seconds)):
        n = max(PILOT["short"], round(rate * wanted))
        settings = settings_for(name, broker, dsn)
        produce(settings.kafka, stamped(records("short", n), 100))
        notes = asyncio.run(run(settings, models, until(n)))
        rate = n / notes.seconds
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=150, help="measured, after the warm-up")
    parser.add_argument("--warm-up", type=float, help="seconds; by default as long as references take")
    parser.add_argument("--window", type=float, default=20)
    parser.add_argument("--pilot", type=float, default=15)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    about = machine()
    loaded, detectors = load_models(Settings())
    encoder = bare(loaded)

    models = cached(encoder, detectors)

    with tempfile.TemporaryDirectory() as folder, LocalKafka() as broker:
        dsn = f"chdb://{Path(folder) / 'store'}"
        highest = highest_rate(broker.bootstrap_servers, dsn, options.pilot, models)
        rate = LOAD * highest
        starting = warm_up(rate) if options.warm_up is None else options.warm_up
        print(f"highest rate {highest:.0f}/s; now live at {rate:.0f}/s, the first {starting:.0f} s apart", flush=True)
        found = asyncio.run(
            measure(broker.bootstrap_servers, dsn, rate, starting, options.seconds, options.window, models)
        )
    print(f"event to row {found['row_s']['p95']:.2f} s, event to alert {found['alert_s']['p95']:.1f} s (p95)")
    write(
        "latency",
        {
            "machine": about,
            "encoder": describe(encoder),
            "highest_per_s": highest,
            "rate_per_s": rate,
            "seconds": starting + options.seconds,
            "window_s": options.window,
            "lateness_s": LATENESS,
            "definition": {
                "row": "record's event time (= when it was sent) to the return of the commit that stored it",
                "alert": "event time of an incident's first failed record to the HTTP receiver having the alert",
                "alert_after_window": "end of the window that decided the alert to the receiver having it",
            },
            **found,
        },
        options.output,
    )


if __name__ == "__main__":
    main()
