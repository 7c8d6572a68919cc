"""A small real encoder and makers of records for the tests of the stream."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from inferwatch.detectors.base import F32, Batch, Detector, Field, Item, Scores
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.errors import StoreUnavailable
from inferwatch.schemas.settings import Settings
from inferwatch.streams.pipeline import Pipeline
from inferwatch.streams.ports import RawRecord

DAY = datetime(2026, 3, 1, tzinfo=UTC)


class HashedWords:
    """Bag of hashed words: a real encoder in that like texts get like vectors, and quick."""

    revision = family = "hashed-words-1"
    dim = 32

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> F32:
        self.seen.extend(texts)
        found = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split() or [""]:
                digest = hashlib.sha256(word.encode()).digest()
                found[row, digest[0] % self.dim] += 1 if digest[1] % 2 else -1
        found[:, 0] += 1e-3
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def encoder() -> HashedWords:
    return HashedWords()


Maker = Callable[..., RawRecord]


@pytest.fixture
def record() -> Maker:
    """Make the raw record at ``offset``; its event time is ``minute`` minutes into 2026-03-01."""

    def make(
        offset: int, minute: float | None = None, *, raw: bytes | None = None, partition: int = 0, **fields: Any
    ) -> RawRecord:
        at = DAY + timedelta(minutes=offset / 10 if minute is None else minute)
        body = {
            "id": f"id-{partition}-{offset}",
            "timestamp": at.isoformat(),
            "application": "shop",
            "input": f"where is parcel number {offset}",
            "output": f"parcel {offset} is on its way",
        }
        value = raw if raw is not None else orjson.dumps(body | fields)
        return RawRecord("logs", partition, offset, DAY + timedelta(days=1), value)

    return make


class Length(Detector):
    """Scores the output's length; abstains on none; raises on the word 'explode'."""

    name = "length"
    version = "1"
    reads = frozenset({Field.OUTPUT})
    emits: Mapping[str, float] = {"length": 0.5}

    def texts(self, item: Item) -> list[str]:
        return [item.output] if item.output.strip() else []

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        if any("explode" in item.output for item in batch.items):
            raise ArithmeticError("boom")
        values = [min(1.0, len(item.output) / 100) if item.output.strip() else np.nan for item in batch.items]
        reasons = tuple("" if item.output.strip() else "no output" for item in batch.items)
        return (Scores("length", np.array(values, np.float32), reasons, ((),) * len(values)),)


@pytest.fixture
def build(encoder: HashedWords) -> Callable[..., Pipeline]:
    """Build a pipeline with the ``length`` detector over ``store``; keywords are settings."""

    def make(store: Any, **settings: Any) -> Pipeline:
        return Pipeline(Settings.model_validate(settings), encoder, [Length()], store, SystemClock())

    return make


class FailingAt:
    """A store that fails once, at the k-th insert: before it, or after having done it."""

    def __init__(self, store: ClickHouseStore, k: int, *, after: bool) -> None:
        self.store, self.k, self.after, self.calls = store, k, after, 0

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        return self.store.query(sql, parameters)

    def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        self.calls += 1
        if self.calls == self.k and not self.after:
            raise StoreUnavailable("refused")
        self.store.insert(table, rows, token=token)
        if self.calls == self.k:
            raise StoreUnavailable("answered too late")


@pytest.fixture
def failing_at() -> type[FailingAt]:
    return FailingAt
