"""A metric over time as SVG: value, interval, threshold, and when the alert lasted.

It has no width of its own: places along the time are shares of the width, and texts keep their size on a phone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil, floor, isnan, log10
from xml.etree.ElementTree import Element

from inferwatch.infra.web.markup import el
from inferwatch.schemas.rules import RECURRENCE
from inferwatch.streams.alerting.wording import SHARES, number
from inferwatch.streams.incidents.incident import Incident
from inferwatch.streams.incidents.numbers import Point

HEIGHT, TOP, BOTTOM = 240, 14, 26
_LOG = (".p_value", ".q_value", RECURRENCE)
_LEAST = 1e-9
_DAYS = (1 / 24, 1.0, 30.0, 365.25, 36525.0, 3652500.0)
_LINES = {"threshold": "fires at ", "recovery": "resolves at "}
_GAP = 2.5
"""A step this many times the usual one is a gap in the line."""


def chart(incident: Incident) -> Element:
    """Return the picture of the numbers around an alert."""
    numbers, metric, episode = incident.numbers, incident.episode.metric, incident.episode
    points = [point for point in numbers.points if not isnan(point.value)]
    x = _along(numbers.start, numbers.end)
    lines = [
        (value, name)
        for value, name in ((incident.threshold, "threshold"), (incident.recovery, "recovery"))
        if not isnan(value)
    ]
    y, named = _up(metric, points, [value for value, _ in lines])
    begun, over = x(episode.since), x(episode.ended or numbers.end)
    inside = {"y": str(TOP), "height": str(HEIGHT - TOP - BOTTOM)}
    inner = el("svg", viewBox=f"0 0 1000 {HEIGHT}", preserveAspectRatio="none", width="100%", height=str(HEIGHT))
    for run in _runs(points):
        _draw(inner, run, lambda at: x(at) * 10, y)
    return el(
        "svg",
        el("rect", class_="shade", x=_share(begun), width=_share(max(0.2, over - begun)), **inside),
        *(_level("grid", y(value)) for value in named),
        inner,
        *(_level(name, y(value)) for value, name in lines),
        *(_dot(point, metric, x(point.end), y(point.value)) for point in points),
        *(_text(number(value, metric), "0%", y(value) - 4, "start", "tick") for value in named),
        *(_text(_LINES[name] + number(value, metric), "45%", y(value) - 4, "middle", name) for value, name in lines),
        *(
            _text(_when(at, numbers.end - numbers.start), _share(x(at)), HEIGHT - 8, anchor)
            for at, anchor in _labels(numbers.start, numbers.end)
        ),
        class_="chart-around",
        role="img",
        height=str(HEIGHT),
        aria_label=f"{metric} around the alert: {number(episode.opened.value, metric)} when it began",
    )


def told(point: Point, metric: str) -> str:
    """Return a window's number in words: ``01 Mar 14:00 to 14:15: 12.3 % (8.5 % to 17.5 %), 204 rows``."""
    between = (
        ""
        if isnan(point.low) or isnan(point.high)
        else f" ({number(point.low, metric)} to {number(point.high, metric)})"
    )
    worst = f", the worst of {point.windows} windows" if point.windows > 1 else ""
    when = f"{point.start:%d %b %H:%M} to {point.end:%H:%M}"
    return f"{when}: {number(point.value, metric)}{between}, {point.n:,} rows{worst}"


def _draw(svg: Element, run: Sequence[Point], x: Callable[[datetime], float], y: Callable[[float], float]) -> None:
    band = [one for one in run if not isnan(one.low) and not isnan(one.high)]
    if len(band) > 1:
        upper = [f"{x(one.end):.1f},{y(one.high):.1f}" for one in band]
        lower = [f"{x(one.end):.1f},{y(one.low):.1f}" for one in reversed(band)]
        svg.append(el("polygon", class_="band", points=" ".join(upper + lower)))
    if len(run) > 1:
        path = " ".join(f"{x(one.end):.1f},{y(one.value):.1f}" for one in run)
        svg.append(el("polyline", class_="line", points=path, vector_effect="non-scaling-stroke"))


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    """Return the points between which no window is missing."""
    steps = sorted(later.end - one.end for one, later in pairwise(points))
    usual = steps[len(steps) // 2] if steps else timedelta(0)
    runs: list[list[Point]] = []
    for point in points:
        if not runs or point.end - runs[-1][-1].end > _GAP * usual:
            runs.append([])
        runs[-1].append(point)
    return runs


def _along(start: datetime, end: datetime) -> Callable[[datetime], float]:
    whole = (end - start) or timedelta(seconds=1)
    return lambda at: min(100.0, max(0.0, (at - start) / whole * 100))


def _up(metric: str, points: Sequence[Point], lines: Sequence[float]) -> tuple[Callable[[float], float], list[float]]:
    """Return from a number to its place, in pixels from the top, and the numbers to name."""
    room = HEIGHT - TOP - BOTTOM
    if metric.endswith(_LOG):
        known = [max(_LEAST, one) for one in (*(point.value for point in points), *lines)] or [1.0]
        low, high = min(known), max(known)
        bottom, top = log10(low) - 0.3, log10(high) + 0.3
        offered = _DAYS if metric.endswith(RECURRENCE) else tuple(10.0**power for power in range(-9, 1))
        within = [one for one in offered if bottom <= log10(one) <= top]
        every = max(1, -(-len(within) // 4))
        return (lambda value: TOP + room * (1 - (log10(max(value, _LEAST)) - bottom) / (top - bottom))), within[::every]
    values = [point.value for point in points] + list(lines)
    bounds = [bound for point in points for bound in (point.low, point.high) if not isnan(bound)]
    low, high = min([0.0, *values]), max([0.0, *values, *bounds])
    if metric.endswith(SHARES):
        high = min(1.0, max(high, 0.02))
    if high - low < _LEAST:
        high = low + 1.0
    else:
        high += (high - low) * 0.06
    return (lambda value: TOP + room * (1 - (min(max(value, low), high) - low) / (high - low))), ticks(low, high)


def ticks(low: float, high: float) -> list[float]:
    """Return two to five round numbers within a range.

    >>> ticks(0.0, 0.45), ticks(0.0, 1.0), ticks(0.0, 4200.0)
    ([0.0, 0.2, 0.4], [0.0, 0.5, 1.0], [0.0, 2000.0, 4000.0])
    """
    rough = (high - low) / 2.5
    scale = 10.0 ** floor(log10(rough))
    step = max(one * scale for one in (1.0, 2.0, 5.0) if one * scale <= rough)
    first = ceil(low / step - 1e-9)
    return [round(place * step, 12) for place in range(first, floor(high / step + 1e-9) + 1)]


def _dot(point: Point, metric: str, x: float, y: float) -> Element:
    return el("circle", el("title", told(point, metric)), class_="dot", cx=_share(x), cy=f"{y:.1f}", r="3")


def _text(said: str, x: str, y: float, anchor: str, class_: str | None = None) -> Element:
    return el("text", said, x=x, y=f"{y:.1f}", text_anchor=anchor, class_=class_)


def _level(name: str, y: float) -> Element:
    return el("line", class_=name, x1="0", x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}")


def _labels(start: datetime, end: datetime) -> list[tuple[datetime, str]]:
    return [(start, "start"), (start + (end - start) / 2, "middle"), (end, "end")]


def _when(at: datetime, whole: timedelta) -> str:
    return f"{at:%d %b %H:%M}" if whole > timedelta(hours=20) else f"{at:%H:%M}"


def _share(value: float) -> str:
    return f"{value:.2f}%"
