"""The same pipeline over files, without Kafka: JSON lines, plain or gzipped, or one JSON array."""

from __future__ import annotations

import gzip
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO

import orjson

from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.windows import Window
from inferwatch.streams.closing import Closer
from inferwatch.streams.pipeline import Pipeline
from inferwatch.streams.ports import RawRecord


@dataclass(slots=True)
class Replayed:
    """What a replay did. ``dead_letters`` counts by reason."""

    records: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    windows: list[Window] = field(default_factory=list)


def read(path: Path, now: datetime) -> Iterator[RawRecord]:
    """Yield the records of one file. The address of a record is (file:<name>, 0, line number from 0).

    Args:
        path: JSON lines, or one JSON array; a name ending in ``.gz`` is decompressed.
        now: stands in for the time a record was written, against which future timestamps are judged.

    Raises:
        Misconfigured: the file cannot be read.
    """
    topic = f"file:{path.name}"
    try:
        with _open(path) as lines:
            for offset, value in enumerate(_values(lines)):
                yield RawRecord(topic, 0, offset, now, value)
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror or error}") from error


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.open(path))
    return path.open("rb")


def _values(lines: IO[bytes]) -> Iterator[bytes]:
    first = next((line for line in lines if line.strip()), b"")
    if not first.lstrip().startswith(b"["):
        yield from (line for line in (first, *lines) if line.strip()) if first else ()
        return
    try:
        items = orjson.loads(first + lines.read())
    except orjson.JSONDecodeError:
        yield first
        yield from lines
        return
    yield from (orjson.dumps(item) for item in items)


def replay(
    records: Iterable[RawRecord],
    pipeline: Pipeline,
    closer: Closer,
    *,
    batch_records: int,
    on_batch: Callable[[Replayed], None] = lambda _: None,
) -> Replayed:
    """Run ``records`` through ``pipeline``, then close every window.

    A file is finite and may be unordered, so windows close at its end. Replaying the same file again changes
    nothing: the rows have the same keys and the windows the same numbers.
    """
    done = Replayed()
    iterator = iter(records)
    while batch := list(islice(iterator, batch_records)):
        letters = pipeline.commit(pipeline.prepare(batch))
        _count(done, batch, [letter.reason for letter in letters])
        on_batch(done)
    done.windows = closer.flush()
    return done


def _count(done: Replayed, batch: Sequence[RawRecord], reasons: Sequence[str]) -> None:
    done.records += len(batch)
    done.dead_letters.update(reasons)
