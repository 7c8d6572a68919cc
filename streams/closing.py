"""Closes windows: decides which are complete, publishes their metrics, asks for alerts.

State is in the store only. A window is published in this order: metrics, alert transitions with their outbox,
then the ``windows`` row that makes the revision visible. A crash anywhere before the last step repeats the window,
with the same numbers and the same transition ids, so nothing is lost and nothing counts twice.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

import orjson
import pyarrow as pa

from inferwatch.schemas.clock import Clock
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import EPOCH, Window
from inferwatch.streams.aggregate import aggregate
from inferwatch.streams.drift import DriftWatch
from inferwatch.streams.ports import Store
from inferwatch.streams.references import References
from inferwatch.streams.rows import INSTANT
from inferwatch.streams.watermark import Progress, watermark

logger = logging.getLogger(__name__)

REVISION_SCAN = timedelta(seconds=15)
"""How often (wall clock) closed windows are compared with their rows to find late ones."""
WINDOWS_A_TICK = 50


class Decider(Protocol):
    """What is asked for alerts when a window closes; ``streams.alerting.engine.Alerting`` is it."""

    def decide(self, window: Window, metrics: Sequence[WindowMetric]) -> object:
        """Evaluate every rule on one window; calling it again for the same window changes nothing."""
        ...


class Closer:
    """Publishes complete windows. One instance at a time should run; two at once cost work, not correctness.

    Args:
        settings: the validated configuration.
        store: rows in, metrics out.
        clock: for idle partitions and ``closed_at``.
        alerting: evaluates the rules on each newly closed window.
        encoder_revision: vectors of other revisions are not compared.
        thresholds: score name -> threshold, of every score the detectors emit.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        alerting: Decider,
        encoder_revision: str,
        thresholds: Mapping[str, float],
    ) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._alerting = alerting
        self._thresholds = thresholds
        self._drift = DriftWatch(store, References(store, clock), settings.drift, encoder_revision)
        self._scanned_at: datetime | None = None
        self.watermark: datetime | None = None
        self.closed = 0

    def tick(self) -> list[Window]:
        """Close what the stored progress allows, oldest first; at most 50 windows a call.

        Raises:
            StoreUnavailable: call again later; nothing is lost.
        """
        now = self._clock.now()
        windows = self._settings.windows
        mark = watermark(self._progress(), now, lateness=windows.allowed_lateness, idle_timeout=windows.idle_timeout)
        self.watermark = mark
        if mark is None:
            return []
        closed = self._close_until(mark)
        if self._scanned_at is None or now - self._scanned_at >= REVISION_SCAN:
            closed += self._revise(mark)
            self._scanned_at = now
        return closed

    def flush(self) -> list[Window]:
        """Close every window that has rows: the source is finite and at its end."""
        closed: list[Window] = []
        latest = max((part.max_timestamp for part in self._progress()), default=None)
        if latest is None:
            return closed
        end = latest + self._settings.windows.size
        while batch := self._close_until(end):
            closed += batch
        return closed + self._revise(end)

    def _progress(self) -> list[Progress]:
        rows = self._store.query(
            "SELECT topic, partition, max_timestamp, updated_at FROM progress "
            "WHERE max_timestamp > toDateTime64(0, 3, 'UTC')"
        )
        return [Progress(**row) for row in rows.to_pylist()]

    def _close_until(self, mark: datetime) -> list[Window]:
        last = self._store.query("SELECT max(window_end) AS last, count() AS n FROM windows_raw").to_pylist()[0]
        start = last["last"] if last["n"] else EPOCH
        due = self._windows(start, self._floor(mark))
        for window, rows in due[:WINDOWS_A_TICK]:
            self._publish(window, rows, 0)
        return [window for window, _ in due[:WINDOWS_A_TICK]]

    def _revise(self, mark: datetime) -> list[Window]:
        """Publish again the closed windows whose row count has changed since."""
        until = self._floor(mark)
        since = self._floor(until - self._settings.windows.revise_for)
        known = {
            Window(row["window_start"], row["window_end"]): (row["rows"], row["revision"])
            for row in self._store.query(
                "SELECT window_start, window_end, rows, revision FROM windows "
                "WHERE window_start >= {since:DateTime64(3, 'UTC')}",
                {"since": since},
            ).to_pylist()
        }
        if not known:
            return []
        revised = []
        for window, rows in self._windows(since, max(window.end for window in known)):
            published, revision = known.get(window, (None, -1))
            if published != rows:
                logger.info("late rows in %s: %s -> %s, revision %d", window, published, rows, revision + 1)
                self._publish(window, rows, revision + 1, late=True)
                revised.append(window)
        return revised

    def _floor(self, at: datetime) -> datetime:
        size = self._settings.windows.size
        return max(EPOCH, EPOCH + ((at - EPOCH) // size) * size)

    def _windows(self, start: datetime, end: datetime) -> list[tuple[Window, int]]:
        """Return the windows within ``[start, end)`` that have rows, with their row counts, oldest first."""
        if end <= start:
            return []
        size = self._settings.windows.size
        rows = self._store.query(
            "SELECT intDiv(toUnixTimestamp64Milli(timestamp), {size:Int64}) AS place, count() AS rows FROM inferences "
            "WHERE timestamp >= {start:DateTime64(3, 'UTC')} AND timestamp < {end:DateTime64(3, 'UTC')} "
            "GROUP BY place ORDER BY place",
            {"size": size // timedelta(milliseconds=1), "start": start, "end": end},
        ).to_pylist()
        starts = [(EPOCH + row["place"] * size, int(row["rows"])) for row in rows]
        return [(Window(at, at + size), n) for at, n in starts]

    def _publish(self, window: Window, rows: int, revision: int, *, late: bool = False) -> None:
        metrics = aggregate(self._store, window, self._settings.segments, self._thresholds)
        totals = {metric.series.application: metric.total for metric in metrics}
        for application, total in sorted(totals.items()):
            metrics += self._drift.measure(window, application, total, late=late)
        metrics = [replace(metric, revision=revision) for metric in metrics]
        token = f"{window.start.isoformat()}/{window.end.isoformat()}/{revision}/{rows}"
        self._store.insert("window_metrics_raw", self._table(metrics), token=token)
        if not late:
            self._alerting.decide(window, metrics)
        self._store.insert("windows_raw", self._window_row(window, rows, revision), token=token)
        self.closed += 1

    def _window_row(self, window: Window, rows: int, revision: int) -> pa.Table:
        return pa.table(
            {
                "window_start": pa.array([window.start], INSTANT),
                "window_end": pa.array([window.end], INSTANT),
                "revision": pa.array([revision], pa.uint32()),
                "rows": pa.array([rows], pa.uint64()),
                "closed_at": pa.array([self._clock.now()], INSTANT),
            }
        )

    def _table(self, metrics: Sequence[WindowMetric]) -> pa.Table:
        now = self._clock.now()
        return pa.table(
            {
                "window_start": pa.array([metric.window.start for metric in metrics], INSTANT),
                "window_end": pa.array([metric.window.end for metric in metrics], INSTANT),
                "application": pa.array([metric.series.application for metric in metrics], pa.string()),
                "segment_dimension": pa.array([metric.series.dimension for metric in metrics], pa.string()),
                "segment_value": pa.array([metric.series.value for metric in metrics], pa.string()),
                "metric": pa.array([metric.metric for metric in metrics], pa.string()),
                "value": pa.array([metric.value for metric in metrics], pa.float64()),
                "n": pa.array([metric.n for metric in metrics], pa.uint64()),
                "total": pa.array([metric.total for metric in metrics], pa.uint64()),
                "ci_low": pa.array([metric.ci_low for metric in metrics], pa.float64()),
                "ci_high": pa.array([metric.ci_high for metric in metrics], pa.float64()),
                "revision": pa.array([metric.revision for metric in metrics], pa.uint32()),
                "detail": pa.array([orjson.dumps(metric.detail).decode() for metric in metrics], pa.string()),
                "published_at": pa.array([now] * len(metrics), INSTANT),
            }
        )
