"""The composition root: settings -> store, encoder, detectors, pipeline, Kafka stream, closer, alerts, web."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

from aiohttp import web
from threadpoolctl import threadpool_limits

from inferwatch.detectors.base import Detector, Encoder
from inferwatch.infra import memory
from inferwatch.infra import notifiers as receivers
from inferwatch.infra.acknowledging import Acknowledging
from inferwatch.infra.clickhouse.migrate import migrate
from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.infra.clickhouse.timed import TimedStore
from inferwatch.infra.configured_detectors import configured
from inferwatch.infra.extents import KafkaExtents
from inferwatch.infra.local.broker import DATA, LocalKafka
from inferwatch.infra.monitoring import LOOK_SECONDS, Monitor
from inferwatch.infra.reload import RulesFile
from inferwatch.infra.repeating import Repeating
from inferwatch.infra.telemetry import Telemetry
from inferwatch.infra.topics import ensure_topics
from inferwatch.infra.turns import short_turns
from inferwatch.infra.web.app import create_app
from inferwatch.infra.web.probes import probes_app
from inferwatch.infra.web.status import Status
from inferwatch.schemas.clock import Clock, SystemClock
from inferwatch.schemas.errors import Misconfigured, Retryable
from inferwatch.schemas.event_rules import EventRule
from inferwatch.schemas.settings import Settings
from inferwatch.streams.alerting.engine import Alerting
from inferwatch.streams.closing import Closer
from inferwatch.streams.feedback import FeedbackIntake
from inferwatch.streams.intake import Batch, Intake
from inferwatch.streams.kafka import KafkaStream
from inferwatch.streams.pipeline import Pipeline
from inferwatch.streams.ports import Source
from inferwatch.streams.references import References
from inferwatch.streams.telemetry import DELIVERIES, ERRORS

logger = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between two looks for windows to close, and for notifications to send."""
CLOSING_PARTITION = 0
"""Who owns this partition closes the windows and sends the alerts: Kafka's group gives it to one member at a time."""

_threads: Any = threadpool_limits  # it has no types


def thresholds(settings: Settings, detectors: Sequence[Detector]) -> dict[str, float]:
    """Return the threshold of every score the detectors emit.

    Raises:
        Misconfigured: a threshold is set for a score that none of them emits.
    """
    found = {name: default for detector in detectors for name, default in detector.emits.items()}
    for name in settings.detectors.thresholds:
        if name not in found:
            raise Misconfigured(f"detectors.thresholds names {name!r}; the enabled detectors emit: {sorted(found)}")
    _check_emitted(settings.event_rules, found)
    return found | settings.detectors.thresholds


def _check_emitted(rules: Sequence[EventRule], scores: Collection[str]) -> None:
    for rule in rules:
        if rule.event not in scores:
            raise Misconfigured(
                f"event_rules: rule {rule.name!r} names {rule.event!r}; the enabled detectors emit: {sorted(scores)}"
            )


def load_models(settings: Settings, held: str | None = None) -> tuple[Encoder, list[Detector]]:
    """Return the encoder and the detectors that ``settings`` name. Takes seconds: torch is imported here.

    ``held`` is the encoder revision of the drift references there are: ``encoder.backend: auto`` stays with it.
    """
    from inferwatch.detectors.encoder.load import load_encoder
    from inferwatch.detectors.registry import load_detectors

    encoder = load_encoder(settings.encoder, prefer=held)
    own = configured(settings.detectors, SystemClock())
    return encoder, load_detectors(settings.detectors.enabled, encoder, own)


Models = Callable[[Settings, str | None], tuple[Encoder, list[Detector]]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process scores and closes windows with, whatever feeds it."""

    store: ClickHouseStore
    encoder: Encoder
    pipeline: Pipeline
    feedback: FeedbackIntake
    closer: Closer
    alerting: Alerting
    repeating: Repeating
    acknowledging: Acknowledging
    telemetry: Telemetry
    thresholds: Mapping[str, float]

    def use(self, settings: Settings) -> None:
        """Go by the rules of ``settings``, which are all that may be different in it.

        Raises:
            Misconfigured: one asks for a score that no detector emits; nothing has changed.
        """
        _check_emitted(settings.event_rules, self.thresholds)
        self.pipeline.use(settings)
        self.alerting.use(settings)


@asynccontextmanager
async def assemble(
    settings: Settings, clock: Clock, models: Models = load_models, source: Source | None = None
) -> AsyncIterator[Parts]:
    """Open the store, load the models and connect the parts; close what was opened at the end.

    ``source`` says how far the records reach that windows wait for; files, which end, need none.

    Raises:
        Misconfigured: something in ``settings`` cannot work; the message says what.
    """
    async with AsyncExitStack() as stack:
        for name in await asyncio.to_thread(migrate, settings.store):
            logger.info("migrated: %s", name)
        store = await asyncio.to_thread(open_store, settings.store)
        stack.callback(store.close)
        held = await asyncio.to_thread(References(store, clock).newest_revision)
        encoder, detectors = await asyncio.to_thread(models, settings, held)
        # The encoder works on every core; numpy's own threads would spin beside it, and double what long texts cost.
        stack.enter_context(_threads(1, user_api="blas"))
        limits = thresholds(settings, detectors)
        senders = receivers.build(settings, clock)
        stack.push_async_callback(receivers.close, senders)
        telemetry = Telemetry()
        timed = TimedStore(store, clock, telemetry)
        alerting = Alerting(settings, timed, senders, clock, limits, telemetry)
        repeating, acknowledging = Repeating(timed, senders, clock), Acknowledging(timed, senders, clock)
        pipeline = Pipeline(settings, encoder, detectors, timed, clock, telemetry)
        feedback = FeedbackIntake(settings, timed, clock)
        closer = Closer(settings, timed, clock, alerting, encoder.revision, limits, source, telemetry)
        stack.enter_context(memory.settled())
        stack.enter_context(short_turns())
        yield Parts(
            store, encoder, pipeline, feedback, closer, alerting, repeating, acknowledging, telemetry, limits
        )  # fmt: skip


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
            ("closing", PAUSE, close_windows),
            ("delivering", PAUSE, deliver),
            ("watching", LOOK_SECONDS, monitor.look),
        ):
            monitor.health.watch(name, partial(_signs, name, turns, parts.closer))
            task = asyncio.create_task(_every(pause, name, work, stop, turns, parts.telemetry))
            stack.push_async_callback(_finish, task)
        trim = partial(asyncio.to_thread, memory.trim)
        trimming = asyncio.create_task(_every(memory.EVERY, "trimming", trim, stop, turns, parts.telemetry))
        stack.push_async_callback(_finish, trimming)
        stack.callback(stop.set)
        if ready is not None:
            ready(address)
        await stream.run(stop)


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
