"""A published window as rows of the store, and the identity by which rows of two publishers are told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import orjson
import pyarrow as pa

from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.windows import EPOCH, SeriesKey, Window
from inferwatch.streams.opinions import said
from inferwatch.streams.ports import Store
from inferwatch.streams.rows import INSTANT


@dataclass(frozen=True)
class Publication:
    """One revision of one window with its numbers. ``rows`` and ``feedback`` say how much they were computed from."""

    window: Window
    revision: int
    rows: int
    feedback: int
    metrics: tuple[WindowMetric, ...]

    @cached_property
    def edition(self) -> int:
        """A hash of the numbers: the same for the same numbers, whoever publishes them."""
        digest = hashlib.sha256()
        for line in sorted(_content(metric) for metric in self.metrics):
            digest.update(line)
        return int.from_bytes(digest.digest()[:8], "big")

    @property
    def token(self) -> str:
        """The insert token of its rows: what is published again is stored once, what differs is stored beside it."""
        return f"{self.window.start.isoformat()}/{self.window.end.isoformat()}/{self.revision}/{self.edition:016x}"

    def window_row(self, now: datetime, passed: datetime | None = None) -> pa.Table:
        """Return the row of ``windows_raw`` that makes the revision visible.

        ``passed`` is up to which event time windows without rows have been judged.
        """
        return pa.table(
            {
                "window_start": pa.array([self.window.start], INSTANT),
                "window_end": pa.array([self.window.end], INSTANT),
                "revision": pa.array([self.revision], pa.uint32()),
                "rows": pa.array([self.rows], pa.uint64()),
                "feedback": pa.array([self.feedback], pa.uint64()),
                "edition": pa.array([self.edition], pa.uint64()),
                "closed_at": pa.array([now], INSTANT),
                "passed": pa.array([passed or EPOCH], INSTANT),
            }
        )

    def metric_rows(self, now: datetime) -> pa.Table:
        """Return the rows of ``window_metrics_raw``."""
        metrics, n = self.metrics, len(self.metrics)
        return pa.table(
            {
                "window_start": pa.array([self.window.start] * n, INSTANT),
                "window_end": pa.array([self.window.end] * n, INSTANT),
                "application": pa.array([metric.series.application for metric in metrics], pa.string()),
                "segment_dimension": pa.array([metric.series.dimension for metric in metrics], pa.string()),
                "segment_value": pa.array([metric.series.value for metric in metrics], pa.string()),
                "metric": pa.array([metric.metric for metric in metrics], pa.string()),
                "value": pa.array([metric.value for metric in metrics], pa.float64()),
                "n": pa.array([metric.n for metric in metrics], pa.uint64()),
                "total": pa.array([metric.total for metric in metrics], pa.uint64()),
                "ci_low": pa.array([metric.ci_low for metric in metrics], pa.float64()),
                "ci_high": pa.array([metric.ci_high for metric in metrics], pa.float64()),
                "revision": pa.array([self.revision] * n, pa.uint32()),
                "edition": pa.array([self.edition] * n, pa.uint64()),
                "detail": pa.array([orjson.dumps(metric.detail).decode() for metric in metrics], pa.string()),
                "published_at": pa.array([now] * n, INSTANT),
            }
        )


def publication(window: Window, revision: int, rows: int, metrics: Sequence[WindowMetric]) -> Publication:
    """Return the numbers of a window computed from ``rows`` rows as its ``revision``."""
    numbered = tuple(replace(metric, revision=revision) for metric in metrics)
    return Publication(window, revision, rows, said(numbered), numbered)


def same(these: Sequence[WindowMetric], those: Sequence[WindowMetric]) -> bool:
    """Return whether two sets of numbers of one window are equal, revisions aside."""
    window = these[0].window
    return Publication(window, 0, 0, 0, tuple(these)).edition == Publication(window, 0, 0, 0, tuple(those)).edition


def _content(metric: WindowMetric) -> bytes:
    """Return one metric as a line, NaN as null."""
    series = metric.series
    numbers = (float(metric.value), metric.n, metric.total, metric.ci_low, metric.ci_high, metric.detail)
    return orjson.dumps((series.application, series.dimension, series.value, metric.metric, *numbers))


def published(store: Store, window: Window) -> list[WindowMetric]:
    """Return the numbers of ``window`` that the views show now."""
    rows = store.query(
        "SELECT application, segment_dimension, segment_value, metric, m.value AS value, n, total, ci_low, ci_high, "
        "revision, detail FROM window_metrics AS m "
        "WHERE window_start = {start:DateTime64(3, 'UTC')} AND window_end = {end:DateTime64(3, 'UTC')}",
        {"start": window.start, "end": window.end},
    ).to_pylist()
    return [
        WindowMetric(
            window,
            SeriesKey(row["application"], row["segment_dimension"], row["segment_value"]),
            row["metric"],
            row["value"],
            row["n"],
            row["total"],
            row["ci_low"],
            row["ci_high"],
            row["revision"],
            orjson.loads(row["detail"] or "{}"),
        )
        for row in rows
    ]
