"""The real worker on a real broker and the real store, with its commits noted down.

``inferwatch.infra.worker.run_worker`` runs in this process as it would in its own: the same composition, closing and
delivering as it goes, ended by SIGTERM. The one thing added is a note after each commit of when it was done.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaProducer

from inferwatch.detectors.base import Detector, Encoder
from inferwatch.detectors.encoder.cache import CachedEncoder
from inferwatch.infra import assembly, worker
from inferwatch.infra.clickhouse.connection import connect
from inferwatch.infra.clickhouse.store import open_store
from inferwatch.infra.topics import ensure_topics
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.settings import EncoderSettings, KafkaSettings, Settings
from inferwatch.streams.pipeline import Pipeline, Prepared
from inferwatch.streams.ports import DeadLetter, RawRecord

WATCH_SECONDS = 0.1
"""Between two looks whether a run is done: fifty a second would take one part in 500 of what is measured."""
STUCK = 60.0
"""Seconds without a commit after which a run is given up, unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One stored batch. ``lags`` are the seconds from each row's event time to the end of its commit."""

    at: float
    records: int
    lags: array[float]


@dataclass(slots=True)
class Notes:
    """What a worker did: when it began to score, and what it stored when (``time.perf_counter``).

    ``records`` counts those stored or dead-lettered. A ``commits`` with a ``maxlen`` keeps the last ones alone.
    """

    began: float = 0.0
    records: int = 0
    dead_letters: int = 0
    commits: deque[Commit] = field(default_factory=deque)

    @property
    def seconds(self) -> float:
        """From the moment the first batch began to be scored until the last one was stored."""
        return self.commits[-1].at - self.began


class Noting(Pipeline):
    """The pipeline, with notes."""

    def __init__(self, notes: Notes, *parts: Any, **named: Any) -> None:
        super().__init__(*parts, **named)
        self._notes = notes
        self._now = SystemClock()

    def prepare(self, records: Sequence[RawRecord]) -> Prepared:
        if not self._notes.began:
            self._notes.began = time.perf_counter()
        return super().prepare(records)

    def commit(self, prepared: Prepared) -> tuple[DeadLetter, ...]:
        letters = super().commit(prepared)
        done = self._now.now()
        lags = array("f", ((done - entry.log.timestamp).total_seconds() for entry in prepared.entries))
        self._notes.commits.append(Commit(time.perf_counter(), len(prepared.records), lags))
        self._notes.records += len(prepared.records)
        self._notes.dead_letters += len(letters)
        return letters


@contextmanager
def noted(notes: Notes) -> Iterator[None]:
    """Let every worker made inside take these notes."""
    assembly.Pipeline = lambda *parts, **named: Noting(notes, *parts, **named)  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        assembly.Pipeline = Pipeline  # type: ignore[misc]


async def run(
    settings: Settings,
    models: assembly.Models,
    done: Callable[[Notes], bool],
    *,
    meanwhile: Sequence[Any] = (),
    keep: int | None = None,
    stuck: float = STUCK,
) -> Notes:
    """Run a worker until ``done`` says so; ``meanwhile`` are coroutines that run beside it from when it takes records.

    ``keep`` is how many commits the notes keep, the last ones; by default all, which grow the process as it runs.

    Raises:
        RuntimeError: ``stuck`` seconds passed without a commit.
    """
    ready = asyncio.Event()

    async def watch() -> None:
        await ready.wait()
        quiet, before = time.perf_counter(), 0
        while not done(notes):
            await asyncio.sleep(WATCH_SECONDS)
            if notes.records != before:
                quiet, before = time.perf_counter(), notes.records
            elif time.perf_counter() - quiet > stuck:
                raise RuntimeError(f"nothing was stored for {stuck:.0f} s after {notes.records} records")

    notes = Notes(commits=deque(maxlen=keep))
    with noted(notes):
        work = asyncio.create_task(
            worker.run_worker(settings, ready=lambda _: ready.set(), models=models), name="worker"
        )
        beside = [asyncio.create_task(one) for one in meanwhile]
        watching = asyncio.create_task(watch())
        await asyncio.wait({work, watching}, return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in beside if task.done()]
        for task in beside:
            task.cancel()
        if not work.done():
            os.kill(os.getpid(), signal.SIGTERM)
        await work
        watching.cancel() if not watching.done() else watching.result()
        for task in failed:
            task.result()
    return notes


def cached(
    encoder: Encoder, detectors: list[Detector], capacity: int = EncoderSettings().cache_texts
) -> assembly.Models:
    """Return what hands every worker the same loaded ``encoder``, behind an empty cache of vectors of its own."""
    return lambda *_: (CachedEncoder(encoder, capacity), detectors)


def until(records: int) -> Callable[[Notes], bool]:
    """Return the condition that this many records are stored."""
    return lambda notes: notes.records >= records


def content_for(
    name: str, broker: str, dsn: str, *, kafka: dict[str, Any] | None = None, **sections: Any
) -> dict[str, Any]:
    """Return a configuration with a topic, a group and a database of its own; the rest is as by default."""
    own = {"bootstrap_servers": broker, "topic": name, "dead_letter_topic": f"{name}.dead", "group_id": name}
    store = {"dsn": dsn, "database": name.replace("-", "_").replace(".", "_")}
    return {"kafka": own | (kafka or {}), "store": store, **sections}


def settings_for(name: str, broker: str, dsn: str, **sections: Any) -> Settings:
    """Return what ``content_for`` does, as settings."""
    return Settings.model_validate(content_for(name, broker, dsn, **sections))


def produce(kafka: KafkaSettings, values: Sequence[bytes]) -> None:
    """Put every value on the topic, in turn over its partitions."""
    ensure_topics(kafka)
    new: Any = KafkaProducer
    producer = new(bootstrap_servers=kafka.bootstrap_servers, linger_ms=20, batch_size=2**18)
    futures = [
        producer.send(kafka.topic, value, partition=place % kafka.partitions) for place, value in enumerate(values)
    ]
    producer.flush()
    producer.close()
    for future in futures:
        future.get(0)


@dataclass(frozen=True, slots=True)
class Stored:
    """What a finished run left in the store."""

    rows: int
    windows: int
    revised: int


def stored(settings: Settings, *, expected: int) -> Stored:
    """Count what a finished run stored, and drop it: the next run in this store must not wait for its merges.

    Raises:
        RuntimeError: rows are missing or doubled.
    """
    own = settings.store
    with open_store(own) as store, closing(connect(own, {}, database=False)) as client:
        [rows] = store.query("SELECT count() AS n FROM inferences").to_pylist()
        [windows] = store.query("SELECT count() AS n, countIf(revision > 0) AS revised FROM windows").to_pylist()
        if rows["n"] != expected:
            raise RuntimeError(f"{rows['n']} rows of {expected} are in the store")
        client.command(f"DROP DATABASE {own.database} SYNC")
    return Stored(int(rows["n"]), int(windows["n"]), int(windows["revised"]))
