"""When a notification is due, and what survives the store."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.schemas.alerts import Notification, State
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.rules import Severity
from inferwatch.streams.alerting.outbox import (
    LEASE,
    LONGEST_DELAY,
    LONGEST_WAIT,
    Parcel,
    Waits,
    decode,
    delay,
    encode,
    next_due,
)
from tests.support.stepping import Stepping

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SOON = timedelta(seconds=5)


def parcel(name: str, alert: str, *, attempts: int = 0, wait: timedelta = timedelta(0), **other: Any) -> Parcel:
    return Parcel(name, "slack", alert, NOW, attempts, wait, **other)


@given(st.text(max_size=20), st.integers(1, 10_000))
def test_waits_grow_to_a_cap_and_are_spread(name: str, attempt: int) -> None:
    waited = delay(name, attempt)
    longest = min(LONGEST_DELAY, timedelta(seconds=2 * 2.0 ** min(attempt - 1, 30)))
    assert longest / 2 <= waited <= longest
    assert delay(name, attempt) == waited


def test_two_messages_do_not_come_back_at_once() -> None:
    assert len({delay(str(name), 5) for name in range(50)}) == 50


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [(0.0, timedelta(seconds=1), timedelta(seconds=2)), (90.0, timedelta(seconds=90), timedelta(seconds=90)),
     (1e12, LONGEST_WAIT, LONGEST_WAIT), (inf, LONGEST_WAIT, LONGEST_WAIT)],
)  # fmt: skip
def test_a_receiver_is_given_the_time_it_asks_for_within_reason(
    asked: float, least: timedelta, most: timedelta
) -> None:
    assert least <= delay("x", 1, asked) <= most


def no_wait(one: Parcel) -> bool:
    return not one.wait


def names(parcels: list[Parcel], most: int = 20) -> list[str]:
    return [one.id for one in next_due(parcels, no_wait, most)]


def test_a_resolve_waits_for_its_trigger_and_others_do_not() -> None:
    waiting = parcel("trigger", "a", attempts=2, wait=SOON)
    assert names([waiting, parcel("resolve", "a"), parcel("other", "b")]) == ["other"]


def test_what_was_tried_least_goes_first_in_the_order_of_its_alert() -> None:
    tired = parcel("trigger-a", "a", attempts=3)
    queue = [tired, parcel("resolve-a", "a"), parcel("trigger-b", "b"), parcel("resolve-b", "b")]
    assert names(queue) == ["trigger-b", "resolve-b", "trigger-a", "resolve-a"]
    assert names(queue, 1) == ["trigger-b"]


@given(
    st.lists(
        st.builds(
            lambda alert, attempts, late: (alert, attempts, late),
            st.sampled_from("abc"),
            st.integers(0, 3),
            st.booleans(),
        ),
        max_size=12,
    ),
    st.integers(1, 12),
)
def test_the_order_within_an_alert_always_holds(drawn: list[tuple[str, int, bool]], most: int) -> None:
    queue = [
        parcel(str(place), alert, attempts=attempts, wait=SOON if late else timedelta(0))
        for place, (alert, attempts, late) in enumerate(drawn)
    ]
    chosen = next_due(queue, no_wait, most)
    assert len(chosen) <= most
    for alert in "abc":
        own = [one.id for one in queue if one.group == alert]
        assert [one.id for one in chosen if one.group == alert] == own[: sum(one.group == alert for one in chosen)]


WRONG = st.timedeltas(-timedelta(days=400), timedelta(days=400))


@given(writer=WRONG, reader=WRONG, step=WRONG, leased=st.booleans(), passed=st.integers(0, 60))
def test_no_wrong_clock_prolongs_a_wait_or_shortens_a_lease(
    writer: timedelta, reader: timedelta, step: timedelta, leased: bool, passed: int
) -> None:
    """Another worker, ``writer`` wrong, began an attempt; this one, ``reader`` wrong, sees it ``passed`` s later."""
    clock = Stepping(NOW + reader + timedelta(seconds=passed))
    one = parcel("trigger", "a", attempts=1, wait=LEASE, due_at=NOW + writer + LEASE, leased=leased)
    waits = Waits(clock)
    waits.look([one])
    if leased:
        assert not waits.over(one)
    elif writer == reader:
        assert waits.over(one) == (passed >= LEASE.total_seconds())
    clock.step(step)
    clock.advance(LEASE - timedelta(seconds=1))
    waits.look([one])
    assert not (leased and waits.over(one))
    clock.advance(timedelta(seconds=1))
    waits.look([one])
    assert waits.over(one)


def test_every_attempt_has_a_wait_of_its_own() -> None:
    clock = ManualClock(NOW)
    waits = Waits(clock)
    waits.look([parcel("trigger", "a")])
    assert waits.over(parcel("trigger", "a"))
    for attempts in (1, 2):
        leased = parcel("trigger", "a", attempts=attempts, wait=LEASE, due_at=clock.now() + LEASE, leased=True)
        refused = parcel("trigger", "a", attempts=attempts, wait=SOON, due_at=clock.now() + SOON)
        for one in (leased, refused):
            waits.look([one])
            assert not waits.over(one)
        clock.advance(SOON)
        assert waits.over(refused)


def test_a_notification_survives_the_store() -> None:
    note = Notification(
        id="i", alert_id="a", dedup_key="d", status=State.FIRING, severity=Severity.ERROR, title="t", summary="s",
        labels={"application": "ä"}, metric="m", value=nan, threshold="> 1", n=3, ci_low=nan, ci_high=0.5, since=NOW,
        at=NOW + SOON, examples=("“a”\n\x00",), sql="SELECT '\\x27'",
    )  # fmt: skip
    back = decode(encode(note))
    assert str(back) == str(note)
    assert dataclasses.replace(back, value=0, ci_low=0) == dataclasses.replace(note, value=0, ci_low=0)
