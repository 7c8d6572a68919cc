"""A store whose user is stopped in the middle, as SIGSTOP or a long pause would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from inferwatch.streams.ports import Store


class Interrupted:
    """Implements ``Store``: just before the k-th call, ``meanwhile`` happens. ``calls`` counts them all."""

    def __init__(self, store: Store, k: int, meanwhile: Callable[[], object]) -> None:
        self._store, self._k, self._meanwhile, self.calls = store, k, meanwhile, 0

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        self._call()
        return self._store.query(sql, parameters)

    def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        self._call()
        self._store.insert(table, rows, token=token)

    def _call(self) -> None:
        self.calls += 1
        if self.calls == self._k:
            self._meanwhile()
