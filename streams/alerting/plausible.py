"""What the stored windows say of rules: names that never came, and windows that are always too small."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches

from inferwatch.schemas.rules import Rule
from inferwatch.schemas.windows import ALL
from inferwatch.streams.alerting.reading import COUNT
from inferwatch.streams.alerting.rules import kind_of
from inferwatch.streams.ports import Store

RECENT = timedelta(days=7)
FEW = 0.05
"""A rule that could judge a smaller share of windows than this is doubted."""


def doubts(store: Store, rules: Sequence[Rule], until: datetime) -> Iterator[tuple[str, str, str]]:
    """Yield (rule, its key, what the windows of the week before ``until`` say against it)."""
    span = {"since": until - RECENT, "until": until}
    recent = "window_end > {since:DateTime64(3, 'UTC')} AND window_end <= {until:DateTime64(3, 'UTC')}"
    rows = store.query(
        "SELECT toString(application) AS application, toString(segment_dimension) AS dimension, "
        f"uniqExact(window_start) AS windows FROM window_metrics WHERE {recent} AND metric = '{COUNT}' "
        "GROUP BY application, dimension",
        span,
    ).to_pylist()
    applications = sorted({row["application"] for row in rows})
    if not applications:
        return
    dimensions = {row["dimension"] for row in rows}
    for rule in rules:
        for name in rule.applications:
            if name not in applications:
                near = get_close_matches(name, applications, n=1)
                meant = f" (did you mean {near[0]!r}?)" if near else ""
                there = ", ".join(applications)
                yield rule.name, "applications", f"{name!r} has no window of the last week{meant}; there are: {there}"
        for dimension in rule.group_by:
            if dimension not in dimensions:
                yield rule.name, "group_by", f"no row of the last week has a value of {dimension!r}"
        yield from _too_small(store, rule, dimensions, recent, span)


def _too_small(
    store: Store, rule: Rule, dimensions: set[str], recent: str, span: dict[str, datetime]
) -> Iterator[tuple[str, str, str]]:
    metric, dimension = kind_of(rule)
    if metric == COUNT or rule.burn_rate is not None or (dimension != ALL and dimension not in dimensions):
        return
    [row] = store.query(
        "SELECT count() AS numbers, countIf(n >= {least:UInt64}) AS judged, quantileExact(n) AS usual "
        f"FROM window_metrics WHERE {recent} AND metric = {{metric:String}} "
        "AND segment_dimension = {dimension:String} AND NOT isNaN(value) "
        "AND (empty({applications:Array(String)}) OR has({applications:Array(String)}, toString(application)))",
        span
        | {
            "least": rule.min_events,
            "metric": metric,
            "dimension": dimension,
            "applications": list(rule.applications),
        },
    ).to_pylist()
    if row["numbers"] and row["judged"] < FEW * row["numbers"]:
        yield (
            rule.name,
            "min_events",
            f"only {row['judged']:,} of the last week's {row['numbers']:,} numbers are of {rule.min_events} rows or "
            f"more; the median is of {row['usual']:,}",
        )
