"""Which alert instances a rule has in a window. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.windows import ALL, SeriesKey

Kind = tuple[str, str]
"""Metric and segment dimension: what a rule looks at."""


def kind_of(rule: Rule) -> Kind:
    """Return what ``rule`` looks at: without ``group_by`` whole applications, else each value, ``__other__`` included.

    >>> kind_of(Rule(name="r", metric="error.rate", when="> 5 %", group_by=["model"]))
    ('error.rate', 'model')
    """
    return rule.metric, rule.group_by[0] if rule.group_by else ALL


def concerns(rule: Rule, series: SeriesKey) -> bool:
    """Return whether ``rule`` is about the series' application."""
    return not rule.applications or series.application in rule.applications


def series_of(labels: Mapping[str, str]) -> SeriesKey:
    """Return the series that an instance's labels name.

    >>> series_of({"application": "shop", "model": "m-1"})
    SeriesKey(application='shop', dimension='model', value='m-1')
    """
    segment = next(((name, value) for name, value in labels.items() if name != "application"), (ALL, ALL))
    return SeriesKey(labels["application"], *segment)


def by_kind(metrics: Iterable[WindowMetric], rules: Iterable[Rule]) -> dict[Kind, list[WindowMetric]]:
    """Return those of ``metrics`` that ``rules`` look at, sorted by kind."""
    found: dict[Kind, list[WindowMetric]] = {kind_of(rule): [] for rule in rules}
    for metric in metrics:
        if (own := found.get((metric.metric, metric.series.dimension))) is not None:
            own.append(metric)
    return found


def looked_at(
    rule: Rule, metrics: Collection[WindowMetric], active: Collection[SeriesKey]
) -> tuple[list[WindowMetric], int]:
    """Return the numbers that ``rule`` judges, at most ``max_instances``, and how many are left out.

    The ``active`` ones are never left out; of the others, those of the most rows are kept, ties to the smaller name.
    """
    own = [metric for metric in metrics if concerns(rule, metric.series)]
    if len(own) <= rule.max_instances:
        return own, 0
    own.sort(key=lambda one: (one.series not in active, -one.total, one.series))
    kept = max(rule.max_instances, sum(one.series in active for one in own))
    return own[:kept], len(own) - kept
