"""What the columns were like in the period of a drift reference: read once, then kept with it. Kept in ClickHouse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa

from inferwatch.detectors.drift.scalar import F64
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.columns import is_mix
from inferwatch.schemas.windows import SeriesKey
from inferwatch.streams.column_samples import Samples, Scope, samples
from inferwatch.streams.ports import Store
from inferwatch.streams.references.stored import ReferenceInfo
from inferwatch.streams.rows import INSTANT


@dataclass(frozen=True, eq=False)
class Column:
    """One column of one series of a reference: sorted (m,) ``numbers``, or ``counts`` of the values of a mix."""

    numbers: F64
    counts: Mapping[str, int]


NOTHING = Column(np.empty(0), {})
Columns = dict[SeriesKey, dict[str, Column]]
"""Series -> column -> what it was like."""


class ReferenceColumns:
    """The columns of references. A reference that has none yet gets them from the rows of its period.

    Frozen as the reference itself is: rows that come late, or expire, change nothing.

    Args:
        store: rows and references.
        clock: for ``created_at``.
        rows: most rows kept of a column.
        pane: the length of the windows that will be compared.
        max_values: how many values of a segment dimension have a series of their own.
    """

    def __init__(self, store: Store, clock: Clock, *, rows: int, pane: timedelta, max_values: int) -> None:
        self._store = store
        self._clock = clock
        self._rows, self._pane, self._max_values = rows, pane, max_values
        self._known: dict[ReferenceInfo, Columns] = {}

    def of(self, reference: ReferenceInfo, columns: Sequence[str], dimensions: Sequence[str]) -> Columns:
        """Return what ``columns`` were like, by ``dimensions``; a series without rows may be missing."""
        if reference not in self._known:
            self._known[reference] = self._stored(reference)
        known = self._known[reference]
        for dimension in dimensions:
            there = {name for series, own in known.items() if series.dimension == dimension for name in own}
            missing = [name for name in columns if name not in there]
            if missing:
                for series, own in self._freeze(reference, missing, dimension).items():
                    known.setdefault(series, {}).update(own)
        return known

    def _freeze(self, reference: ReferenceInfo, columns: Sequence[str], dimension: str) -> Columns:
        period = (reference.period_start, reference.period_end)
        scope = Scope(*period, (reference.application,), self._pane, dimension)
        found = summaries(samples(self._store, scope, columns, rows=self._rows, max_values=self._max_values))
        if found:
            self._insert(reference, found)
            return found
        # Rows that are gone are not looked for again by this process.
        return {SeriesKey(reference.application, dimension, ""): dict.fromkeys(columns, NOTHING)}

    def _stored(self, reference: ReferenceInfo) -> Columns:
        rows = self._store.query(
            "SELECT segment_dimension, segment_value, column_name, numbers, labels, counts FROM reference_columns "
            "WHERE application = {application:String} AND field = {field:String} AND name = {name:String} "
            "AND version = {version:UInt32}",
            {
                "application": reference.application,
                "field": reference.field,
                "name": reference.name,
                "version": reference.version,
            },
        )
        found: Columns = {}
        for row in rows.to_pylist():
            series = SeriesKey(reference.application, row["segment_dimension"], row["segment_value"])
            counts = dict(zip(row["labels"], row["counts"], strict=True))
            found.setdefault(series, {})[row["column_name"]] = Column(np.array(row["numbers"], np.float64), counts)
        return found

    def _insert(self, reference: ReferenceInfo, found: Columns) -> None:
        now = self._clock.now()
        rows = [(series, name, column) for series, own in found.items() for name, column in own.items()]
        n = len(rows)
        table = pa.table(
            {
                "application": [reference.application] * n,
                "field": [reference.field] * n,
                "name": [reference.name] * n,
                "version": pa.array([reference.version] * n, pa.uint32()),
                "segment_dimension": [series.dimension for series, _, _ in rows],
                "segment_value": [series.value for series, _, _ in rows],
                "column_name": [name for _, name, _ in rows],
                "numbers": pa.array([column.numbers.tolist() for *_, column in rows], pa.list_(pa.float64())),
                "labels": pa.array([list(column.counts) for *_, column in rows], pa.list_(pa.string())),
                "counts": pa.array([list(column.counts.values()) for *_, column in rows], pa.list_(pa.uint64())),
                "created_at": pa.array([now] * n, INSTANT),
            }
        )
        of = f"{reference.application}/{reference.field}/{reference.name}/{reference.version}"
        self._store.insert("reference_columns_raw", table, token=f"reference_columns/{of}/{now.isoformat()}")


def summaries(found: Samples) -> Columns:
    """Return what is kept of samples, of columns without a value as well: they need not be looked for again."""
    return {
        series: {
            name: Column(np.empty(0), dict(sorted(Counter(sample.values).items())))
            if is_mix(name)
            else Column(np.sort(np.array(sample.values, np.float64)), {})
            for name, sample in sorted(columns.items())
        }
        for series, columns in sorted(found.items())
    }
