from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from inferwatch.infra import memory
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.errors import Permanent
from inferwatch.schemas.settings import StoreSettings

RESIDENT = """
import threading
import numpy as np
import pyarrow as pa
from inferwatch.infra import memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

memory.bound()
"""
THREADS = """
kept = []

def work():
    # A small piece that stays, after every few that go: the holes between them can be given back, page by page.
    pieces = [bytearray(60_000) for _ in range(1_000)]
    kept.append(pieces[::50])

for _ in range(8):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
before = resident()
memory.trim()
print(before - resident())
"""
LARGE = """
def fill(size):
    buffer = pa.allocate_buffer(size)
    np.frombuffer(buffer, np.uint8)[::4096] = 1
    return buffer

# After the first that goes, glibc by itself takes the next of that size from where the small ones are.
fill(2_000_000)
pieces = [(fill(2_000_000), bytearray(600)) for _ in range(50)]
before = resident()
pieces = [small for large, small in pieces]
print(before - resident())
"""
ENGINE = """
import sys
from inferwatch.infra.clickhouse.connection import connect
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.settings import StoreSettings

settings = StoreSettings(dsn=f"chdb://{sys.argv[1]}")
client = connect(settings, {}, database=False)
client.command(f"CREATE DATABASE {settings.database}")
client.command(f"CREATE TABLE {settings.database}.t (a String) ENGINE = MergeTree ORDER BY a")
with ClickHouseStore(settings) as store:
    for _ in range(10):
        client.command(f"INSERT INTO {settings.database}.t SELECT randomString(1000) FROM numbers(20000)")
    client.command(f"OPTIMIZE TABLE {settings.database}.t FINAL")
    before = resident()
    store.trim()
    print(before - resident())
client.close()
"""


def given_back(script: str, *arguments: str) -> float:
    command = [sys.executable, "-c", RESIDENT + script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return float(done.stdout)


def test_what_threads_freed_is_given_back() -> None:
    assert given_back(THREADS) > 20


def test_what_is_large_is_given_back_as_soon_as_it_is_free() -> None:
    assert given_back(LARGE) > 90


def test_what_the_embedded_engine_needed_for_a_merge_is_given_back(tmp_path: Path) -> None:
    assert given_back(ENGINE, str(tmp_path / "store")) > 10


def test_a_server_keeps_house_by_itself() -> None:
    with ClickHouseStore(StoreSettings(dsn=SecretStr("clickhouse://nowhere.invalid:8123"))) as store:
        store.trim()


def test_an_engine_without_that_allocator_is_asked_once_and_nothing_stops(
    store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    @contextmanager
    def refusing(doing: str) -> Iterator[None]:
        asked.append(doing)
        raise Permanent("Support is disabled")
        yield

    monkeypatch.setattr(store, "_handle", refusing)
    with caplog.at_level("INFO"):
        store.trim()
        store.trim()
    assert asked == ["trim"]
    assert "keeps free stays with it: Support is disabled" in caplog.text


def test_what_is_there_is_out_of_the_search_for_cycles_and_back_in_it_after() -> None:
    before, thresholds = len(gc.get_objects()), gc.get_threshold()
    with memory.settled():
        assert len(gc.get_objects()) < before / 10
    assert len(gc.get_objects()) > before * 0.9
    assert gc.get_threshold() == thresholds


def test_a_batch_of_objects_starts_no_search_and_cycles_are_still_found() -> None:
    searches: list[int] = []

    def note(phase: str, about: dict[str, int]) -> None:
        if phase == "start":
            searches.append(about["generation"])

    with memory.settled():
        gc.callbacks.append(note)
        try:
            held = [[place] for place in range(30_000)]
            assert not searches
            del held
            for _ in range(60_000):
                own: list[object] = []
                own.append(own)
            assert searches
        finally:
            gc.callbacks.remove(note)
