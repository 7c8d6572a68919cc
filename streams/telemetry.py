"""What the service counts about itself: every metric's name, meaning and labels, and where counts are handed to.

The parts count through a ``Recorder`` and know nothing of Prometheus; ``infra.telemetry`` is the one that exposes what
it was given. Names follow Prometheus: base units, ``_total`` for counters, ``_seconds`` for times. Labels are names
from the configuration, from the code or of partitions, never ids, texts or anything a record says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Values = Sequence[float] | npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counter:
    """Only grows, from 0 at the start of the process."""

    name: str
    text: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gauge:
    """Goes up and down; read when it is asked for."""

    name: str
    text: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Histogram:
    """How values are spread over ``buckets``, their upper bounds, which hold the bound itself."""

    name: str
    text: str
    buckets: tuple[float, ...]
    labels: tuple[str, ...] = ()


Metric = Counter | Gauge | Histogram


class Recorder(Protocol):
    """Takes counts where things happen. Calls are cheap, come from any thread and never raise."""

    def add(self, counter: Counter, by: float, *labels: str) -> None:
        """Add ``by`` to the series with these label values, in the order of ``counter.labels``."""
        ...

    def observe(self, histogram: Histogram, values: Values, *labels: str) -> None:
        """Count every one of ``values`` in the series with these label values."""
        ...


class Silent:
    """Takes nothing down: for files, tests and tools."""

    def add(self, counter: Counter, by: float, *labels: str) -> None:
        """Forget it."""

    def observe(self, histogram: Histogram, values: Values, *labels: str) -> None:
        """Forget them."""


SILENT = Silent()

_WORK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 150)
_LATENCY = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 6 * 3600, 86400)

# Records, stage by stage -------------------------------------------------------------------------------------------

RECEIVED = Counter(
    "inferwatch_records_received_total",
    "Records taken from Kafka. One that is delivered again after a restart or rebalance is taken again.",
)
SCORED = Counter("inferwatch_records_scored_total", "Readable records that went through the detectors.")
STORED = Counter(
    "inferwatch_records_stored_total", "Records whose row is in the store and whose offset may be committed."
)
DROPPED = Counter(
    "inferwatch_records_dropped_total", "Records put aside as dead letters, by what is wrong with them.", ("reason",)
)
RETRIES = Counter("inferwatch_storing_retries_total", "Attempts to store a batch that failed and were repeated.")
ERRORS = Counter(
    "inferwatch_errors_total",
    "Errors by where they were met (detector, encoder, store, closing, delivering, lag) and their type.",
    ("stage", "reason"),
)
LAG = Gauge(
    "inferwatch_consumer_lag_records",
    "Records of an owned partition that Kafka holds and that are not stored yet. Asked every 5 s, absent when Kafka "
    "has not answered for a minute.",
    ("partition",),
)
QUEUE = Gauge(
    "inferwatch_queue_records",
    "Records in memory and not stored yet: buffer (fetched, waiting) or work (being scored or stored).",
    ("queue",),
)
EVENT_TO_ROW = Histogram(
    "inferwatch_event_to_row_seconds",
    "From a record's own timestamp until its row is in the store: the producer's delay and Kafka included, 0 where the "
    "producer's clock is ahead.",
    _LATENCY,
)

# Scores --------------------------------------------------------------------------------------------------------------

SCORES = Counter("inferwatch_scores_total", "Rows that got this score.", ("score",))
ABSTENTIONS = Counter(
    "inferwatch_abstentions_total",
    "Rows that did not get this score, by why. Coverage is scores / (scores + abstentions).",
    ("score", "reason"),
)
BATCH_SCORING = Histogram(
    "inferwatch_batch_scoring_seconds", "Decoding, encoding and scoring of one batch of records.", _WORK
)
DETECTOR_SECONDS = Counter(
    "inferwatch_detector_seconds_total", "Time spent in a detector, the encoder's excluded.", ("detector",)
)
ENCODER_TEXTS = Counter("inferwatch_encoder_texts_total", "Texts that went through the encoder's model.")
ENCODER_SECONDS = Counter(
    "inferwatch_encoder_seconds_total", "Time spent encoding them; texts / seconds is the encoder's rate."
)
CACHE_HITS = Counter("inferwatch_encoder_cache_hits_total", "Texts whose vector was at hand.")
CACHE_MISSES = Counter("inferwatch_encoder_cache_misses_total", "Texts that had to be encoded.")
ENCODER = Gauge("inferwatch_encoder_info", "1; which encoder runs.", ("backend", "revision"))

# Store ---------------------------------------------------------------------------------------------------------------

INSERT = Histogram("inferwatch_store_insert_seconds", "One insert, failed ones included.", _WORK, ("table",))
QUERY = Histogram("inferwatch_store_query_seconds", "One query of the service's own, failed ones included.", _WORK)

# Windows and alerts --------------------------------------------------------------------------------------------------

WATERMARK = Gauge(
    "inferwatch_watermark_delay_seconds",
    "How far the event time up to which windows are closed is behind the clock. Only where windows are closed: one "
    "process at a time.",
)
CLOSED = Counter("inferwatch_windows_closed_total", "Windows published for the first time.")
REVISED = Counter("inferwatch_windows_revised_total", "Windows published again because of late rows.")
STALLS = Counter(
    "inferwatch_window_stalls_total",
    "How often windows stopped waiting for a partition whose records are not stored (windows.stall_timeout).",
)
CLOSING = Histogram(
    "inferwatch_window_closing_seconds", "Computing, deciding and publishing one window, or one revision.", _WORK
)
TRANSITIONS = Counter("inferwatch_alert_transitions_total", "Alerts that changed state.", ("rule", "state"))
SUPPRESSED = Counter(
    "inferwatch_alerts_suppressed_total",
    "Alerts that a receiver was not told of, by why: silenced, inhibited, muted (until the mute time is over), waiting "
    "(for the others of their group), acknowledged (not repeated), resolved before told. Each is counted once while it "
    "lasts.",
    ("reason",),
)
DELIVERIES = Counter(
    "inferwatch_deliveries_total",
    "Attempts to deliver a notification: sent, retrying (refused, tried again later), failed (given up) or superseded "
    "(another process has told the same).",
    ("receiver", "status"),
)
EVENT_TO_ALERT = Histogram(
    "inferwatch_event_to_alert_seconds",
    "From the end of the window that decided an alert until its receiver accepted the notification: lateness, closing, "
    "deciding and delivery. Event time to acceptance of the window's last possible event; one at the window's start "
    "waits for up to windows.size more.",
    _LATENCY,
    ("receiver",),
)

RULES_CURRENT = Gauge(
    "inferwatch_rules_current",
    "1 while the rules in force are those of the configuration file; 0 since the file was refused: the old rules stay.",
)
RELOADS = Counter(
    "inferwatch_rules_reloads_total", "Changes of the configuration file that were met: taken or refused.", ("result",)
)

# The process ---------------------------------------------------------------------------------------------------------

READY = Gauge("inferwatch_ready", "1 while this process is a member of the consumer group.")
PARTITIONS = Gauge("inferwatch_partitions_owned", "Source partitions this process consumes.")
IDLE = Gauge(
    "inferwatch_loop_idle_seconds",
    "Since a loop last showed a sign of life while it had work; /health fails at monitoring.hung_after.",
    ("loop",),
)
BUILD = Gauge("inferwatch_build_info", "1; which version runs.", ("version", "python"))

METRICS: tuple[Metric, ...] = (
    RECEIVED, SCORED, STORED, DROPPED, RETRIES, ERRORS, LAG, QUEUE, EVENT_TO_ROW,
    SCORES, ABSTENTIONS, BATCH_SCORING, DETECTOR_SECONDS,
    ENCODER_TEXTS, ENCODER_SECONDS, CACHE_HITS, CACHE_MISSES, ENCODER,
    INSERT, QUERY,
    WATERMARK, CLOSED, REVISED, STALLS, CLOSING, TRANSITIONS, SUPPRESSED, DELIVERIES, EVENT_TO_ALERT, RULES_CURRENT,
    RELOADS,
    READY, PARTITIONS, IDLE, BUILD,
)  # fmt: skip
"""Every metric there is, in the order in which they are shown."""


def reason_class(reason: str) -> str:
    """Return the part of an abstention's reason that may be a label: what comes before a colon.

    >>> reason_class("encoder failed: MemoryError"), reason_class("no contexts")
    ('encoder failed', 'no contexts')
    """
    return reason.partition(":")[0]
