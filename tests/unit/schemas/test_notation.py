"""Values of a series as promtool writes them."""

from __future__ import annotations

from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.schemas.notation import expand


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", []),
        ("1 2.5 -3 .5 1e-3", [1, 2.5, -3, 0.5, 0.001]),
        ("0+10x3", [0, 10, 20, 30]),
        ("5-2x2", [5, 3, 1]),
        ("-1-1x1", [-1, -2]),
        ("7x2", [7, 7, 7]),
        ("1x0", [1]),
        ("_ 1 _x3", [None, 1, None, None, None]),
        ("errorx2", ["error", "error"]),
    ],
)
def test_values_are_those_promtool_makes(text: str, values: list[object]) -> None:
    """The same as ``promtool test rules`` of Prometheus 2.42 takes them; ``error`` is ours."""
    assert expand(text) == values


def test_a_number_that_does_not_exist() -> None:
    first, second = expand("NaNx2")
    assert isinstance(first, float)
    assert isinstance(second, float)
    assert isnan(first)
    assert isnan(second)


@given(st.integers(-1000, 1000), st.integers(-50, 50), st.integers(0, 200))
def test_a_progression_has_one_value_more_than_steps(first: int, step: int, steps: int) -> None:
    assert expand(f"{first}{step:+d}x{steps}") == [first + step * place for place in range(steps + 1)]


@pytest.mark.parametrize("text", ["1x", "x5", "1+x3", "stale", "1,2", "0+1x-3", "_x"])
def test_what_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be values of windows"):
        expand(text)


@pytest.mark.parametrize("text", ["1x1000001", "_x99999999999999999999", "1x600000 1x600000"])
def test_a_slip_of_the_pen_does_not_fill_memory(text: str) -> None:
    with pytest.raises(ValueError, match="at most 1000000 values"):
        expand(text)
