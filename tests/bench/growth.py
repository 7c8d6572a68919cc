"""Does a row cost more in a large window than in a small one? And a window more when it has many segments?

Batches of really scored records go through ``Pipeline.commit``, as many as a window is to hold, and the window is
closed by ``Closer.tick``. Scoring does not know about windows: it is measured once and added. Each window size has a
database of its own, with the same short history before it: enough rows for a drift reference, and one window that is
closed with it. The rows are copies of 2,048 scored records, each with an id, an event time, an address and vectors of
its own.

    python -m tests.bench.growth [--sizes 100 1000 …] [--output DIR]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import SecretStr
from threadpoolctl import threadpool_limits

from inferwatch.detectors.base import Encoded
from inferwatch.infra import memory
from inferwatch.infra.assembly import load_models, thresholds
from inferwatch.infra.clickhouse.migrate import migrate
from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.settings import SegmentSettings, Settings, StoreSettings, WindowSettings
from inferwatch.streams.closing import Closer
from inferwatch.streams.pipeline import Pipeline, Prepared
from tests.bench.machine import RESULTS, machine, peak_mib, resident_mib, write
from tests.bench.workloads import raw, records, stamped

_threads: Any = threadpool_limits  # it has no types
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
SEGMENTED_ROWS = 100_000
SEGMENTS = {"tenant": 1, "provider": 10, "operation": 100, "prompt_name": 1_000}
"""Dimension -> how many values it has; every row has all of them, and one dimension is closed at a time."""
TEMPLATES = 2_048
SIZE = timedelta(hours=1)
HISTORY = 5_001
"""Rows before the window that is measured: a drift reference is frozen from them.

An odd number, because the templates alternate between two models and two prompt versions, and one of two must have led
before the window that is measured: what leads for the first time costs two queries more.
"""


class TimedStore:
    """The store, with the seconds that each kind of call took."""

    def __init__(self, inner: ClickHouseStore) -> None:
        self._inner = inner
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        start = time.perf_counter()
        self._inner.insert(table, rows, token=token)
        self._note(f"insert {table.removesuffix('_raw')}", start)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        start = time.perf_counter()
        found = self._inner.query(sql, parameters)
        table = sql.split(" FROM ")[-1 if " FROM (" in sql else 1].lstrip("(").split()[0].removesuffix("_raw")
        self._note(f"query {table}", start)
        return found

    def _note(self, what: str, start: float) -> None:
        self.seconds[what] += time.perf_counter() - start
        self.calls[what] += 1

    def take(self) -> dict[str, float]:
        """Return what was noted since the last call."""
        found = {name: round(seconds, 4) for name, seconds in sorted(self.seconds.items())}
        self.seconds.clear()
        return found


class Silent:
    """Decides nothing: no rules are part of this measurement."""

    def decide(self, *_: object) -> None:
        return None

    def let_pass(self, *_: object) -> None: ...


class Copies:
    """Endless scored batches: copies of a few, each row with an identity, a time and vectors of its own."""

    def __init__(self, templates: list[Prepared]) -> None:
        self._templates = templates
        self._rng = np.random.default_rng(1)
        self._made = 0

    def batches(self, rows: int, start: datetime, within: timedelta) -> Iterator[Prepared]:
        """Yield ``rows`` rows in the templates' batches, their times spread evenly over ``within`` from ``start``."""
        done = 0
        while done < rows:
            template = self._templates[self._made % len(self._templates)]
            n = min(len(template.entries), rows - done)
            yield self._copy(template, n, [start + within * ((done + row) / rows) for row in range(n)])
            done += n

    def _copy(self, template: Prepared, n: int, times: list[datetime]) -> Prepared:
        entries = []
        for row in range(n):
            entry, place = template.entries[row], self._made
            log = entry.log.model_copy(
                update={
                    "id": f"r-{place}",
                    "timestamp": times[row],
                    **{name: f"{name}-{place * 7919 % values}" for name, values in SEGMENTS.items()},
                }
            )
            record = replace(entry.record, partition=0, offset=place)
            entries.append(replace(entry, record=record, log=log))
            self._made += 1
        encoded = {}
        for field, found in template.encoded.items():
            noisy = found.vectors[:n] + self._rng.normal(0, 0.02, found.vectors[:n].shape).astype(np.float32)
            vectors = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
            encoded[field] = Encoded(vectors, found.chunks[:n], found.cut[:n])
        scores = tuple(
            replace(one, values=one.values[:n], abstained=one.abstained[:n], evidence=one.evidence[:n])
            for one in template.scores
        )
        records_ = tuple(entry.record for entry in entries)
        return replace(template, records=records_, entries=tuple(entries), scores=scores, encoded=encoded)


