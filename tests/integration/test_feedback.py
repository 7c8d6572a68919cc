"""Feedback through a real broker and a real worker, before and after the windows it belongs to are closed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from inferwatch.infra.clickhouse.migrate import migrate
from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.settings import KafkaSettings, StoreSettings
from tests.integration.conftest import Produce
from tests.support.engine import EngineServer

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
ROWS = 40


def inferences(start: datetime) -> list[tuple[bytes | None, bytes | None]]:
    """Return records of two windows of ten seconds, and one of long after that closes them."""
    times = [start + timedelta(milliseconds=400 * row) for row in range(ROWS)] + [start + timedelta(seconds=40)]
    return [
        (
            None,
            json.dumps({"id": f"r{row}", "application": "shop", "timestamp": at.isoformat(), "output": "yes"}).encode(),
        )
        for row, at in enumerate(times)
    ]


def thumb(row: int, at: datetime, value: str) -> tuple[bytes | None, bytes | None]:
    said = {"id": f"r{row}", "application": "shop", "timestamp": at.isoformat(), "kind": "thumb", "value": value}
    return None, json.dumps(said).encode()


def thumbs(store: ClickHouseStore) -> list[tuple[float, int]]:
    """Return (share of thumbs down, number) of each window that has any, in order."""
    rows = store.query(
        "SELECT value, n FROM window_metrics WHERE metric = 'feedback.thumb.rate' AND segment_dimension = '__all__' "
        "ORDER BY window_start"
    )
    return [(row["value"], row["n"]) for row in rows.to_pylist()]


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + seconds
    while not condition():
        assert clock.monotonic() < deadline
        time.sleep(0.1)


def test_feedback_counts_once_in_the_window_of_its_inference(
    source: KafkaSettings, produce: Produce, tmp_path: Path
) -> None:
    opinions = source.model_copy(update={"topic": source.feedback_topic})
    now = SystemClock().now() - timedelta(minutes=2)
    start = now.replace(second=now.second // 10 * 10, microsecond=0)
    later = start + timedelta(seconds=30)
    with EngineServer(tmp_path / "store") as server, worker(source, server.dsn, tmp_path):
        produce(opinions, [thumb(0, start, "down")])
        produce(source, inferences(start))
        settings = StoreSettings(dsn=SecretStr(server.dsn))
        migrate(settings)
        with open_store(settings) as store:
            until(lambda: store.query("SELECT 1 FROM windows").num_rows == 2)
            assert thumbs(store) == [(1.0, 1)]
            produce(opinions, [thumb(1, later, "up"), thumb(30, later, "down"), (None, b"{"), thumb(1, later, "up")])
            until(lambda: thumbs(store) == [(0.5, 2), (1.0, 1)])
            until(lambda: store.query("SELECT 1 FROM dead_letters").num_rows > 0)
            letters = store.query("SELECT topic, reason FROM dead_letters").to_pylist()
            windows = store.query("SELECT rows, feedback, revision FROM windows ORDER BY window_start").to_pylist()
    assert letters == [{"topic": source.feedback_topic, "reason": "invalid_json"}]
    assert [(row["rows"], row["feedback"]) for row in windows[:2]] == [(25, 2), (15, 1)]
    assert all(row["revision"] >= 1 for row in windows[:2])


@contextmanager
def worker(source: KafkaSettings, dsn: str, folder: Path) -> Iterator[None]:
    """Run a worker with a small encoder and detector; it ends with its standard input."""
    kafka = {"bootstrap_servers", "topic", "feedback_topic", "dead_letter_topic", "group_id"}
    settings = {
        "kafka": json.loads(source.model_dump_json(include=kafka)) | {"batch_wait": "100ms"},
        "store": {"dsn": dsn},
        "windows": {"size": "10s", "allowed_lateness": "1s", "idle_timeout": "1s"},
        "drift": {"fields": []},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "clock").write_text("0")
    command = [sys.executable, "-m", "tests.chaos.worker_process", folder / "settings.json", folder / "clock"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT)
    try:
        yield
    finally:
        process.terminate()
        process.communicate(timeout=40)
