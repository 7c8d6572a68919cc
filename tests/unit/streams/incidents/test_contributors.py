"""Who carries a number: what is named is over-represented, what is chance is not, and shares add up."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.schemas.rules import BLIND
from inferwatch.schemas.windows import ALL, SeriesKey
from inferwatch.streams.incidents.contributors import Count, bad_rows, rank

WHOLE = SeriesKey("shop")


def count(dimension: str, value: str, rows: int, bad: int) -> Count:
    return Count(dimension, value, rows, float(rows), float(rows), float(bad))


def whole(rows: int, bad: int) -> Count:
    return count(ALL, ALL, rows, bad)


def test_the_segment_with_the_bad_rows_is_marked_with_all_its_shares() -> None:
    now = [whole(200, 30), count("model", "m-1", 100, 2), count("model", "m-2", 100, 28)]
    before = {("model", "m-2"): count("model", "m-2", 80, 4)}
    first, second = rank(now, before, WHOLE, ["model"])
    assert (first.value, first.carries, first.rows) == ("m-2", True, 100)
    assert first.of_bad == pytest.approx(28 / 30)
    assert (first.of_rows, first.rate, first.elsewhere, first.before) == pytest.approx((0.5, 0.28, 0.02, 0.05))
    assert first.low < 0.28 < first.high
    assert (second.carries, isnan(second.before), second.rows_before) == (False, True, 0)


def test_a_value_that_all_rows_have_says_nothing() -> None:
    assert rank([whole(50, 20), count("provider", "acme", 50, 20)], {}, WHOLE, ["provider"]) == []


def test_of_two_names_for_the_same_rows_the_first_dimension_speaks() -> None:
    now = [whole(200, 30), count("provider", "acme", 100, 28), count("model", "m-2", 100, 28)]
    assert [(one.dimension, one.carries) for one in rank(now, {}, WHOLE, ["model", "provider"])] == [("model", True)]


def test_a_segments_own_alert_is_held_against_the_other_values_of_its_dimension() -> None:
    """All rows of the series have its value; the rest of the application does not."""
    now = [whole(100, 28), count("model", "m-1", 300, 3), count("model", "m-2", 100, 28), count("tenant", "a", 60, 17)]
    own, tenant = rank(now, {}, SeriesKey("shop", "model", "m-2"), ["model", "tenant"])
    assert (own.dimension, own.value, own.carries) == ("model", "m-2", True)
    assert (own.elsewhere, own.of_bad) == pytest.approx((0.01, 28 / 31))
    assert (tenant.value, tenant.of_rows, tenant.carries) == ("a", 0.6, False)


def test_chance_alone_is_seldom_marked() -> None:
    rng = np.random.default_rng(0)
    marked = 0
    for _ in range(100):
        rows = rng.multinomial(600, [1 / 8] * 8)
        bad = rng.binomial(rows, 0.2)
        now = [whole(int(rows.sum()), int(bad.sum()))]
        now += [
            count("tenant", f"t{place}", int(n), int(hits))
            for place, (n, hits) in enumerate(zip(rows, bad, strict=True))
        ]
        marked += any(one.carries for one in rank(now, {}, WHOLE, ["tenant"]))
    assert marked <= 5


def test_rows_that_stand_for_many_are_not_taken_for_many() -> None:
    """Ten rows of weight 100 are ten rows: 6 of 10 against 400 of 1,000 is no proof."""
    sampled = Count("tenant", "a", 10, 1000.0, 100_000.0, 600.0)
    now = [Count(ALL, ALL, 1010, 2000.0, 101_000.0, 1000.0), sampled]
    assert sampled.effective == (10, 6)
    (found,) = rank(now, {}, WHOLE, ["tenant"])
    assert (found.rate, found.carries) == (0.6, False)


@given(st.lists(st.tuples(st.integers(5, 300), st.floats(0, 1)), min_size=2, max_size=6))
def test_shares_of_one_dimension_add_up(values: list[tuple[int, float]]) -> None:
    counts = [count("model", f"m{place}", n, round(n * share)) for place, (n, share) in enumerate(values)]
    everything = whole(sum(one.rows for one in counts), int(sum(one.bad for one in counts)))
    found = rank([everything, *counts], {}, WHOLE, ["model"])
    assert all(0 <= one.rate <= 1 and 0 <= one.elsewhere <= 1 for one in found)
    assert sum(one.of_rows for one in found) <= 1 + 1e-9
    assert sum(one.of_bad for one in found) <= 1 + 1e-9
    marks = [one.carries for one in found]
    assert marks == sorted(marks, reverse=True), "those that carry the number come first"


@pytest.mark.parametrize(
    ("metric", "rows", "bad"),
    [
        ("error.rate", "1", "error != ''"),
        ("toxicity.output.rate", "mapContains(scores, {score:String})", "scores[{score:String}] >= 0.9"),
        ("toxicity.output.mean", "mapContains(scores, {score:String})", "scores[{score:String}] >= 0.9"),
        ("latency_ms.p95", "latency_ms IS NOT NULL", "latency_ms > 800.0"),
    ],
)
def test_what_a_bad_row_is_depends_on_the_metric(metric: str, rows: str, bad: str) -> None:
    found = bad_rows(metric, (">", 800.0), {"toxicity.output": 0.9}, {})
    assert found is not None
    assert (found.rows, found.bad) == (rows, bad)


def test_uncovered_rows_are_the_bad_ones_of_a_coverage_and_of_blindness() -> None:
    found = bad_rows("hallucination.coverage", ("<", 0.5), {"hallucination": 0.6}, {})
    blind = bad_rows(BLIND, (">", 0.5), {}, {"score": "hallucination"})
    assert found is not None
    assert found == blind
    assert "NOT mapContains" in found.bad


@pytest.mark.parametrize("metric", ["inferences", "drift.input.p_value", "feedback.thumb.rate", "cost_usd.sum", BLIND])
def test_numbers_without_bad_rows_have_none(metric: str) -> None:
    assert bad_rows(metric, ("<", 10.0), {"toxicity.output": 0.9}, {}) is None


def test_a_count_of_nothing_has_no_rate() -> None:
    assert isnan(Count("model", "m", 0, 0.0, 0.0, nan).rate)
