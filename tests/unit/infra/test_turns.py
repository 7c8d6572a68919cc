"""Threads that wait for Python's lock get it soon while a worker runs, and nothing is changed after it."""

import sys

import pytest

from inferwatch.infra.turns import INTERVAL, short_turns


def test_turns_are_short_within_and_as_before_after_it_even_when_something_fails() -> None:
    before = sys.getswitchinterval()
    with short_turns():
        assert sys.getswitchinterval() == pytest.approx(INTERVAL)
    assert sys.getswitchinterval() == pytest.approx(before)
    with pytest.raises(ZeroDivisionError), short_turns():
        _ = 1 / 0
    assert sys.getswitchinterval() == pytest.approx(before)
