"""How long a partition has been silent, whatever the clocks say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.schemas.clock import ManualClock
from inferwatch.streams.progress import ProgressWatch

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WRONG = st.timedeltas(-timedelta(days=3), timedelta(days=3))


class Stored:
    """What has been stored of each partition, and when by the clock of whoever stored it."""

    def __init__(self, updated: list[datetime]) -> None:
        self.updated = updated
        self.next_offset = 10

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        return pa.Table.from_pylist([
            {"topic": "t", "partition": number, "next_offset": self.next_offset, "max_timestamp": NOW, "updated_at": at}
            for number, at in enumerate(self.updated)
        ])  # fmt: skip


def silences(watch: ProgressWatch) -> list[float]:
    return [part.silent.total_seconds() for part in watch.read()]


@given(ages=st.lists(st.integers(0, 3600), min_size=1, max_size=6), wrong=WRONG)
def test_a_reader_with_a_wrong_clock_calls_no_partition_silent_for_longer_than_it_was(
    ages: list[int], wrong: timedelta
) -> None:
    stored = Stored([NOW - age * SECOND for age in ages])
    found = silences(ProgressWatch(stored, None, ManualClock(NOW + wrong)))
    assert all(silent <= age for silent, age in zip(found, ages, strict=True))
    if wrong >= timedelta(0):
        assert found == [age - min(ages) for age in ages]


@given(ages=st.lists(st.integers(0, 3600), min_size=2, max_size=6), wrong=WRONG)
def test_a_writer_with_a_wrong_clock_makes_no_other_partition_silent_for_longer(
    ages: list[int], wrong: timedelta
) -> None:
    stored = Stored([NOW - age * SECOND for age in ages])
    stored.updated[0] += wrong
    found = silences(ProgressWatch(stored, None, ManualClock(NOW)))
    assert all(silent <= age for silent, age in zip(found[1:], ages[1:], strict=True))


def test_after_the_first_look_only_the_timer_counts() -> None:
    clock = ManualClock(NOW)
    stored = Stored([NOW, NOW - 60 * SECOND])
    watch = ProgressWatch(stored, None, clock)
    assert silences(watch) == [0, 60]
    stored.updated = [NOW + timedelta(days=1)] * 2
    clock.advance(5 * SECOND)
    assert silences(watch) == [5, 65]
    stored.next_offset += 1
    assert silences(watch) == [0, 0]
