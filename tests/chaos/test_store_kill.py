"""A store that is killed at any moment, over and over: every insert it answered is there, those made again too.

The gap that lost some was between two steps of one insert, well under a millisecond; it took a loop like this to see.
"""

from __future__ import annotations

import random
import threading
import time
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import SecretStr

from inferwatch.infra.clickhouse.migrate import migrate
from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.errors import Retryable
from inferwatch.schemas.settings import StoreSettings
from inferwatch.streams.rows import INSTANT
from tests.support.engine import EngineServer

KILLS, WRITERS, ROWS = 15, 6, 5


@pytest.mark.slow
def test_no_insert_that_was_answered_is_lost_or_counts_twice(tmp_path: Path) -> None:
    stop = threading.Event()
    attempts: dict[str, int] = {}
    with EngineServer(tmp_path / "store") as server:
        settings = StoreSettings(dsn=SecretStr(server.dsn), answer_timeout=timedelta(seconds=5))
        migrate(settings)
        with open_store(settings) as store:
            writers = [threading.Thread(target=_write, args=(store, n, stop, attempts)) for n in range(WRITERS)]
            for writer in writers:
                writer.start()
            rng = random.Random(1)
            for _ in range(KILLS):
                time.sleep(rng.uniform(0.1, 0.4))
                server.kill()
                server.start()
            stop.set()
            for writer in writers:
                writer.join()
            found = store.query("SELECT action, count() AS n FROM audit_log GROUP BY action").to_pylist()
    assert sum(n > 1 for n in attempts.values()) >= KILLS
    assert {row["action"]: row["n"] for row in found} == dict.fromkeys(attempts, ROWS)


def _write(store: ClickHouseStore, writer: int, stop: threading.Event, attempts: dict[str, int]) -> None:
    """Insert until ``stop``, each insert again until it is answered."""
    turn = 0
    while not stop.is_set():
        turn += 1
        name, tries, now = f"{writer}/{turn}", 1, SystemClock().now()
        rows = pa.table(
            {
                "at": pa.array([now] * ROWS, INSTANT),
                "action": [name] * ROWS,
                "subject": [str(row) for row in range(ROWS)],
            }
        )
        while True:
            try:
                store.insert("audit_log_raw", rows, token=name)
                break
            except Retryable:
                tries += 1
                time.sleep(0.02)
        attempts[name] = tries
