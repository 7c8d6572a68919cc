"""Which alert instances a window speaks of, and what the rules make of them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from inferwatch.schemas.alerts import AlertState, Transition, fingerprint
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.windows import ALL, Window
from inferwatch.streams.alerting.state import step


@dataclass(frozen=True, slots=True)
class Verdict:
    """One instance after one window: the number it was judged by, its new state, and what changed."""

    rule: Rule
    metric: WindowMetric
    fingerprint: str
    state: AlertState
    transitions: tuple[Transition, ...]


def instances(
    rules: Sequence[Rule], metrics: Sequence[WindowMetric]
) -> Iterator[tuple[Rule, WindowMetric, str, dict[str, str]]]:
    """Yield (rule, number, fingerprint, labels) of every instance that has a number among ``metrics``.

    A rule without ``group_by`` looks at whole applications; with a dimension, at each of its values, ``__other__``
    included.
    """
    by_kind: dict[tuple[str, str], list[WindowMetric]] = defaultdict(list)
    for metric in metrics:
        by_kind[metric.metric, metric.series.dimension].append(metric)
    for rule in rules:
        for metric in by_kind.get((rule.metric, rule.group_by[0] if rule.group_by else ALL), ()):
            if rule.applications and metric.series.application not in rule.applications:
                continue
            labels = metric.series.labels()
            yield rule, metric, fingerprint(rule.name, labels), labels


def evaluate(
    rules: Sequence[Rule], window: Window, metrics: Sequence[WindowMetric], states: Mapping[str, AlertState]
) -> list[Verdict]:
    """Take every instance one step over ``window``; one without an entry in ``states`` (fingerprint -> state) is new.

    Raises:
        ValueError: a metric belongs to another window.
    """
    verdicts = []
    for rule, metric, identity, labels in instances(rules, metrics):
        if metric.window != window:
            raise ValueError(f"{metric.metric} of {metric.series} is of {metric.window}, expected {window}")
        state, transitions = step(rule, states.get(identity, AlertState()), identity, labels, metric)
        verdicts.append(Verdict(rule, metric, identity, state, tuple(transitions)))
    return verdicts
