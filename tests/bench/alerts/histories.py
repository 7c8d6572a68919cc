"""Random histories of metrics: rules, and windows with gaps, silences, faults, late data and revisions."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import nan
from typing import Any

from inferwatch.schemas.metrics import FAULT, WindowMetric, wilson
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.windows import ALL, SeriesKey, Window

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
APART = timedelta(days=30)
"""Runs share a store: so far apart in event time that none sees another's numbers."""
SIZE = timedelta(minutes=15)
LENGTH = (10, 24)
MODELS = ("m-1", "m-2", "m-3")
METRICS = ("error.rate", "toxicity.output.rate", "cost_usd.sum")


@dataclass(frozen=True)
class Event:
    """What happens next: ``window`` is published with ``metrics`` as its ``revision``, or without one time passes.

    ``until`` is up to which event time windows are complete.
    """

    until: datetime
    window: Window | None = None
    revision: int = 0
    metrics: tuple[WindowMetric, ...] = ()


@dataclass(frozen=True)
class Run:
    """Several histories side by side, one an application with rules of its own."""

    rules: tuple[Rule, ...]
    slide: timedelta
    events: tuple[Event, ...]
    applications: tuple[str, ...]


def run(seed: int, histories: int) -> Run:
    """Return ``histories`` histories that go through the same windows. A function of its arguments."""
    rng = random.Random(seed)
    applications = tuple(f"a{seed}-{place}" for place in range(histories))
    rules = tuple(
        _rule(rng, f"r{seed}-{number}-{place}", application)
        for number, application in enumerate(applications)
        for place in range(rng.randint(1, 3))
    )
    slide = SIZE if rng.random() < 0.7 else SIZE / 3
    return Run(rules, slide, _events(rng, FIRST_DAY + seed * APART, slide, applications), applications)


def _rule(rng: random.Random, name: str, application: str) -> Rule:
    metric = rng.choice(METRICS)
    shares = metric != "cost_usd.sum"
    rule: dict[str, Any] = {
        "name": name,
        "metric": metric,
        "applications": [application],
        "min_events": rng.choice([1, 20, 50]),
        "for": rng.choice(["0s", "0s", "15m", "30m"]),
        "keep_firing_for": rng.choice(["0s", "0s", "15m", "40m"]),
        "group_by": rng.choice([[], [], ["model"]]),
        "no_data": rng.choice(["mark", "mark", "keep", "resolve", "fire"]),
        "error": rng.choice(["mark", "keep", "fire"]),
        "no_data_after": rng.choice(["0s", "15m", "30m", "50m", "1d"]),
        "max_instances": rng.choice([1, 2, 100]),
    }
    kind = rng.choice(["plain", "plain", "recovery", "interval", "compare", "burn"])
    if kind == "burn" and shares:
        return Rule.model_validate(
            rule
            | {"burn_rate": {"objective": "90 %", "long": "45m", "short": "15m", "factor": rng.choice([0.5, 1, 2])}}
        )
    if kind == "compare":
        compare = {"to": rng.choice(["previous", "previous", "yesterday"]), "over": rng.choice(["30m", "1h"])}
        if rng.random() < 0.5:
            return Rule.model_validate(rule | {"compare": compare, "when": "> 1.5", "resolve_when": "< 1.2"})
        when = "> 3 %" if shares else "> 2"
        return Rule.model_validate(rule | {"compare": compare | {"as": "difference"}, "when": when})
    when = "> 10 %" if shares else "> 10"
    if kind == "interval" and shares:
        return Rule.model_validate(rule | {"when": f"ci_low {when}", "resolve_when": "< 8 %"})
    if kind == "recovery":
        return Rule.model_validate(rule | {"when": when, "resolve_when": "< 5 %" if shares else "< 5"})
    return Rule.model_validate(rule | {"when": when})


def _events(rng: random.Random, start: datetime, slide: timedelta, applications: tuple[str, ...]) -> tuple[Event, ...]:
    """Return the events of a grid of windows: some without any row, some that part of their rows reach late."""
    events: list[Event] = []
    due: list[tuple[int, int, str]] = []
    contents: dict[int, dict[str, tuple[WindowMetric, ...]]] = {}
    revisions: dict[int, int] = {}
    silent = {application: _gaps(rng) for application in applications}
    nobody = _gaps(rng, 0.3)

    def window(place: int) -> Window:
        return Window(start + place * slide, start + place * slide + SIZE)

    def publish(place: int, until: datetime) -> None:
        metrics = tuple(metric for own in contents[place].values() for metric in own)
        events.append(Event(until, window(place), revisions.get(place, 0), metrics))
        revisions[place] = revisions.get(place, 0) + 1

    for place in range(rng.randint(*LENGTH)):
        contents[place] = {}
        for application in applications:
            if place in silent[application] or place in nobody:
                continue
            if rng.random() < 0.15:
                due.append((place + rng.randint(1, 4), place, application))
                if rng.random() < 0.5:
                    continue  # All of its rows are late, not only some.
            contents[place][application] = _numbers(rng, window(place), application)
        until = window(place).end
        if contents[place]:
            publish(place, until)
        elif rng.random() < 0.7:
            events.append(Event(until))
        for when, late, application in sorted(due):
            if when == place:
                contents[late][application] = _numbers(rng, window(late), application)
                publish(late, until)
    return tuple(events)


def _gaps(rng: random.Random, likely: float = 0.6) -> set[int]:
    if rng.random() > likely:
        return set()
    begin, length = rng.randint(1, LENGTH[1]), rng.randint(1, 8)
    return set(range(begin, begin + length))


def _numbers(rng: random.Random, window: Window, application: str) -> tuple[WindowMetric, ...]:
    models = rng.sample(MODELS, rng.randint(0, len(MODELS)))
    series = [SeriesKey(application, ALL, ALL), *(SeriesKey(application, "model", model) for model in models)]
    bad = rng.random() < 0.5
    return tuple(_number(rng, window, one, metric, bad=bad) for one in series for metric in METRICS)


def _number(rng: random.Random, window: Window, series: SeriesKey, metric: str, *, bad: bool) -> WindowMetric:
    n = rng.choice([5, 30, 100, 400])
    if rng.random() < 0.1:
        detail = {FAULT: "detector failed: MemoryError"} if rng.random() < 0.5 else {}
        return WindowMetric(window, series, metric, nan, 0, n, detail=detail)
    if metric == "cost_usd.sum":
        return WindowMetric(window, series, metric, float(rng.randint(8, 30) if bad else rng.randint(0, 11)), n, n)
    hits = round(n * (rng.uniform(0.08, 0.4) if bad else rng.uniform(0, 0.12)))
    return WindowMetric(window, series, metric, hits / n, n, n, *wilson(hits, n))
