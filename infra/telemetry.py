"""Takes the service's counts and shows them to Prometheus. Their names are in ``streams.telemetry``."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from inferwatch.streams.telemetry import BUILD, METRICS, Counter, Gauge, Histogram, Values

MOST_SERIES = 200
"""Of one metric; what comes after shares the series ``other``: a plug-in's reasons must not fill a database."""
OTHER = "other"

Labels = tuple[str, ...]
Reading = float | None | Mapping[Labels, float]
"""A number, none at the moment, or one for each combination of label values."""


class Spread:
    """The counts of one histogram series. ``counts`` has one place more than there are buckets, for +Inf."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros(buckets + 1, np.int64)
        self.total = 0.0


class Telemetry(Collector):
    """A ``streams.telemetry.Recorder`` with a registry of its own, so that two services in one process do not mix.

    What is counted is added or observed as it happens; what has a state anyway is read at each scrape (``sample``).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[Labels, float]] = {}
        self._spreads: dict[str, dict[Labels, Spread]] = {}
        self._samples: dict[str, Callable[[], Reading]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self.sample(BUILD, lambda: {(version("inferwatch"), platform.python_version()): 1.0})

    # Taking --------------------------------------------------------------------------------------------------------

    def add(self, counter: Counter, by: float, *labels: str) -> None:
        """Add ``by`` to the series with these label values, in the order of ``counter.labels``."""
        with self._lock:
            series = self._counts.setdefault(counter.name, {})
            key = _room(series, counter, labels)
            series[key] = series.get(key, 0.0) + by

    def observe(self, histogram: Histogram, values: Values, *labels: str) -> None:
        """Count every one of ``values``; a thousand at once cost little more than one."""
        found = np.asarray(values, np.float64)
        if not found.size:
            return
        size = len(histogram.buckets)
        places = np.bincount(np.searchsorted(histogram.buckets, found), minlength=size + 1)
        with self._lock:
            series = self._spreads.setdefault(histogram.name, {})
            spread = series.setdefault(_room(series, histogram, labels), Spread(size))
            spread.counts += places
            spread.total += float(found.sum())

    def sample(self, metric: Counter | Gauge, read: Callable[[], Reading]) -> None:
        """Let ``read`` say the metric's value at each scrape; it must not block."""
        self._samples[metric.name] = read

    # Showing -------------------------------------------------------------------------------------------------------

    def text(self) -> bytes:
        """Return everything in Prometheus' text format (``CONTENT_TYPE``)."""
        return generate_latest(self._registry)

    def total(self, counter: Counter, label: str) -> dict[str, int]:
        """Return what was added to ``counter`` by the values of one of its labels, as whole numbers."""
        place = counter.labels.index(label)
        found: dict[str, int] = {}
        with self._lock:
            for labels, value in self._counts.get(counter.name, {}).items():
                found[labels[place]] = found.get(labels[place], 0) + int(value)
        return found

    def collect(self) -> Iterator[Family]:
        """Yield every declared metric that has a value."""
        for metric in METRICS:
            family = self._histogram(metric) if isinstance(metric, Histogram) else self._number(metric)
            if family.samples:
                yield family

    def _number(self, metric: Counter | Gauge) -> CounterMetricFamily | GaugeMetricFamily:
        kind = CounterMetricFamily if isinstance(metric, Counter) else GaugeMetricFamily
        family = kind(metric.name, metric.text, labels=metric.labels)
        for labels, value in sorted(self._values(metric).items()):
            family.add_metric(labels, value)
        return family

    def _values(self, metric: Counter | Gauge) -> Mapping[Labels, float]:
        read = self._samples.get(metric.name)
        if read is None:
            with self._lock:
                counted = dict(self._counts.get(metric.name, {}))
            return counted or ({(): 0.0} if isinstance(metric, Counter) and not metric.labels else {})
        reading = read()
        if reading is None:
            return {}
        return reading if isinstance(reading, Mapping) else {(): reading}

    def _histogram(self, metric: Histogram) -> HistogramMetricFamily:
        family = HistogramMetricFamily(metric.name, metric.text, labels=metric.labels)
        bounds = [*(str(float(bound)) for bound in metric.buckets), "+Inf"]
        with self._lock:
            spreads = {
                labels: (one.counts.copy(), one.total) for labels, one in self._spreads.get(metric.name, {}).items()
            }
        for labels, (counts, total) in sorted(spreads.items()):
            cumulative = [float(count) for count in np.cumsum(counts)]
            family.add_metric(labels, list(zip(bounds, cumulative, strict=True)), total)
        return family


CONTENT_TYPE = CONTENT_TYPE_LATEST


def _room(series: Mapping[Labels, object], metric: Counter | Histogram, labels: Labels) -> Labels:
    """Return ``labels``, or ``other`` where the metric has as many series as it may have."""
    if labels in series or len(series) < MOST_SERIES or not labels:
        return labels
    return (OTHER,) * len(labels)
