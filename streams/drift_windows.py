"""What closed windows leave behind for drift over time, in ClickHouse: counts and sums of features, no rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inferwatch.detectors.drift.reference import Reference
from inferwatch.detectors.drift.scan import Summary
from inferwatch.schemas.windows import Window
from inferwatch.streams.ports import Store
from inferwatch.streams.rows import INSTANT

_KEY = ("application", "field", "reference", "reference_version", "encoder_revision", "features")


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


Compared = tuple[Reference, str]
"""A reference, and the name of its feature map."""


def earlier_summaries(
    store: Store, compared: Sequence[Compared], window: Window, back: timedelta
) -> list[list[Summary]]:
    """Return of each of ``compared`` the summaries of windows that ended within ``back`` before the end of ``window``.

    They are as first published: whether a later revision is there depends on when one looks. Of several rows of one
    window, which two closers may have left, the one that had seen most counts.
    """
    if not compared:
        return []
    found = store.query(
        "SELECT application, field, reference, reference_version, encoder_revision, features, "
        "window_start, window_end, argMax(d.sampled, d.rows) AS sampled, argMax(d.total, d.rows) AS total "
        "FROM drift_windows_raw AS d WHERE application IN {applications:Array(String)} "
        "AND features IN {features:Array(String)} AND revision = 0 "
        "AND window_end > {since:DateTime64(3, 'UTC')} AND window_end <= {until:DateTime64(3, 'UTC')} "
        "AND toUnixTimestamp64Milli(window_end) - toUnixTimestamp64Milli(window_start) = {size:Int64} "
        "AND NOT (window_start = {start:DateTime64(3, 'UTC')} AND window_end = {until:DateTime64(3, 'UTC')}) "
        "GROUP BY 1, 2, 3, 4, 5, 6, window_start, window_end ORDER BY window_start, window_end",
        {
            "applications": sorted({reference.application for reference, _ in compared}),
            "features": sorted({features for _, features in compared}),
            "since": window.end - back,
            "start": window.start,
            "until": window.end,
            "size": window.size // timedelta(milliseconds=1),
        },
    )
    totals = np.split(
        pc.list_flatten(found["total"]).to_numpy(), np.cumsum(pc.list_value_length(found["total"]).to_numpy())[:-1]
    )
    by_key: dict[tuple[object, ...], list[Summary]] = {}
    for row, total in zip(found.drop_columns(["total"]).to_pylist(), totals, strict=False):
        one = Summary(Window(row["window_start"], row["window_end"]), row["sampled"], total)
        by_key.setdefault(tuple(row[name] for name in _KEY), []).append(one)
    return [
        by_key.get((of.application, of.field, of.name, of.version, of.encoder_revision, features), [])
        for of, features in compared
    ]


def _texts(name: str, values: Iterable[str]) -> dict[str, pa.StringArray]:
    return {name: pa.array(list(values), pa.string())}
