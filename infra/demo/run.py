"""The demo: a broker, the service as a user starts it, a scenario through Kafka, and what came of it."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from inferwatch.infra.demo.feed import Feed, Stored
from inferwatch.infra.demo.outcome import Outcome, as_json, episodes_of, judge
from inferwatch.infra.demo.receiver import Receiver
from inferwatch.infra.demo.scenario import PARTITIONS, Scenario
from inferwatch.infra.demo.service import Service
from inferwatch.infra.demo.show import Screen, sql_to_try
from inferwatch.infra.local.broker import LocalKafka
from inferwatch.infra.local.ports import free_port
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import Permanent
from inferwatch.schemas.settings import KafkaSettings
from inferwatch.schemas.windows import EPOCH

_LOOK_EVERY = 0.5
_STALLED_SECONDS = 120
_DELIVERY_SECONDS = 30
_KAFKA_KEYS = {
    "topic",
    "feedback_topic",
    "dead_letter_topic",
    "group_id",
    "partitions",
    "security_protocol",
    "sasl_mechanism",
    "sasl_username",
    "ssl_cafile",
    "ssl_certfile",
    "ssl_keyfile",
}


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a run; ``summary`` is the JSON line."""

    outcome: Outcome
    summary: dict[str, Any]
    good: bool


async def run(
    scenario: Scenario, folder: Path, kafka: KafkaSettings, *, once: bool, keep: bool, console: Console, clock: Clock
) -> Result:
    """Run ``scenario`` with everything written below ``folder``; unless ``once``, serve until Ctrl-C or SIGTERM.

    Args:
        kafka: ``bootstrap_servers`` names a cluster to use instead of a local broker, on topics of its own.
        keep: say that ``folder`` stays.

    Raises:
        Misconfigured: no broker can be had.
        Permanent: the service ended or stands still; the message holds the end of its log.
    """
    began = clock.monotonic()
    screen = Screen(console, scenario)
    stop = _stop_on_signals()
    async with AsyncExitStack() as stack:
        stack.callback(screen.quiet)
        screen.begin()
        receiver = Receiver(screen.message)
        await receiver.start()
        stack.push_async_callback(receiver.stop)
        screen.phase("starting Kafka")
        broker = await stack.enter_async_context(_broker(kafka, folder))
        kafka = _topics(kafka, broker)
        service = Service(folder, _settings(scenario, kafka, receiver), kafka)
        screen.phase("starting inferwatch up (models, store, worker, windows, alerts, dashboard)")
        stack.push_async_callback(service.stop)
        work = asyncio.create_task(_play(scenario, service, kafka, screen, clock, began))
        result = await _unless_stopped(work, stop)
        if result is None:
            raise Permanent("stopped before the end of the day")
        stored, outcome = result
        where = _where(service, scenario, folder if keep else None)
        seconds = clock.monotonic() - began
        screen.finish(outcome, where, stored, seconds)
        refused = sum(bool(one.faults) for one in receiver.received)
        summary = _summary(scenario, outcome, stored, receiver, seconds)
        if refused:
            console.print(f"{refused} notifications were refused by the receiver", style="bold red")
        if not once:
            console.print("Serving until Ctrl-C.", style="bold")
            while not stop.is_set():
                service.check()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 1)
    good = (not scenario.incidents or outcome.good) and not refused
    return Result(outcome, summary, good)


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    return stop


async def _unless_stopped(
    work: asyncio.Task[tuple[Stored, Outcome]], stop: asyncio.Event
) -> tuple[Stored, Outcome] | None:
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return await work if work.done() else None
    finally:
        for task in (work, waiting):
            task.cancel()
        await asyncio.gather(work, waiting, return_exceptions=True)


@asynccontextmanager
async def _broker(kafka: KafkaSettings, folder: Path) -> AsyncIterator[str]:
    """Yield the address of the configured cluster, or of a broker that runs as long as the demo."""
    if kafka.bootstrap_servers is not None:
        yield kafka.bootstrap_servers
        return
    broker = LocalKafka(folder / "kafka")
    await asyncio.to_thread(broker.start)
    try:
        yield broker.bootstrap_servers
    finally:
        await asyncio.to_thread(broker.stop)


def _topics(kafka: KafkaSettings, broker: str) -> KafkaSettings:
    """Return how to reach the broker of this run; in a cluster that others use, with topics of its own."""
    own: dict[str, Any] = {"partitions": PARTITIONS}
    if kafka.bootstrap_servers is None:
        return KafkaSettings(bootstrap_servers=broker, **own)
    run = f"inferwatch-demo-{secrets.token_hex(4)}"
    topics = {"feedback_topic": f"{run}-feedback", "dead_letter_topic": f"{run}-dead-letters"}
    own |= {"topic": run, **topics, "group_id": run}
    return kafka.model_copy(update=own)


def _settings(scenario: Scenario, kafka: KafkaSettings, receiver: Receiver) -> dict[str, Any]:
    """Return the service's configuration file: what a user would write, plus the addresses of this run."""
    # Address and password come by the environment: the file works without this broker, and holds no secret of it.
    given = kafka.model_dump(mode="json", exclude_defaults=True, include=_KAFKA_KEYS)
    return {
        "kafka": given,
        "store": {"dsn": "chdb://store"},
        **scenario.settings,
        "receivers": [
            {"type": "slack", "name": "slack-support", "webhook_url": receiver.slack_url},
            {
                "type": "pagerduty",
                "name": "pager",
                "routing_key": secrets.token_hex(16),
                "url": receiver.pagerduty_url,
            },
        ],
        "web": {"host": "127.0.0.1", "port": free_port()},
    }


