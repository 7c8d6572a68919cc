"""The same pipeline over files, without Kafka."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

from inferwatch.schemas.windows import Window
from inferwatch.streams.closing import Closer
from inferwatch.streams.intake import Intake
from inferwatch.streams.logfiles import values
from inferwatch.streams.ports import RawRecord


@dataclass(slots=True)
class Replayed:
    """What a replay did. ``dead_letters`` counts by reason."""

    records: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    windows: list[Window] = field(default_factory=list)


def topic_of(path: Path) -> str:
    """Return what stands for the topic of a file's records."""
    return f"file:{path.name}"


def read(path: Path, now: datetime) -> Iterator[RawRecord]:
    """Yield the records of one file. The address of a record is (file:<name>, 0, its place from 0).

    Args:
        path: see ``logfiles.values``.
        now: stands in for the time a record was written, against which future timestamps are judged.

    Raises:
        Misconfigured: the file cannot be read.
    """
    topic = topic_of(path)
    for offset, value in enumerate(values(str(path))):
        yield RawRecord(topic, 0, offset, now, value)


def replay(
    records: Iterable[RawRecord],
    intake: Intake,
    closer: Closer,
    *,
    batch_records: int,
    on_batch: Callable[[Replayed], None] = lambda _: None,
) -> Replayed:
    """Run ``records`` through ``intake``, then close every window.

    A file is finite and may be unordered, so windows close at its end. Replaying the same file again changes
    nothing: the rows have the same keys and the windows the same numbers.
    """
    done = Replayed()
    iterator = iter(records)
    while batch := list(islice(iterator, batch_records)):
        letters = intake.commit(intake.prepare(batch))
        _count(done, batch, [letter.reason for letter in letters])
        on_batch(done)
    done.windows = closer.flush()
    return done


def _count(done: Replayed, batch: Sequence[RawRecord], reasons: Sequence[str]) -> None:
    done.records += len(batch)
    done.dead_letters.update(reasons)
