"""The composition root: settings -> store, encoder, detectors, pipeline, closer, alerts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from inferwatch.detectors.base import Detector, Encoder
from inferwatch.infra import memory
from inferwatch.infra import notifiers as receivers
from inferwatch.infra.acknowledging import Acknowledging
from inferwatch.infra.clickhouse.migrate import migrate
from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.infra.clickhouse.timed import TimedStore
from inferwatch.infra.configured_detectors import configured, maps
from inferwatch.infra.repeating import Repeating
from inferwatch.infra.telemetry import Telemetry
from inferwatch.infra.turns import short_turns
from inferwatch.schemas.clock import Clock, SystemClock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.event_rules import EventRule
from inferwatch.schemas.settings import Settings
from inferwatch.streams.alerting.engine import Alerting
from inferwatch.streams.closing import Closer
from inferwatch.streams.feedback import FeedbackIntake
from inferwatch.streams.pipeline import Pipeline
from inferwatch.streams.ports import Source
from inferwatch.streams.references import References

logger = logging.getLogger(__name__)

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
    """Return the encoder and the detectors that ``settings`` name. Takes seconds.

    ``held`` is the encoder revision of the drift references there are: ``encoder.backend: auto`` stays with it.
    """
    from inferwatch.detectors.calibrated import calibrate
    from inferwatch.detectors.encoder.load import load_encoder
    from inferwatch.detectors.registry import load_detectors

    encoder = load_encoder(settings.encoder, prefer=held)
    own = configured(settings.detectors, SystemClock())
    detectors = load_detectors(settings.detectors.enabled, encoder, own)
    return encoder, calibrate(detectors, maps(settings.detectors))


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
