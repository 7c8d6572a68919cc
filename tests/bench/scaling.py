"""One worker process and two, with the static tier, on one topic and one store that they share.

The store is the real engine behind ClickHouse's HTTP protocol in a process of its own. The workers are
``inferwatch worker`` processes: they join the group and store a first batch before the topic is filled. The rate is
that of the rows in the store between a tenth and nine tenths of them. With 2 cores, broker, store and workers share
the same two: one worker already keeps the machine busy, and what a second adds says more about the machine than about
the service.

    python -m tests.bench.scaling [--records 40000] [--workers 1 2] [--output DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inferwatch.infra.clickhouse.migrate import migrate
from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.infra.local.broker import LocalKafka
from inferwatch.infra.topics import ensure_topics
from inferwatch.schemas.settings import Settings
from tests.bench.encoding import STATIC
from tests.bench.machine import RESULTS, cpu_seconds, machine, write
from tests.bench.service import STUCK, content_for, produce
from tests.bench.throughput import WINDOWS
from tests.bench.workloads import records, stamped
from tests.support.engine import EngineServer

FIRST = 64
SETTINGS = STATIC | {"kafka": {"batch_records": 512}, "windows": WINDOWS, "monitoring": {"port": None}}
"""Batches small enough for a rate between a tenth and nine tenths to be one."""


@contextmanager
def workers(count: int, content: dict[str, Any], folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Worker processes; they end with the context."""
    file = folder / f"{content['kafka']['topic']}.yaml"
    file.write_text(json.dumps(content))
    command = [Path(sys.executable).parent / "inferwatch", "--config", file, "worker"]
    running = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield running
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(60)


def wait_for(store: ClickHouseStore, rows: int, running: Sequence[subprocess.Popen[bytes]]) -> list[tuple[float, int]]:
    """Return (seconds, rows) until ``rows`` are there."""
    found: list[tuple[float, int]] = []
    start = moved = time.perf_counter()
    while not found or found[-1][1] < rows:
        [row] = store.query("SELECT count() AS n FROM inferences_raw").to_pylist()
        now = time.perf_counter()
        if not found or row["n"] != found[-1][1]:
            moved = now
        found.append((now - start, int(row["n"])))
        if any(process.poll() is not None for process in running):
            raise RuntimeError("a worker ended")
        if now - moved > STUCK:
            raise RuntimeError(f"the store stands at {row['n']} rows of {rows}")
        time.sleep(0.05)
    return found


def rate(counts: Sequence[tuple[float, int]], first: int, last: int) -> float:
    """Return rows a second between a tenth and nine tenths of the way from ``first`` to ``last``."""
    low, high = first + (last - first) * 0.1, first + (last - first) * 0.9
    inside = [(at, rows) for at, rows in counts if low <= rows <= high]
    (start, before), (end, after) = inside[0], inside[-1]
    return (after - before) / (end - start)


def measure(count: int, n: int, broker: LocalKafka, server: EngineServer, folder: Path) -> dict[str, Any]:
    """Return the rate of ``count`` workers over ``n`` records, and who used how much of the machine."""
    content = content_for(f"scaling-{count}", broker.bootstrap_servers, server.dsn, **SETTINGS)
    settings = Settings.model_validate(content)
    ensure_topics(settings.kafka)
    migrate(settings.store)
    values = stamped(records("short", n + FIRST), 2_000)
    with open_store(settings.store) as store, workers(count, content, folder) as running:
        produce(settings.kafka, values[:FIRST])
        wait_for(store, FIRST, running)
        # Everyone is in the group before it begins: a rebalance takes a few seconds.
        time.sleep(8)
        pids = {"workers": [one.pid for one in running], "store": [server.pid], "broker": [broker.pid or 0]}
        before = {name: sum(map(cpu_seconds, found)) for name, found in pids.items()}
        start = time.perf_counter()
        produce(settings.kafka, values[FIRST:])
        counts = wait_for(store, n + FIRST, running)
        seconds = time.perf_counter() - start
        used = {name: (sum(map(cpu_seconds, found)) - before[name]) / seconds for name, found in pids.items()}
        [row] = store.query("SELECT count() AS n FROM inferences").to_pylist()
    if row["n"] != n + FIRST:
        raise RuntimeError(f"{row['n']} rows of {n + FIRST} are in the store")
    return {
        "workers": count,
        "records": n,
        "per_s": rate(counts, FIRST, n + FIRST),
        "cores_used": {name: round(found, 2) for name, found in used.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=int, default=40_000)
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    about = machine()
    found = []
    with (
        tempfile.TemporaryDirectory() as name,
        LocalKafka() as broker,
        EngineServer(Path(name) / "store") as server,
    ):
        for count in options.workers:
            found.append(measure(count, options.records, broker, server, Path(name)))
            print(
                f"{count} workers: {found[-1]['per_s']:.0f} inferences/s, cores {found[-1]['cores_used']}", flush=True
            )
    write(
        "scaling",
        {
            "machine": about,
            "cores": os.cpu_count(),
            "runs": found,
            "ratio": found[-1]["per_s"] / found[0]["per_s"],
        },
        options.output,
    )


if __name__ == "__main__":
    main()
