"""A store that says how long its calls take and which fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from inferwatch.schemas.clock import Clock
from inferwatch.streams.ports import Store
from inferwatch.streams.telemetry import ERRORS, INSERT, QUERY, Histogram, Recorder


class TimedStore:
    """Implements ``inferwatch.streams.ports.Store`` over another, and tells ``recorder`` about every call."""

    def __init__(self, inner: Store, clock: Clock, recorder: Recorder) -> None:
        self._inner = inner
        self._clock = clock
        self._recorder = recorder

    def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        """Append ``rows``; see ``Store.insert``."""
        if rows.num_rows:
            with self._timed(INSERT, table):
                self._inner.insert(table, rows, token=token)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Run one SELECT; see ``Store.query``."""
        with self._timed(QUERY):
            return self._inner.query(sql, parameters)

    @contextmanager
    def _timed(self, histogram: Histogram, *labels: str) -> Iterator[None]:
        started = self._clock.monotonic()
        try:
            yield
        except Exception as error:
            self._recorder.add(ERRORS, 1, "store", type(error).__name__)
            raise
        finally:
            self._recorder.observe(histogram, [self._clock.monotonic() - started], *labels)
