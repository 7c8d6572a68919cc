"""One process of the service: consumes, closes windows, sends alerts and serves the page, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from importlib.metadata import version

from aiohttp import web

from inferwatch.infra import memory
from inferwatch.infra.assembly import Models, Parts, assemble, load_models
from inferwatch.infra.extents import KafkaExtents
from inferwatch.infra.local.broker import DATA, LocalKafka
from inferwatch.infra.monitoring import LOOK_SECONDS, Monitor
from inferwatch.infra.reload import RulesFile
from inferwatch.infra.telemetry import Telemetry
from inferwatch.infra.topics import ensure_topics
from inferwatch.infra.web.app import create_app
from inferwatch.infra.web.probes import probes_app
from inferwatch.infra.web.status import Status
from inferwatch.schemas.clock import Clock, SystemClock
from inferwatch.schemas.errors import Misconfigured, Retryable
from inferwatch.schemas.settings import Settings
from inferwatch.streams.closing import Closer
from inferwatch.streams.consuming import KafkaStream
from inferwatch.streams.intake import Batch, Intake
from inferwatch.streams.telemetry import DELIVERIES, ERRORS

logger = logging.getLogger(__name__)

PAUSE, LONGEST_PAUSE, LOOKS_A_STEP = 1.0, 3.0, 100
"""Seconds between two looks for notifications to send, and the least between two for windows to close: of windows of
minutes nobody needs to know in a second that they are complete, and a look asks store and broker."""
CLOSING_PARTITION = 0
"""Who owns this partition closes the windows and sends the alerts: Kafka's group gives it to one member at a time."""


async def run_worker(
    settings: Settings,
    *,
    serve: bool = False,
    ready: Callable[[str], None] | None = None,
    models: Models = load_models,
    clock: Clock | None = None,
    rules: RulesFile | None = None,
) -> None:
    """Consume, score, store, close windows and send alerts until SIGTERM or SIGINT; then drain and leave.

    Args:
        settings: the validated configuration; ``kafka.bootstrap_servers`` must be set.
        serve: also serve dashboard, API and SQL endpoint.
        ready: called when records are being taken, with the dashboard's address or, without one, with that of health
            and metrics (empty where ``monitoring.port`` is null).
        models: makes encoder and detectors.
        clock: the machine's, when None.
        rules: the file that changed rules come from while this runs; SIGHUP reads it. None: they stay as they are.

    Raises:
        Misconfigured: something in ``settings`` cannot work.
    """
    memory.bound()
    clock = clock or SystemClock()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    await asyncio.to_thread(ensure_topics, settings.kafka)
    extents = KafkaExtents(settings.kafka)
    async with AsyncExitStack() as stack:
        stack.callback(extents.close)
        parts = await stack.enter_async_context(assemble(settings, clock, models, extents))
        intake = Intake(parts.pipeline, parts.feedback, {settings.kafka.feedback_topic})
        stream = KafkaStream(settings.kafka, intake, version=version("inferwatch"))
        monitor = Monitor(settings.monitoring, parts.store, clock, parts.telemetry, stream)
        monitor.read_encoder(parts.encoder)
        monitor.read_closer(parts.closer, lambda: CLOSING_PARTITION in stream.partitions())
        file = rules or RulesFile(None, {}, settings, clock)
        file.feed(settings, parts.use)
        monitor.read_rules(file)
        # In a terminal that is closed, the process ends as any other does.
        if rules is not None and not os.isatty(0):
            loop.add_signal_handler(signal.SIGHUP, file.ask)
        address = await _listen_to_probes(monitor, settings, stack)
        if serve:
            app = create_app(
                settings,
                parts.store,
                status=_status(stream, parts, file),
                monitor=monitor,
                clock=clock,
                thresholds=parts.thresholds,
                rules=lambda: parts.alerting.rules,
            )
            await _listen(app, "web", settings.web.host, settings.web.port, stack)
            address = settings.web.url

        async def close_windows() -> None:
            await asyncio.to_thread(file.look)
            if CLOSING_PARTITION in stream.partitions():
                await asyncio.to_thread(parts.closer.tick)
            else:
                parts.closer.release()

        async def deliver() -> None:
            if CLOSING_PARTITION in stream.partitions():
                await asyncio.to_thread(parts.alerting.look_at_rows, parts.closer.watermark)
                await parts.alerting.deliver()
                await parts.repeating.repeat_if_due()
                await parts.acknowledging.acknowledge_if_due()

        turns: Counter[str] = Counter()
        for name, pause, work in (
            ("closing", closing_pause(settings.windows.step), close_windows),
            ("delivering", PAUSE, deliver),
            ("watching", LOOK_SECONDS, monitor.look),
        ):
            monitor.health.watch(name, partial(_signs, name, turns, parts.closer))
            task = asyncio.create_task(_every(pause, name, work, stop, turns, parts.telemetry))
            stack.push_async_callback(_finish, task)

        async def trim() -> None:
            await asyncio.to_thread(memory.trim)
            await asyncio.to_thread(parts.store.trim)

        trimming = asyncio.create_task(_every(memory.EVERY, "trimming", trim, stop, turns, parts.telemetry))
        stack.push_async_callback(_finish, trimming)
        stack.callback(stop.set)
        if ready is not None:
            ready(address)
        await stream.run(stop)