class Service:
    """The pipeline's commit and the closer over one database of one store folder."""

    def __init__(self, folder: Path, database: str, models: Any, segments: SegmentSettings) -> None:
        self.settings = Settings(
            store=StoreSettings(dsn=SecretStr(f"chdb://{folder}"), database=database),
            windows=WindowSettings(size=SIZE, allowed_lateness=timedelta(0)),
            segments=segments,
        )
        migrate(self.settings.store)
        self.inner = open_store(self.settings.store)
        self.store = TimedStore(self.inner)
        encoder, detectors = models
        clock = SystemClock()
        self.pipeline = Pipeline(self.settings, encoder, detectors, self.store, clock)
        self.closer = Closer(
            self.settings, self.store, clock, Silent(), encoder.revision, thresholds(self.settings, detectors)
        )

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.inner.close()

    def fill(self, batches: Iterator[Prepared]) -> tuple[float, float]:
        """Commit every batch; return the seconds that took and the processor seconds, of merges in the background too.

        Making the copies is in neither.
        """
        seconds = making = 0.0
        before = time.process_time()
        while True:
            start = time.thread_time()
            batch = next(batches, None)
            making += time.thread_time() - start
            if batch is None:
                return seconds, time.process_time() - before - making
            start = time.perf_counter()
            letters = self.pipeline.commit(batch)
            seconds += time.perf_counter() - start
            if letters:
                raise RuntimeError(f"{len(letters)} rows were refused: {letters[0].reason}")

    def close(self) -> float:
        """Close what is complete and return the seconds."""
        start = time.perf_counter()
        self.closer.tick()
        return time.perf_counter() - start


def begin(service: Service, copies: Copies, day: datetime) -> datetime:
    """Store the history, close it, and return the start of the window to measure."""
    service.fill(copies.batches(HISTORY, day, SIZE))
    service.fill(copies.batches(HISTORY, day + SIZE, SIZE))
    service.fill(copies.batches(1, day + 2 * SIZE, SIZE))
    service.close()
    if service.closer.closed != 2:
        raise RuntimeError(f"{service.closer.closed} windows of the history were closed, not 2")
    service.store.take()
    return day + 2 * SIZE


def measure(service: Service, copies: Copies, day: datetime, rows: int) -> dict[str, Any]:
    """Return what a window of ``rows`` rows costs to fill and to close."""
    start = begin(service, copies, day)
    seconds, processor = service.fill(copies.batches(rows - 1, start, SIZE))
    committing = service.store.take()
    service.fill(copies.batches(1, start + SIZE, SIZE))
    service.store.take()
    before = service.closer.closed
    closing = service.close()
    if service.closer.closed != before + 1:
        raise RuntimeError("the window was not closed")
    [stored] = service.inner.query("SELECT rows FROM windows ORDER BY window_end DESC LIMIT 1").to_pylist()
    if stored["rows"] != rows:
        raise RuntimeError(f"the window holds {stored['rows']} rows, not {rows}")
    parts = service.store.take()
    looking = statistics.median(service.close() for _ in range(5))
    return {
        "rows": rows,
        "commit_ms_a_row": 1e3 * seconds / (rows - 1),
        "commit_cpu_ms_a_row": 1e3 * processor / (rows - 1),
        "close_s": closing,
        "close_ms_a_row": 1e3 * closing / rows,
        "idle_tick_s": looking,
        "commit_parts_ms_a_row": _parts(committing, seconds, 1e3 / (rows - 1)),
        "close_parts_s": _parts(parts, closing, 1.0),
        "resident_mib": round(resident_mib(), 1),
        "peak_mib": round(peak_mib(), 1),
    }