async def _play(
    scenario: Scenario,
    service: Service,
    kafka: KafkaSettings,
    screen: Screen,
    clock: Clock,
    began: float,
) -> tuple[Stored, Outcome]:
    """Feed the scenario, wait until everything is stored, closed and delivered, and judge what came of it."""
    await service.start()
    feed = Feed(kafka)
    stored = Stored()
    watch = _Watch(service, scenario, stored, clock)

    async def look() -> None:
        await watch.look()
        screen.progress(feed.produced, feed.event_time, stored, clock.monotonic() - began)

    async def keep_looking() -> None:
        while True:
            await look()
            await asyncio.sleep(_LOOK_EVERY)

    looking = asyncio.create_task(keep_looking())

    async def failed() -> None:
        if looking.done():
            await looking

    try:
        await feed.run(scenario.messages, stored, failed)
        while stored.handled < feed.produced or not _closed(scenario, stored):
            await failed()
            await asyncio.sleep(_LOOK_EVERY)
        await _delivered(service, clock)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    return stored, judge(scenario.incidents, episodes_of(await _transitions(service)))


def _closed(scenario: Scenario, stored: Stored) -> bool:
    return stored.closed_until is not None and stored.closed_until >= scenario.end


class _Watch:
    """Keeps ``stored`` up to date, and notices when nothing moves any more."""

    def __init__(self, service: Service, scenario: Scenario, stored: Stored, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self._stored = stored
        self._moved_at = clock.monotonic()

    async def look(self) -> None:
        rows = await self._service.query(
            "SELECT (SELECT count() FROM inferences) AS scored, (SELECT count() FROM dead_letters) AS dead_letters, "
            "(SELECT count() FROM windows) AS windows, "
            "(SELECT toUnixTimestamp64Milli(max(window_end)) FROM windows_raw) AS closed_until, "
            "(SELECT count() FROM progress WHERE max_timestamp > toDateTime64(0, 3, 'UTC')) AS partitions"
        )
        found = {name: int(value) for name, value in rows[0].items()}
        stored = self._stored
        before = (stored.handled, stored.windows)
        stored.scored, stored.dead_letters = found["scored"], found["dead_letters"]
        stored.windows, stored.partitions = found["windows"], found["partitions"]
        if found["windows"]:
            stored.closed_until = _instant(found["closed_until"])
        now = self._clock.monotonic()
        if (stored.handled, stored.windows) != before:
            self._moved_at = now
        elif now - self._moved_at > _STALLED_SECONDS:
            raise Permanent(
                f"nothing was scored and no window closed for {_STALLED_SECONDS} s "
                f"(scored {stored.scored}, dead letters {stored.dead_letters}, windows {stored.windows})\n"
                f"{self._service.tail()}"
            )


def _instant(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)


async def _delivered(service: Service, clock: Clock) -> None:
    """Wait until every notification is sent or given up, at most 30 seconds."""
    until = clock.monotonic() + _DELIVERY_SECONDS
    while clock.monotonic() < until:
        rows = await service.query(
            "SELECT count() AS n FROM outbox WHERE (id, receiver) NOT IN "
            "(SELECT id, receiver FROM deliveries WHERE status IN ('sent', 'failed', 'superseded'))"
        )
        if int(rows[0]["n"]) == 0:
            return
        await asyncio.sleep(_LOOK_EVERY)


async def _transitions(service: Service) -> list[dict[str, Any]]:
    rows = await service.query(
        "SELECT alert_id, rule, labels, to_state, toUnixTimestamp64Milli(at) AS at FROM alerts ORDER BY at"
    )
    for row in rows:
        row["at"] = _instant(int(row["at"]))
        row["labels"] = ", ".join(
            f"{name} {value}" for name, value in sorted(row["labels"].items()) if name != "application"
        )
    return rows


def _where(service: Service, scenario: Scenario, kept: Path | None) -> dict[str, str]:
    shown = {"dashboard": f"{service.url}/ui"}
    for number, sql in enumerate(sql_to_try(scenario.application), 1):
        shown[f"SQL {number}"] = f"curl '{service.url}/' --data \"{sql} FORMAT PrettyCompact\""
    if kept is not None:
        shown["kept"] = f"{kept} (again: cd {kept} && inferwatch -c inferwatch.yaml up)"
    return shown


def _summary(
    scenario: Scenario, outcome: Outcome, stored: Stored, receiver: Receiver, seconds: float
) -> dict[str, Any]:
    sent = receiver.received
    return {
        "produced": len(scenario.messages),
        "scored": stored.scored,
        "dead_letters": stored.dead_letters,
        "windows": stored.windows,
        "alerts": as_json(outcome, scenario.window),
        "false_alarms": len(outcome.unexpected) if scenario.incidents else 0,
        "messages": {
            vendor: sum(one.vendor == vendor and not one.faults for one in sent) for vendor in ("slack", "pagerduty")
        },
        "refused_messages": sum(bool(one.faults) for one in sent),
        "seconds": round(seconds, 1),
    }
