"""Does a worker's memory stay where it is? Its own resident memory under a steady load, and the slope with an interval.

One worker with the default models and the embedded store takes live records at half of its highest rate, or at the rate
asked for. The slope is a least-squares line through the samples after the warm-up; its 95 % interval comes from a
bootstrap over blocks of two minutes, because neighbouring samples are alike. The cache of vectors holds 5,000 texts
here instead of 50,000, so that it is full, as it will be for most of a worker's life, when the warm-up ends. The look
for duplicates reads the last hour: what it needs grows for as long.

Whose memory it is, is noted once a minute: what glibc (models, Arrow, large Python objects) and the embedded engine's
jemalloc have handed out, what the latter has from the system, the arenas of Python's small objects, the threads, and
how many parts the tables have. Stacks of threads, and what glibc keeps for later, are in the resident memory alone.

    python -m tests.bench.soak [--minutes 100] [--warm-up 60] [--rate R] [--output DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import re
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from inferwatch.infra import memory
from inferwatch.infra.assembly import load_models
from inferwatch.infra.clickhouse.store import open_store
from inferwatch.infra.local.broker import LocalKafka
from inferwatch.infra.topics import ensure_topics
from inferwatch.schemas.settings import Settings
from inferwatch.streams.ports import Store
from tests.bench.encoding import bare, describe
from tests.bench.feeder import Fed, Feed, feeding
from tests.bench.latency import highest_rate
from tests.bench.machine import RESULTS, machine, resident_mib, write
from tests.bench.service import cached, run, settings_for, stored

EVERY = 5.0
LOOKS = 12
"""Samples from one look at whose memory it is to the next."""
LOAD = 0.5
BLOCK = 120.0
CACHE = 5_000
STUCK = 600.0
"""Seconds without a commit after which it is given up: the feeder first writes all texts, 10,000 a second."""


class _Heap(ctypes.Structure):
    """What mallinfo2(3) returns."""

    _fields_: ClassVar = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keep",
        )
    ]


def python_arenas() -> int:
    """Return the bytes of Python's arenas for small objects. Told to standard error's descriptor alone."""
    with tempfile.TemporaryFile() as said:
        before = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(before, 2)
            os.close(before)
        said.seek(0)
        found = re.search(rb"arenas \* \d+ bytes/arena *= *(?P<bytes>[\d,]+)", said.read())
    return int(found["bytes"].replace(b",", b"")) if found else 0


def owners(store: Store) -> dict[str, float]:
    """Return whose memory it is, in MiB, and the numbers of threads and parts."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Heap
    heap = mallinfo2()
    [said] = store.query("SELECT stats FROM system.jemalloc_stats").column("stats").to_pylist()
    found = re.search(r"Allocated: (?P<in_use>\d+),.* resident: (?P<resident>\d+),", said)
    engine = found.groupdict() if found else {}
    parts = "SELECT countIf(active) AS parts, countIf(NOT active) AS outdated_parts FROM system.parts"
    return {
        "glibc_in_use": round((heap.uordblks + heap.hblkhd) / 2**20, 1),
        **{f"engine_{name}": round(int(value) / 2**20, 1) for name, value in engine.items()},
        "python_arenas": round(python_arenas() / 2**20, 1),
        "threads": len(os.listdir("/proc/self/task")),
        **store.query(parts).to_pylist()[0],
    }


async def soak(
    settings: Settings, models: Any, feed: Feed
) -> tuple[Fed, list[tuple[float, float]], list[dict[str, float]]]:
    """Return what was sent, (seconds, MiB) while it was taken, and once a minute whose memory it was."""
    fed: list[Fed] = []
    samples: list[tuple[float, float]] = []
    looks: list[dict[str, float]] = []
    start = time.perf_counter()

    async def sending() -> None:
        fed.append(await feeding(feed))

    async def looking() -> None:
        with ExitStack() as stack:
            store: Store | None = None
            while True:
                at = round(time.perf_counter() - start, 1)
                samples.append((at, round(resident_mib(), 2)))
                if len(samples) % LOOKS == 0:
                    # Not before the worker has made the database.
                    store = store or stack.enter_context(open_store(settings.store, reading=True))
                    looks.append({"at": at, **await asyncio.to_thread(owners, store)})
                await asyncio.sleep(EVERY)

    await run(
        settings,
        models,
        lambda notes: bool(fed) and notes.records >= fed[0].sent,
        meanwhile=[sending(), looking()],
        keep=1,
        stuck=STUCK,
    )
    return fed[0], samples, looks


def slope(samples: list[tuple[float, float]], draws: int = 2_000) -> dict[str, Any]:
    """Return the slope in MiB an hour and its 95 % interval."""
    at, mib = np.array(samples).T
    fit = np.polyfit(at, mib, 1)
    line = np.polyval(fit, at)
    rest = mib - line
    size = max(2, min(len(rest) // 3, round(BLOCK / EVERY)))
    rng = np.random.default_rng(1)
    found = []
    for _ in range(draws):
        starts = rng.integers(0, len(rest) - size + 1, -(-len(rest) // size))
        drawn = np.concatenate([rest[start : start + size] for start in starts])[: len(rest)]
        found.append(np.polyfit(at, line + drawn, 1)[0] * 3600)
    low, high = np.percentile(found, [2.5, 97.5])
    return {
        "mib_an_hour": round(float(fit[0] * 3600), 2),
        "interval": [round(float(low), 2), round(float(high), 2)],
        "mean_mib": round(float(mib.mean()), 1),
        "share_an_hour": round(float(fit[0] * 3600 / mib.mean()), 5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=100)
    parser.add_argument("--warm-up", type=float, default=60)
    parser.add_argument("--rate", type=float, help="records a second; default: half of the highest, measured first")
    parser.add_argument("--pilot", type=float, default=15)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    about = machine()
    memory.bound()  # before the models, as a worker does
    loaded, detectors = load_models(Settings())
    encoder = bare(loaded)

    models = cached(encoder, detectors, CACHE)

    with tempfile.TemporaryDirectory() as folder, LocalKafka() as broker:
        dsn = f"chdb://{Path(folder) / 'store'}"
        rate = options.rate or LOAD * highest_rate(broker.bootstrap_servers, dsn, options.pilot, models)
        settings = settings_for("soak", broker.bootstrap_servers, dsn, windows={"size": 60, "allowed_lateness": 5})
        ensure_topics(settings.kafka)
        kafka = settings.kafka
        feed = Feed(broker.bootstrap_servers, kafka.topic, kafka.partitions, rate, 60 * options.minutes)
        fed, samples, looks = asyncio.run(soak(settings, models, feed))
        left = stored(settings, expected=fed.sent)
    found = slope([one for one in samples if one[0] >= 60 * options.warm_up])
    print(f"{found['mib_an_hour']:+.1f} MiB an hour, 95 % interval {found['interval']}, at {found['mean_mib']:.0f} MiB")
    write(
        "soak",
        {
            "machine": about,
            "encoder": describe(encoder),
            "cache_texts": CACHE,
            "rate_per_s": rate,
            "records": fed.sent,
            "windows_closed": left.windows,
            "minutes": options.minutes,
            "warm_up_minutes": options.warm_up,
            "slope": found,
            "samples": samples,
            "looks": looks,
        },
        options.output,
    )


if __name__ == "__main__":
    main()
