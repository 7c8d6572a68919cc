"""Event time: the slowest live partition decides, silence does not block."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from inferwatch.streams.watermark import Progress, watermark

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATE = timedelta(seconds=30)
IDLE = timedelta(seconds=60)


def part(number: int, event_minutes: float, silent_seconds: float = 0) -> Progress:
    at = NOW - timedelta(hours=5) + timedelta(minutes=event_minutes)
    return Progress("t", number, at, NOW - timedelta(seconds=silent_seconds))


def mark(*parts: Progress) -> datetime | None:
    return watermark(parts, NOW, lateness=LATE, idle_timeout=IDLE)


def test_nothing_stored_has_no_watermark() -> None:
    assert mark() is None


def test_the_slowest_partition_decides() -> None:
    assert mark(part(0, 10), part(1, 4)) == part(1, 4).max_timestamp - LATE


def test_an_idle_partition_is_not_waited_for() -> None:
    assert mark(part(0, 10), part(1, 4, silent_seconds=61)) == part(0, 10).max_timestamp - LATE


def test_when_all_are_silent_time_goes_on_with_the_clock() -> None:
    silent = [part(0, 10, silent_seconds=300), part(1, 4, silent_seconds=400)]
    assert mark(*silent) == part(0, 10).max_timestamp + timedelta(seconds=300) - LATE


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
