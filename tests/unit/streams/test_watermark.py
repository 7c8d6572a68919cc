"""Event time: the slowest live partition decides, silence does not block."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from inferwatch.streams.watermark import Progress, watermark

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATE = timedelta(seconds=30)
IDLE = timedelta(seconds=60)


STALL = timedelta(minutes=10)


def part(
    number: int, event_minutes: float | None, silent_seconds: float = 0, waiting_seconds: float | None = None
) -> Progress:
    at = None if event_minutes is None else NOW - timedelta(hours=5) + timedelta(minutes=event_minutes)
    waiting = None if waiting_seconds is None else timedelta(seconds=waiting_seconds)
    return Progress("t", number, at, timedelta(seconds=silent_seconds), waiting)


def mark(*parts: Progress) -> datetime | None:
    return watermark(parts, lateness=LATE, idle_timeout=IDLE, stall_timeout=STALL)


def at(event_minutes: float) -> datetime:
    return NOW - timedelta(hours=5) + timedelta(minutes=event_minutes) - LATE


def test_nothing_stored_has_no_watermark() -> None:
    assert mark() is None
    assert mark(part(0, None, 1000)) is None


def test_the_slowest_partition_decides() -> None:
    assert mark(part(0, 10), part(1, 4)) == at(4)


def test_an_idle_partition_is_not_waited_for() -> None:
    assert mark(part(0, 10), part(1, 4, silent_seconds=61)) == at(10)


def test_a_silent_partition_with_a_backlog_is_waited_for_until_it_has_stalled() -> None:
    assert mark(part(0, 10), part(1, 4, silent_seconds=300, waiting_seconds=300)) == at(4)
    assert mark(part(0, 10), part(1, 4, silent_seconds=600, waiting_seconds=600)) == at(10)


def test_nothing_is_complete_before_a_partition_that_was_never_stored() -> None:
    assert mark(part(0, 10), part(1, None, waiting_seconds=599)) is None
    assert mark(part(0, 10), part(1, None, waiting_seconds=600)) == at(10)
    assert mark(part(0, 10), part(1, None, silent_seconds=1)) == at(10)  # it holds nothing


def test_when_all_are_silent_time_goes_on_with_the_clock() -> None:
    silent = [part(0, 10, silent_seconds=300), part(1, 4, silent_seconds=400)]
    assert mark(*silent) == at(15)


def test_one_backlog_stops_the_clock() -> None:
    assert mark(part(0, 10, silent_seconds=300), part(1, 4, silent_seconds=400, waiting_seconds=5)) == at(4)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 59)), min_size=1, max_size=6),
    st.integers(0, 5),
    st.floats(0, 50),
)
def test_more_progress_never_moves_it_back(parts: list[tuple[float, float]], which: int, more: float) -> None:
    before = [part(number, event, silent) for number, (event, silent) in enumerate(parts)]
    grown = list(before)
    chosen = which % len(parts)
    grown[chosen] = part(chosen, parts[chosen][0] + more)
    first, second = mark(*before), mark(*grown)
    assert first is not None
    assert second is not None
    assert second >= first