def closing_pause(step: timedelta) -> float:
    """Return the seconds between two looks for windows to close: a hundredth of their step, from 1 to 3.

    >>> closing_pause(timedelta(minutes=5)), closing_pause(timedelta(seconds=20))
    (3.0, 1.0)
    """
    return min(LONGEST_PAUSE, max(PAUSE, step.total_seconds() / LOOKS_A_STEP))


async def run_up(
    settings: Settings, *, ready: Callable[[str], None] | None = None, rules: RulesFile | None = None
) -> None:
    """Run everything in one process: ``run_worker`` with the web application, and a broker where none is configured."""
    async with AsyncExitStack() as stack:
        if settings.kafka.bootstrap_servers is None:
            broker = LocalKafka(DATA)
            await asyncio.to_thread(broker.start)
            stack.push_async_callback(asyncio.to_thread, broker.stop)
            kafka = settings.kafka.model_copy(update={"bootstrap_servers": broker.bootstrap_servers})
            settings = settings.model_copy(update={"kafka": kafka})
        await run_worker(settings, serve=True, ready=ready, rules=rules)


async def _every(
    pause: float,
    name: str,
    work: Callable[[], Awaitable[None]],
    stop: asyncio.Event,
    turns: Counter[str],
    telemetry: Telemetry,
) -> None:
    """Do ``work`` until ``stop``. A Retryable error is logged and the work tried again; any other stops the process."""
    while not stop.is_set():
        turns[name] += 1
        try:
            await work()
        except Retryable as error:
            telemetry.add(ERRORS, 1, name, type(error).__name__)
            logger.warning("%s: %s; trying again", name, error)
        except Exception:
            stop.set()
            raise
        try:
            async with asyncio.timeout(pause):
                await stop.wait()
        except TimeoutError:
            continue


def _signs(name: str, turns: Counter[str], closer: Closer) -> tuple[int, int]:
    """Return what moves while a loop works: its turns, and within a long turn of closing the windows it closes."""
    return turns[name], closer.closed if name == "closing" else 0


async def _finish(task: asyncio.Task[None]) -> None:
    """Wait for a task that ends by itself once stopped; its error, if any, is raised here."""
    await task


async def _listen_to_probes(monitor: Monitor, settings: Settings, stack: AsyncExitStack) -> str:
    own = settings.monitoring
    if own.port is None:
        return ""
    app = probes_app(monitor.health, monitor.readiness, monitor.telemetry)
    address = await _listen(app, "monitoring", own.host, own.port, stack)
    logger.info("health and metrics: %s", address)
    return address


async def _listen(app: web.Application, section: str, host: str, port: int, stack: AsyncExitStack) -> str:
    """Serve ``app`` until ``stack`` ends; return the address, with the port that 0 became."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        raise Misconfigured(
            f"{section}.port {port} on {host} cannot be opened ({error.strerror}): choose another or 0 for a free one"
        ) from error
    return f"http://{host}:{runner.addresses[0][1]}"


def _status(stream: KafkaStream[Batch], parts: Parts, file: RulesFile) -> Callable[[], Status]:
    def say() -> Status:
        return Status(
            ready=bool(stream.partitions()),
            received=stream.counters.received,
            stored=stream.counters.stored,
            dead_letters=dict(stream.counters.dead_letters),
            watermark=parts.closer.watermark,
            windows_closed=parts.closer.closed,
            deliveries=parts.telemetry.total(DELIVERIES, "status"),
            rules=file.report(),
        )

    return say
