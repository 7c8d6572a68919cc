"""Feedback: stored once, joined whenever it comes, and seen in the window of its inference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import orjson
import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import ManualClock, SystemClock
from inferwatch.schemas.errors import StoreUnavailable
from inferwatch.schemas.metrics import wilson
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import Window
from inferwatch.streams.closing import Closer
from inferwatch.streams.feedback import FeedbackIntake
from inferwatch.streams.intake import Intake
from inferwatch.streams.ports import RawRecord

DAY = datetime(2026, 3, 1, tzinfo=UTC)
FIRST = Window(DAY, DAY + timedelta(minutes=10))
TREE: dict[str, Any] = {"windows": {"size": "10m"}, "drift": {"min_rows": 10, "reference_rows": 100}}


class Silent:
    """Decides nothing."""

    def decide(self, window: Window, metrics: object, passed: object) -> None: ...

    def let_pass(self, *_: object) -> None: ...


def closing(store: Any, clock: Any, **tree: Any) -> Closer:
    return Closer(Settings.model_validate(TREE | tree), store, clock, Silent(), "hashed-words-1", {"length": 0.25})


def remark(offset: int, about: int, minutes: float = 30, *, raw: bytes | None = None, **fields: Any) -> RawRecord:
    """Feedback at ``offset``, given ``minutes`` into 2026-03-01, on the inference at offset ``about``."""
    at = DAY + timedelta(minutes=minutes)
    body = {"id": f"id-0-{about}", "application": "shop", "timestamp": at.isoformat(), "kind": "thumb"}
    value = orjson.dumps(body | fields) if raw is None else raw
    return RawRecord("feedback", 0, offset, DAY + timedelta(days=3), value)


def say(store: Any, *records: RawRecord) -> tuple[Any, ...]:
    intake = FeedbackIntake(Settings.model_validate(TREE), store, SystemClock())
    return intake.commit(intake.prepare(records))


def numbers(store: ClickHouseStore, start: datetime = DAY) -> dict[tuple[str, str], tuple[Any, ...]]:
    rows = store.query(
        "SELECT segment_value, metric, m.value AS value, n, total, ci_low, ci_high FROM window_metrics AS m "
        "WHERE metric LIKE 'feedback.%' AND window_start = {start:DateTime64(3, 'UTC')}",
        {"start": start},
    ).to_pylist()
    return {
        (row.pop("segment_value"), row.pop("metric")): tuple(
            None if isinstance(value, float) and isnan(value) else value for value in row.values()
        )
        for row in rows
    }


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))  # noqa: TID251


@pytest.fixture
def closer(store: ClickHouseStore, build: Any, record: Any, clock: ManualClock) -> Closer:
    """A closer that has closed two windows of ten inferences each, offsets 0 to 19, of models a and b."""
    pipeline = build(store)
    pipeline.commit(pipeline.prepare([record(n, minute=n, model="ab"[n % 2]) for n in range(20)]))
    found = closing(store, clock)
    closed = found.tick()
    clock.advance(timedelta(minutes=15))
    assert len(closed + found.tick()) == 2
    return found


def test_late_feedback_publishes_the_window_of_its_inference_again(
    store: ClickHouseStore, closer: Closer, clock: ManualClock
) -> None:
    before = store.query("SELECT * FROM window_metrics ORDER BY ALL").num_rows
    say(
        store,
        remark(0, 1, value="down"),
        remark(1, 2, value="up"),
        remark(2, 3, value="down", minutes=600),
        remark(3, 4, kind="rating", value=4),
        remark(4, 6, kind="rating", value=2),
        remark(5, 6, kind="label", label="off topic"),
        remark(6, 999, value="up"),
    )
    clock.advance(timedelta(seconds=15))
    assert closer.tick() == [FIRST]
    windows = store.query("SELECT rows, feedback, revision FROM windows ORDER BY window_start").to_pylist()
    assert windows == [{"rows": 10, "feedback": 6, "revision": 1}, {"rows": 10, "feedback": 0, "revision": 0}]
    found = numbers(store)
    assert found["__all__", "feedback.thumb.rate"] == (2 / 3, 3, 10, *wilson(2, 3))
    assert found["__all__", "feedback.thumb.count"] == (3, 3, 10, None, None)
    assert found["b", "feedback.thumb.rate"] == (1, 2, 5, *wilson(2, 2))
    mean, n, total, low, high = found["a", "feedback.rating.mean"]
    assert (mean, n, total) == (3, 2, 5)
    assert low == pytest.approx(3 - 1.96, abs=0.01)
    assert high == pytest.approx(3 + 1.96, abs=0.01)
    assert ("a", "feedback.label.count") in found
    assert numbers(store, DAY + timedelta(minutes=10)) == {}
    assert store.query("SELECT * FROM window_metrics ORDER BY ALL").num_rows == before + len(found)
    clock.advance(timedelta(seconds=15))
    assert closer.tick() == []


def test_feedback_on_a_window_that_is_not_closed_yet_is_in_its_first_revision(
    store: ClickHouseStore, build: Any, record: Any, clock: ManualClock
) -> None:
    pipeline = build(store)
    say(store, remark(0, 3, value="down", minutes=4))  # before its inference
    pipeline.commit(pipeline.prepare([record(n, minute=n) for n in range(10)]))
    say(store, remark(1, 4, value="up", minutes=5))
    closer = closing(store, clock)
    assert closer.tick() == []
    clock.advance(timedelta(minutes=15))
    assert closer.tick() == [FIRST]
    assert numbers(store)["__all__", "feedback.thumb.rate"][:2] == (0.5, 2)


def test_feedback_before_its_late_inference_is_joined_when_that_arrives(
    store: ClickHouseStore, closer: Closer, clock: ManualClock, build: Any, record: Any
) -> None:
    say(store, remark(0, 50, value="down"))
    clock.advance(timedelta(seconds=15))
    assert closer.tick() == []
    pipeline = build(store)
    pipeline.commit(pipeline.prepare([record(50, minute=5)]))
    clock.advance(timedelta(seconds=15))
    assert closer.tick() == [FIRST]
    assert numbers(store)["__all__", "feedback.thumb.rate"][:3] == (1, 1, 11)


def test_redelivery_changes_nothing_and_a_corrected_value_does(
    store: ClickHouseStore, closer: Closer, clock: ManualClock
) -> None:
    say(store, remark(0, 1, value="down"), remark(1, 2, value="up"))
    clock.advance(timedelta(seconds=15))
    closer.tick()
    first = numbers(store)
    say(store, remark(1, 2, value="up"))
    say(store, remark(0, 1, value="down"), remark(1, 2, value="up"), remark(2, 2, value="up"))  # produced twice
    clock.advance(timedelta(seconds=15))
    assert closer.tick() == []
    assert numbers(store) == first
    assert store.query("SELECT count() AS n FROM feedback").to_pylist() == [{"n": 2}]
    say(store, remark(3, 2, value="down"))
    clock.advance(timedelta(seconds=15))
    assert closer.tick() == [FIRST]
    assert numbers(store)["__all__", "feedback.thumb.rate"][:2] == (1, 2)


def test_feedback_outside_its_time_does_not_count(store: ClickHouseStore, closer: Closer, clock: ManualClock) -> None:
    say(store, remark(0, 1, -60, value=0), remark(1, 2, 24 * 60 + 2, value=0), remark(2, 3, 24 * 60 + 2, value=0))
    clock.advance(timedelta(seconds=15))
    assert closer.tick() == [FIRST]
    assert numbers(store)["__all__", "feedback.thumb.count"][0] == 1  # that on inference 3, of minute 3


def test_texts_are_redacted_and_what_cannot_be_read_is_a_dead_letter(store: ClickHouseStore) -> None:
    letters = say(
        store,
        remark(0, 1, kind="correction", comment="ask ann@example.com"),
        remark(1, 1, raw=b"{"),
        remark(2, 1, kind="clap"),
        remark(3, 1, value=1, timestamp="2026-03-09T00:00:00Z"),
    )
    assert [letter.reason for letter in letters] == ["invalid_json", "wrong_type", "timestamp_in_future"]
    assert store.query("SELECT comment FROM feedback")["comment"].to_pylist() == ["ask [EMAIL]"]
    assert store.query("SELECT topic, offset FROM dead_letters ORDER BY offset").to_pylist() == [
        {"topic": "feedback", "offset": n} for n in (1, 2, 3)
    ]
    assert store.query("SELECT next_offset FROM progress WHERE topic = 'feedback'").to_pylist() == [{"next_offset": 4}]


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_insert_loses_no_feedback(
    store: ClickHouseStore, closer: Closer, clock: ManualClock, failing_at: Any, after: bool
) -> None:
    records = [remark(0, 1, value="down"), remark(1, 2, raw=b"?"), remark(2, 12, value="down")]
    for k in (1, 2, 3):
        with pytest.raises(StoreUnavailable):
            say(failing_at(store, k, after=after), *records)
        clock.advance(timedelta(seconds=15))
        closer.tick()
    say(store, records[0])
    say(store, *records[1:])
    clock.advance(timedelta(seconds=15))
    closer.tick()
    for start in (DAY, DAY + timedelta(minutes=10)):
        assert numbers(store, start)["__all__", "feedback.thumb.rate"][:2] == (1, 1)


def test_a_mixed_batch_goes_to_both_and_keeps_its_dead_letters(store: ClickHouseStore, build: Any, record: Any) -> None:
    feedback = FeedbackIntake(Settings.model_validate(TREE), store, SystemClock())
    intake = Intake(build(store), feedback, {"feedback"})
    batch = [record(1), remark(0, 1, value=1), record(2, raw=b"?"), remark(1, 1, raw=b"?")]
    letters = intake.commit(intake.prepare(batch))
    assert [(letter.record.topic, letter.record.offset) for letter in letters] == [("logs", 2), ("feedback", 1)]
    assert store.query("SELECT count() AS n FROM inferences").to_pylist() == [{"n": 1}]
    assert store.query("SELECT count() AS n FROM feedback").to_pylist() == [{"n": 1}]
    assert intake.commit(intake.prepare([])) == ()
