"""One process watched: its parts read at every scrape, its loops watched for signs of life, its lag asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from inferwatch.detectors.base import Encoder
from inferwatch.infra.health import Health, Readiness
from inferwatch.infra.reload import RulesFile
from inferwatch.infra.telemetry import Reading, Telemetry
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.settings import MonitoringSettings
from inferwatch.streams import telemetry as names
from inferwatch.streams.closing import Closer
from inferwatch.streams.consuming import KafkaStream
from inferwatch.streams.ports import Store

LOOK_SECONDS = 5.0
LAG_STALE_SECONDS = 60.0
"""An answer older than this is no answer: a number that does not move would look like a quiet topic."""


class Monitor:
    """Health, readiness and metrics of one process.

    Args:
        settings: when a loop counts as hung.
        store: must answer for the process to be ready.
        clock: for idle times and the watermark's delay.
        telemetry: where the parts count.
        stream: what is consumed; None where there is no Kafka.
    """

    def __init__(
        self,
        settings: MonitoringSettings,
        store: Store,
        clock: Clock,
        telemetry: Telemetry | None = None,
        stream: KafkaStream[Any] | None = None,
    ) -> None:
        self.telemetry = telemetry or Telemetry()
        self.health = Health(settings.hung_after, clock)
        self.readiness = Readiness(store, None if stream is None else lambda: stream.joined)
        self._clock = clock
        self._stream = stream
        self._lag: Mapping[int, int] = {}
        self._lag_at = 0.0
        self.telemetry.sample(names.IDLE, lambda: _labelled(self.health.look()))
        if stream is not None:
            self._read_stream(stream)

    def read_encoder(self, encoder: Encoder) -> None:
        """Read the encoder's counts, where it keeps any, through whatever is wrapped around it."""

        for metric, attribute in (
            (names.ENCODER_TEXTS, "texts"),
            (names.ENCODER_SECONDS, "seconds"),
            (names.CACHE_HITS, "hits"),
            (names.CACHE_MISSES, "misses"),
        ):
            self.telemetry.sample(metric, partial(_first, encoder, attribute))
        *_, innermost = _layers(encoder)
        backend = str(getattr(innermost, "backend", type(innermost).__name__))
        self.telemetry.sample(names.ENCODER, lambda: {(backend, encoder.revision): 1.0})

    def read_closer(self, closer: Closer, owner: Callable[[], bool]) -> None:
        """Read how far windows are closed, while this process is the ``owner`` of closing."""

        def delay() -> float | None:
            mark = closer.watermark
            return None if mark is None or not owner() else (self._clock.now() - mark).total_seconds()

        self.telemetry.sample(names.WATERMARK, delay)

    def read_rules(self, file: RulesFile) -> None:
        """Read whether the rules in force are those of the configuration file."""
        self.telemetry.sample(names.RULES_CURRENT, lambda: float(file.current))
        self.telemetry.sample(names.RELOADS, lambda: _labelled(file.attempts))
        self.health.note("rules", file.report)

    async def look(self) -> None:
        """Look for signs of life and ask for the lag; to be called every ``LOOK_SECONDS``. Never raises."""
        self.health.look()
        if self._stream is None:
            return
        # In a task of its own: a client that is being closed cancels whoever waits for its answer.
        asking = asyncio.ensure_future(self._stream.lag())
        try:
            await asyncio.wait({asking}, timeout=LOOK_SECONDS)
        finally:
            late = asking.cancel()
        if late:
            kind = "TimeoutError"
        elif asking.cancelled():
            kind = "CancelledError"
        elif (error := asking.exception()) is not None:
            kind = type(error).__name__
        else:
            self._lag, self._lag_at = asking.result(), self._clock.monotonic()
            return
        self.telemetry.add(names.ERRORS, 1, "lag", kind)

    def _read_stream(self, stream: KafkaStream[Any]) -> None:
        counters, sample = stream.counters, self.telemetry.sample
        sample(names.RECEIVED, lambda: float(counters.received))
        sample(names.STORED, lambda: float(counters.stored))
        sample(names.RETRIES, lambda: float(counters.retries))
        sample(names.DROPPED, lambda: _labelled(dict(counters.dead_letters)))
        sample(names.QUEUE, lambda: _labelled(dict(zip(("buffer", "work"), stream.queued(), strict=True))))
        sample(names.READY, lambda: float(stream.joined))
        sample(names.PARTITIONS, lambda: float(len(stream.partitions())))
        sample(names.LAG, self._known_lag)

        def moved() -> tuple[int, ...] | None:
            if not stream.queued()[1]:
                return None
            return counters.received, counters.stored, counters.retries, counters.dead_letters.total()

        self.health.watch("stream", moved)

    def _known_lag(self) -> Reading:
        if self._clock.monotonic() - self._lag_at > LAG_STALE_SECONDS:
            return None
        owned = self._stream.partitions() if self._stream is not None else frozenset()
        return {(str(partition),): float(lag) for partition, lag in self._lag.items() if partition in owned}


def _first(encoder: Encoder, attribute: str) -> Reading:
    """Return the number that the outermost layer which has it keeps."""
    return next((float(getattr(part, attribute)) for part in _layers(encoder) if hasattr(part, attribute)), None)


def _labelled(values: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    return {(label,): float(value) for label, value in values.items()}


def _layers(encoder: Encoder) -> Iterator[Encoder]:
    """Yield ``encoder`` and what it is wrapped around, outermost first."""
    layer: Encoder | None = encoder
    while layer is not None:
        yield layer
        layer = getattr(layer, "inner", None)
