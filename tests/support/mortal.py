"""A store whose user dies: at one call, before it took effect or after, and every call after that fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pyarrow as pa

from inferwatch.schemas.errors import StoreUnavailable
from inferwatch.streams.ports import Store

Found = TypeVar("Found")


class Mortal:
    """Implements ``Store`` over a real one. ``calls`` counts them; 0 as ``die_at`` never dies."""

    def __init__(self, store: Store, die_at: int = 0, *, after: bool = False) -> None:
        self._store, self._die_at, self._after = store, die_at, after
        self._dead = False
        self.calls = 0

    def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        self._call(lambda: self._store.insert(table, rows, token=token))

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        return self._call(lambda: self._store.query(sql, parameters))

    def _call(self, work: Callable[[], Found]) -> Found:
        self.calls += 1
        dies = self.calls == self._die_at
        if self._dead or (dies and not self._after):
            self._dead = True
            raise StoreUnavailable("killed before the call took effect")
        found = work()
        if dies:
            self._dead = True
            raise StoreUnavailable("killed after the call took effect")
        return found
