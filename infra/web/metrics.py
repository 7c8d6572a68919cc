"""What the service counts about itself, for Prometheus. Every name is in this file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TypedDict

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from inferwatch.schemas.clock import Clock


class Status(TypedDict, total=False):
    """What a running service says about itself; counts are since its start. A missing key is not exported."""

    ready: bool
    state: str
    received: int
    stored: int
    dead_letters: dict[str, int]
    watermark: datetime | None
    windows_closed: int
    deliveries: dict[str, int]


class StatusCollector(Collector):
    """Turns a ``Status`` into metric families at each scrape; keeps nothing itself."""

    def __init__(self, status: Callable[[], Status], clock: Clock) -> None:
        self._status = status
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        now = self._status()
        yield from _counter("inferwatch_records_received", "Records read from the source.", now.get("received"))
        yield from _counter("inferwatch_records_stored", "Records scored and stored.", now.get("stored"))
        yield from _counter("inferwatch_windows_closed", "Windows published.", now.get("windows_closed"))
        yield from _by_label("inferwatch_dead_letters", "Records put aside.", "reason", now.get("dead_letters"))
        yield from _by_label("inferwatch_deliveries", "Notification attempts.", "status", now.get("deliveries"))
        if (mark := now.get("watermark")) is not None:
            delay = (self._clock.now() - mark).total_seconds()
            text = "How far event time is behind the clock."
            yield GaugeMetricFamily("inferwatch_watermark_delay_seconds", text, value=delay)
        if "ready" in now:
            yield GaugeMetricFamily("inferwatch_ready", "1 while records are being taken.", value=float(now["ready"]))


def _counter(name: str, text: str, count: int | None) -> Iterator[Metric]:
    if count is not None:
        yield CounterMetricFamily(name, text, value=float(count))


def _by_label(name: str, text: str, label: str, counts: dict[str, int] | None) -> Iterator[Metric]:
    if counts is not None:
        family = CounterMetricFamily(name, text, labels=[label])
        for value, count in sorted(counts.items()):
            family.add_metric([value], float(count))
        yield family


def registry(status: Callable[[], Status], clock: Clock) -> CollectorRegistry:
    """Return a registry of its own, so that two services in one process do not mix."""
    made = CollectorRegistry()
    made.register(StatusCollector(status, clock))
    return made
