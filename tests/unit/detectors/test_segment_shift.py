"""A segment is named when its rows are new more often than chance makes them."""

from __future__ import annotations

import numpy as np

from inferwatch.detectors.drift.segments import carriers
from inferwatch.schemas.explanation import SegmentShift


def test_the_segment_that_carries_the_shift_is_named_with_both_shares() -> None:
    versions = ["8"] * 50 + ["7"] * 150
    new = [*range(31), *range(50, 64)]  # 62 % of version 8, 9.3 % of version 7
    found = carriers(new, {"prompt_version": versions, "model": ["m"] * 200})
    assert found == (SegmentShift("prompt_version", "8", 50, 31 / 50, 14 / 150),)


def test_chance_is_no_segment() -> None:
    rng = np.random.default_rng(0)
    named = 0
    for _ in range(40):
        columns = {name: [str(value) for value in rng.integers(0, 12, 300)] for name in ("model", "tenant")}
        named += bool(carriers(rng.choice(300, 60, replace=False).tolist(), columns))
    assert named <= 3


def test_rows_without_a_value_are_no_segment_and_small_ones_are_passed_over() -> None:
    values = [""] * 40 + ["rare"] * 4 + ["common"] * 100
    assert carriers(range(44), {"tenant": values}) == ()


def test_two_names_of_the_same_rows_are_one_segment() -> None:
    values = ["a"] * 40 + ["b"] * 100
    found = carriers(range(35), {"model": values, "provider": [f"p-{value}" for value in values]})
    assert [(one.dimension, one.value) for one in found] == [("model", "a")]