def _parts(found: dict[str, float], whole: float, scale: float) -> dict[str, float]:
    parts = {name: round(seconds * scale, 6) for name, seconds in found.items()}
    return parts | {"outside the store": round((whole - sum(found.values())) * scale, 6)}


def segmented(service: Service, rows: int) -> list[dict[str, Any]]:
    """Return what publishing the last closed window costs again, by one dimension at a time."""
    from inferwatch.schemas.windows import Window
    from inferwatch.streams.aggregate import aggregate

    [row] = service.inner.query(
        "SELECT window_start, window_end, rows FROM windows ORDER BY window_end DESC LIMIT 1"
    ).to_pylist()
    window = Window(row["window_start"], row["window_end"])
    limits = dict.fromkeys(("toxicity.input", "toxicity.output", "hallucination"), 0.9)
    found = []
    for dimension, values in SEGMENTS.items():
        segments = SegmentSettings(dimensions=(dimension,), max_values=1000)
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            metrics = aggregate(service.inner, window, segments, limits)
            seconds.append(time.perf_counter() - start)
        found.append(
            {
                "segments": values,
                "rows": row["rows"],
                "metrics": len(metrics),
                "aggregate_s": sorted(seconds)[1],
                "aggregate_ms_a_row": 1e3 * sorted(seconds)[1] / row["rows"],
            }
        )
        if len({metric.series for metric in metrics}) != values + 1:
            raise RuntimeError(f"{dimension}: {len({metric.series for metric in metrics})} series, not {values + 1}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--templates", type=int, default=TEMPLATES)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    about = machine()
    settings = Settings()
    models = load_models(settings)
    values = stamped(records("short", options.templates), 100)
    day = SystemClock().now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    sizes = []
    # As a worker has it: no search for cycles among what is loaded, and one thread for numpy.
    with tempfile.TemporaryDirectory() as folder, memory.settled(), _threads(1, user_api="blas"):
        with Service(Path(folder) / "store", "first", models, settings.segments) as service:
            models[0].encode([str(values[0])] * 8)
            start = time.perf_counter()
            raws = raw(values)
            step = settings.kafka.batch_records
            templates = [service.pipeline.prepare(raws[at : at + step]) for at in range(0, len(raws), step)]
            preparing = 1e3 * (time.perf_counter() - start) / len(raws)
        copies = Copies(templates)
        segments: list[dict[str, Any]] = []
        for rows in sorted(options.sizes):
            with Service(Path(folder) / "store", f"rows_{rows}", models, settings.segments) as service:
                sizes.append(measure(service, copies, day, rows))
                last = sizes[-1]
                print(
                    f"{rows:>9,} rows: commit {last['commit_ms_a_row']:.3f} ms/row, closing {last['close_s']:.2f} s, "
                    f"{last['resident_mib']:.0f} MiB",
                    flush=True,
                )
                if rows == SEGMENTED_ROWS or (rows == max(options.sizes) < SEGMENTED_ROWS):
                    segments = segmented(service, rows)
    per_row = {one["rows"]: one["commit_ms_a_row"] + one["close_ms_a_row"] for one in sizes}
    flat = {rows: cost + preparing for rows, cost in per_row.items() if rows >= 1_000}
    write(
        "growth",
        {
            "machine": about,
            "batch_records": settings.kafka.batch_records,
            "encoder_revision": models[0].revision,
            "prepare_ms_a_row": preparing,
            "sizes": sizes,
            "segments": segments,
            "store_ms_a_row": per_row,
            "ms_a_row": {rows: cost + preparing for rows, cost in per_row.items()},
            "largest_over_1000": flat[max(flat)] / flat[min(flat)] if flat else None,
            "store_largest_over_1000": per_row[max(flat)] / per_row[min(flat)] if flat else None,
        },
        options.output,
    )


if __name__ == "__main__":
    main()
