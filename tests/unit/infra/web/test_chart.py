"""The chart holds every number inside its frame, breaks where windows are missing, and has the lines of the rule."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from xml.etree.ElementTree import Element, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.infra.web.chart import BOTTOM, HEIGHT, TOP, chart, ticks, told
from tests.support.incidents import episode, incident, point

METRICS = ["toxicity.output.rate", "latency_ms.p95", "drift.input.p_value", "drift.input.recurrence", "inferences"]


def of(svg: Element, tag: str, name: str) -> list[Element]:
    return [one for one in svg.iter(tag) if one.get("class") == name]


@given(st.lists(st.floats(0, 1e6), max_size=40), st.sampled_from(METRICS), st.floats(0, 1e6))
def test_everything_is_inside_the_frame(values: list[float], metric: str, threshold: float) -> None:
    points = [point(place - 6, value, value / 2, value * 1.5) for place, value in enumerate(values)]
    svg = chart(incident(points, threshold=threshold, recovery=nan, episode=replace(episode(), metric=metric)))
    for dot in of(svg, "circle", "dot"):
        assert TOP - 0.1 <= float(dot.get("cy") or nan) <= HEIGHT - BOTTOM + 0.1
        assert 0 <= float((dot.get("cx") or "").removesuffix("%")) <= 100
    for line in svg.iter("line"):
        assert TOP - 0.1 <= float(line.get("y1") or nan) <= HEIGHT - BOTTOM + 0.1
    assert len(of(svg, "circle", "dot")) == len(values)
    assert "nan" not in tostring(svg, encoding="unicode", method="html")


def test_a_missing_window_is_a_gap_and_an_unknown_number_no_point() -> None:
    values = [0.1, 0.2, 0.3, nan, nan, nan, 0.2, 0.1]
    svg = chart(incident([point(place - 4, value) for place, value in enumerate(values)]))
    assert len(of(svg, "polyline", "line")) == 2
    assert len(of(svg, "circle", "dot")) == 5


def test_threshold_and_recovery_are_lines_where_they_are_numbers() -> None:
    points = [point(0, 0.3)]
    svg = chart(incident(points))
    assert [one.text for one in svg.iter("text") if one.get("class") == "threshold"] == ["fires at 2 %"]
    assert len(of(svg, "line", "recovery")) == 1
    bare = chart(incident(points, threshold=nan, recovery=nan))
    assert not of(bare, "line", "threshold")
    assert not of(bare, "line", "recovery")


def test_the_alert_is_shaded_from_its_first_bad_window_to_the_end_where_it_lasts() -> None:
    (shade,) = of(chart(incident([point(0, 0.3)])), "rect", "shade")
    assert (shade.get("x"), shade.get("width")) == ("50.00%", "50.00%")


def test_a_chart_without_numbers_is_still_one() -> None:
    assert chart(incident()).tag == "svg"


def test_a_point_says_its_window_its_interval_and_what_it_stands_for() -> None:
    assert told(point(0, 0.3, 0.2, 0.4, windows=3), "toxicity.output.rate") == (
        "01 Mar 14:00 to 14:05: 30 % (20 % to 40 %), 10 rows, the worst of 3 windows"
    )


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_rising_and_within(low: float, length: float) -> None:
    high = low + length
    if not low < high < inf or (high - low) / max(abs(low), abs(high)) < 1e-6:
        return
    found = ticks(low, high)
    slack = (high - low) * 1e-6
    assert 2 <= len(found) <= 6
    assert found == sorted(found)
    assert all(low - slack <= one <= high + slack for one in found)


@pytest.mark.parametrize("metric", METRICS)
def test_zero_has_a_place_on_every_scale(metric: str) -> None:
    svg = chart(incident([point(0, 0.0), point(1, 0.0)], episode=replace(episode(), metric=metric), threshold=nan))
    assert len(of(svg, "circle", "dot")) == 2
