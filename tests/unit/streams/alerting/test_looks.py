"""Windows are seen in the order in which they were published."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from inferwatch.schemas.windows import Window
from inferwatch.streams.alerting.looks import Look, in_order

START = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)


def look(place: int, revision: int, minutes: float) -> Look:
    window = Window(START + STEP * place, START + STEP * (place + 1))
    return Look(window, revision, START + timedelta(minutes=minutes))


def places(looks: list[Look]) -> list[tuple[int, int]]:
    return [((one.window.start - START) // STEP, one.revision) for one in looks]


def test_a_revision_comes_between_the_windows_that_were_closed_around_it() -> None:
    looks = [look(0, 0, 6), look(1, 0, 11), look(0, 1, 12), look(2, 0, 16), look(0, 2, 40)]
    assert places(in_order(reversed(looks))) == [(0, 0), (1, 0), (0, 1), (2, 0), (0, 2)]


def test_a_window_whose_rows_all_came_late_is_seen_late() -> None:
    looks = [look(0, 0, 6), look(2, 0, 16), look(1, 0, 18), look(3, 0, 21)]
    assert places(in_order(looks)) == [(0, 0), (2, 0), (1, 0), (3, 0)]


def test_a_clock_that_was_behind_does_not_put_a_revision_before_its_window() -> None:
    looks = [look(0, 0, 6), look(1, 0, 11), look(1, 1, -40), look(2, 0, 16)]
    assert places(in_order(looks)) == [(0, 0), (1, 0), (1, 1), (2, 0)]


DRAWN = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3), st.floats(-100, 100)), max_size=30)


@given(DRAWN)
def test_nothing_is_lost_and_revisions_come_after_what_they_revise(drawn: list[tuple[int, int, float]]) -> None:
    looks = list({(place, revision): look(place, revision, at) for place, revision, at in drawn}.values())
    found = places(in_order(looks))
    assert sorted(found) == sorted(places(looks))
    for place in range(9):
        revisions = [revision for each, revision in found if each == place]
        assert revisions == sorted(revisions)
