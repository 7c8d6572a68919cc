"""What closed windows leave behind for drift over time, in ClickHouse: counts and sums of features, no rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from inferwatch.detectors.drift.reference import Reference
from inferwatch.detectors.drift.scan import Summary
from inferwatch.schemas.windows import Window
from inferwatch.streams.ports import Store
from inferwatch.streams.rows import INSTANT


@dataclass(frozen=True, eq=False)
class Left:
    """The summary of one window, and what it was compared with: ``features`` names the feature map."""

    reference: Reference
    features: str
    summary: Summary


def store_summaries(
    store: Store, left: Sequence[Left], revision: int, totals: Mapping[str, int], now: datetime
) -> None:
    """Keep the summaries of one window. ``totals`` maps an application to the rows its window held.

    Raises:
        StoreUnavailable: call again; the same summaries count once.
    """
    if not left:
        return
    table = pa.table(
        {
            **_texts("application", (one.reference.application for one in left)),
            **_texts("field", (one.reference.field for one in left)),
            **_texts("reference", (one.reference.name for one in left)),
            "reference_version": pa.array([one.reference.version for one in left], pa.uint32()),
            **_texts("encoder_revision", (one.reference.encoder_revision for one in left)),
            **_texts("features", (one.features for one in left)),
            "window_start": pa.array([one.summary.window.start for one in left], INSTANT),
            "window_end": pa.array([one.summary.window.end for one in left], INSTANT),
            "revision": pa.array([revision] * len(left), pa.uint32()),
            "rows": pa.array([totals[one.reference.application] for one in left], pa.uint64()),
            "sampled": pa.array([one.summary.rows for one in left], pa.uint32()),
            "total": pa.array([one.summary.total for one in left], pa.list_(pa.float64())),
        }
    )
    content = hashlib.sha256(repr([column.to_pylist() for column in table.columns]).encode()).hexdigest()
    stamped = table.append_column("computed_at", pa.array([now] * len(left), INSTANT))
    store.insert("drift_windows_raw", stamped, token=f"drift/{content}")


def earlier_summaries(
    store: Store, reference: Reference, features: str, window: Window, back: timedelta
) -> list[Summary]:
    """Return the summaries of windows that ended within ``back`` before the end of ``window``, as first published.

    Later revisions are left out: whether one is there depends on when one looks. Of several rows of one window, which
    two closers may have left, the one that had seen most counts.
    """
    found = store.query(
        "SELECT window_start, window_end, argMax(d.sampled, d.rows) AS sampled, argMax(d.total, d.rows) AS total "
        "FROM drift_windows_raw AS d WHERE application = {application:String} AND field = {field:String} "
        "AND reference = {reference:String} AND reference_version = {version:UInt32} "
        "AND encoder_revision = {encoder:String} AND features = {features:String} AND revision = 0 "
        "AND window_end > {since:DateTime64(3, 'UTC')} AND window_end <= {until:DateTime64(3, 'UTC')} "
        "AND toUnixTimestamp64Milli(window_end) - toUnixTimestamp64Milli(window_start) = {size:Int64} "
        "AND NOT (window_start = {start:DateTime64(3, 'UTC')} AND window_end = {until:DateTime64(3, 'UTC')}) "
        "GROUP BY window_start, window_end ORDER BY window_start, window_end",
        {
            "application": reference.application,
            "field": reference.field,
            "reference": reference.name,
            "version": reference.version,
            "encoder": reference.encoder_revision,
            "features": features,
            "since": window.end - back,
            "start": window.start,
            "until": window.end,
            "size": window.size // timedelta(milliseconds=1),
        },
    ).to_pylist()
    return [
        Summary(Window(row["window_start"], row["window_end"]), row["sampled"], np.asarray(row["total"], np.float64))
        for row in found
    ]


def _texts(name: str, values: Iterable[str]) -> dict[str, pa.StringArray]:
    return {name: pa.array(list(values), pa.string())}
