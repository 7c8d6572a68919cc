"""Puts vectors into the store, and closes windows over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from inferwatch.detectors.base import F32
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import floor
from inferwatch.streams.closing import Closer
from inferwatch.streams.rows import INSTANT, vector_array

DAY = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""
NOW = datetime(2026, 6, 1, tzinfo=UTC)
DIM = 6


@pytest.fixture
def day() -> datetime:
    return DAY


Put = Callable[..., list[str]]


@pytest.fixture
def put(store: ClickHouseStore) -> Put:
    """Store ``vectors`` (n, dim) at ``times``; keywords are columns of ``inferences``. Returns the ids."""
    numbers = count()

    def make(
        times: Sequence[datetime],
        vectors: F32,
        *,
        field: str = "input",
        application: str = "shop",
        revision: str = "enc-1",
        **columns: Any,
    ) -> list[str]:
        n = len(times)
        ids = [f"id-{next(numbers)}" for _ in range(n)]
        base = {
            "application": pa.array([application] * n),
            "timestamp": pa.array(times, INSTANT),
            "id": pa.array(ids),
            "encoder_revision": pa.array([revision] * n),
            "ingested_at": pa.array([NOW] * n, INSTANT),
        }
        token = f"put/{ids[0]}"
        own = {"field": pa.array([field] * n), "vector": vector_array(np.asarray(vectors, np.float32))}
        store.insert("embeddings_raw", pa.table(base | own), token=token)
        texts = {name: pa.array(value if isinstance(value, list) else [value] * n) for name, value in columns.items()}
        store.insert("inferences_raw", pa.table(base | texts), token=token)
        panes = sorted({floor(at, timedelta(hours=1)) for at in times})
        arrived = {
            "topic": pa.array(["put"] * len(panes)),
            "partition": pa.array([0] * len(panes), pa.uint32()),
            "pane": pa.array(panes, INSTANT),
            "next_offset": pa.array([next(numbers)] * len(panes), pa.uint64()),
            "max_timestamp": pa.array(panes, INSTANT),
            "updated_at": pa.array([NOW] * len(panes), INSTANT),
        }
        store.insert("progress_raw", pa.table(arrived), token=token)
        return ids

    return make


@pytest.fixture
def spread() -> Callable[..., list[datetime]]:
    """Return ``n`` times, evenly over ``hours`` from ``start``."""

    def make(n: int, hours: float, start: datetime = DAY) -> list[datetime]:
        step = timedelta(hours=hours) / n
        return [start + step * place for place in range(n)]

    return make


@pytest.fixture
def normal() -> Callable[..., F32]:
    """Return (n, 6) normal vectors around ``mean`` (of the first column)."""
    rng = np.random.default_rng(7)

    def make(n: int, mean: float = 0) -> F32:
        found = rng.standard_normal((n, DIM)).astype(np.float32)
        found[:, 0] += mean
        return found

    return make


class Nobody:
    """Takes decisions and forgets them."""

    def decide(self, window: Any, metrics: Any, passed: Any) -> None:
        return None

    def let_pass(self, *_: object) -> None: ...


@pytest.fixture
def closer() -> Callable[..., Closer]:
    """Build a Closer over a store; keywords are drift settings, ``tree`` the other settings."""

    def make(store: Any, *, tree: dict[str, Any] | None = None, **drift: Any) -> Closer:
        own = {"fields": ["input"], "min_rows": 20, "reference_rows": 100, "on_deploy": "off"}
        base = {"windows": {"size": "1h", "revise_for": "2000d"}}
        settings = Settings.model_validate(base | (tree or {}) | {"drift": own | drift})
        return Closer(settings, store, ManualClock(NOW), Nobody(), "enc-1", {})

    return make


@pytest.fixture
def drift(store: ClickHouseStore) -> Callable[..., dict[datetime, tuple[float, dict[str, Any]]]]:
    """Return window start -> (value, detail) of one metric."""
    import orjson

    def read(metric: str = "drift.input.p_value", **where: str) -> dict[datetime, tuple[float, dict[str, Any]]]:
        rows = store.query(
            "SELECT window_start, m.value AS value, detail, segment_value FROM window_metrics AS m "
            "WHERE metric = {metric:String} ORDER BY window_start",
            {"metric": metric},
        ).to_pylist()
        return {
            row["window_start"]: (row["value"], orjson.loads(row["detail"]))
            for row in rows
            if all(row[name] == value for name, value in where.items())
        }

    return read
