"""Transitions -> notifications: what a person reads at three in the morning."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isnan, nan
from typing import Any

from inferwatch.schemas.alerts import Notification, State, Transition
from inferwatch.schemas.errors import Permanent
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import SeriesKey
from inferwatch.streams.alerting.examples import examples
from inferwatch.streams.alerting.reproduce import reproduce
from inferwatch.streams.alerting.wording import between, condition, number, place, span, subject
from inferwatch.streams.ports import Store

logger = logging.getLogger(__name__)

BEFORE = 12
"""How many earlier windows an alert's number is compared with, and how many window lengths back they may lie."""


@dataclass(frozen=True, slots=True)
class Change:
    """A transition to tell people about, with the number that caused it."""

    transition: Transition
    metric: WindowMetric


def compose(
    store: Store, settings: Settings, thresholds: Mapping[str, float], rule: Rule, changes: Sequence[Change]
) -> list[Notification]:
    """Return the notification of each of ``changes``, all of them of ``rule`` and of one window.

    What is read from the store (examples, earlier windows) makes the message better, and is left out rather than
    letting it stop a page; only a store that is away stops it, because then nothing can be recorded either.

    Raises:
        StoreUnavailable: try again.
    """
    firing = [change for change in changes if change.transition.to_state is State.FIRING]
    resolved = [change for change in changes if change.transition.to_state is State.RESOLVED]
    usual: dict[SeriesKey, tuple[float, int]] = {}
    shown: dict[SeriesKey, tuple[str, ...]] = {}
    peak: dict[str, float] = {}
    try:
        usual = _usual(store, firing)
        shown = examples(store, rule, [one.metric for one in firing], thresholds, settings.segments.max_values)
        peak = _fired_at(store, rule, resolved)
    except Permanent:
        logger.exception("rule %s: the message goes out without what could not be read", rule.name)
    return [
        _note(
            settings, thresholds, rule, change, usual.get(change.metric.series, (nan, 0)),
            shown.get(change.metric.series, ()), peak.get(change.transition.alert_id, nan),
        )
        for change in changes
    ]  # fmt: skip


def _note(
    settings: Settings,
    thresholds: Mapping[str, float],
    rule: Rule,
    change: Change,
    usual: tuple[float, int],
    shown: tuple[str, ...],
    fired_value: float,
) -> Notification:
    transition, metric = change.transition, change.metric
    resolved = transition.to_state is State.RESOLVED
    where = place(transition.labels)
    reference = _reference(metric, usual) if not resolved else _before(fired_value, metric)
    says = _resolved(rule, change, fired_value) if resolved else _firing(rule, change, thresholds, usual, reference)
    runbook = f"Runbook: {rule.runbook_url}" if rule.runbook_url else ""
    return Notification(
        id=transition.id,
        alert_id=transition.alert_id,
        dedup_key=f"inferwatch/{transition.alert_id}",
        status=transition.to_state,
        severity=transition.severity,
        title=f"{rule.title or subject(rule.metric)}: {where}",
        summary=says,
        labels=dict(transition.labels),
        metric=metric.metric,
        value=metric.value,
        threshold=condition(rule),
        n=metric.n,
        ci_low=metric.ci_low,
        ci_high=metric.ci_high,
        since=transition.since,
        at=transition.at,
        reference=reference,
        examples=shown,
        sql=reproduce(metric, thresholds, settings.segments.max_values),
        url=f"{settings.web.url.rstrip('/')}/#alert-{transition.alert_id}",
        description="\n".join(part for part in (rule.description, runbook) if part),
    )


def _firing(
    rule: Rule, change: Change, thresholds: Mapping[str, float], usual: tuple[float, int], reference: str
) -> str:
    metric, transition = change.metric, change.transition
    value, window = number(metric.value, metric.metric), metric.window
    limit = f"The rule fires at {condition(rule)}"
    usually = f"; before, it was {reference}." if usual[1] else "; there are no earlier windows to compare with."
    if metric.metric.startswith("drift."):
        baseline = metric.detail.get("reference") or "the reference"
        rows = metric.detail.get("n_reference")
        against = f"{baseline} ({rows:,} rows)" if isinstance(rows, int) else str(baseline)
        kind = metric.metric.split(".")[1]
        measured = "p-value" if metric.metric.endswith(".p_value") else "effect size"
        opening = f"{metric.n:,} {kind}s {between(window.start, window.end)} differ from {against}: {measured} {value}."
    else:
        opening = f"{_what(metric, thresholds, value)} {between(window.start, window.end)}."
    lasting = transition.at - transition.since
    since = f" It has lasted {span(lasting)}." if lasting > window.size else ""
    return f"{opening}{since} {limit}{usually}"


def _resolved(rule: Rule, change: Change, fired_value: float) -> str:
    metric, transition = change.metric, change.transition
    value = number(metric.value, metric.metric)
    was = "" if isnan(fired_value) else f", down from {number(fired_value, metric.metric)} when it fired"
    if was and metric.value > fired_value:
        was = was.replace("down", "up")
    back = f"Back to normal: {value} of {metric.metric}" if metric.metric.endswith(".rate") else (
        f"Back to normal: {metric.metric} is {value}"
    )  # fmt: skip
    lasted = span(transition.at - transition.since)
    return f"{back} {between(metric.window.start, metric.window.end)}{was}. The episode lasted {lasted}."


def _what(metric: WindowMetric, thresholds: Mapping[str, float], value: str) -> str:
    """Say what the number counts: ``12.3 % of 204 scored inferences (25) had …``."""
    family, _, kind = metric.metric.rpartition(".")
    hits = f"{round(metric.value * metric.n):,} of {metric.n:,}"
    if metric.metric == "error.rate":
        return f"{value} of calls failed ({hits})"
    if family in thresholds and kind == "rate":
        return f"{value} of scored inferences reached {thresholds[family]:g} for {family} ({hits})"
    if family in thresholds and kind == "coverage":
        return f"Only {value} of inferences could be scored for {family} ({hits})"
    if metric.metric == "inferences":
        return f"{value} inferences were logged"
    return f"{metric.metric} was {value} over {metric.n:,} inferences"


def _reference(metric: WindowMetric, usual: tuple[float, int]) -> str:
    mean, windows = usual
    if not windows:
        return ""
    count = "the window before" if windows == 1 else f"the {windows} windows before"
    return f"{number(mean, metric.metric)} on average in {count}" if windows > 1 else (
        f"{number(mean, metric.metric)} in {count}"
    )  # fmt: skip


def _before(fired_value: float, metric: WindowMetric) -> str:
    return "" if isnan(fired_value) else f"{number(fired_value, metric.metric)} when it fired"


def _usual(store: Store, changes: Sequence[Change]) -> dict[SeriesKey, tuple[float, int]]:
    """Return series -> (mean of its numbers in the windows before the episode, how many windows)."""
    starts: dict[datetime, list[Change]] = {}
    for change in changes:
        starts.setdefault(change.transition.since, []).append(change)
    found: dict[SeriesKey, tuple[float, int]] = {}
    for since, own in starts.items():
        metric = own[0].metric
        named = ""
        parameters: dict[str, Any] = {
            "metric": metric.metric,
            "dimension": metric.series.dimension,
            "from": since - BEFORE * metric.window.size,
            "since": since,
        }
        if len(own) == 1:
            named = "AND application = {application:String} AND segment_value = {value:String} "
            parameters |= {"application": metric.series.application, "value": metric.series.value}
        rows = store.query(
            "SELECT application, segment_value, avg(m.value) AS mean, count() AS windows FROM window_metrics AS m "
            "WHERE metric = {metric:String} AND segment_dimension = {dimension:String} AND NOT isNaN(m.value) "
            "AND window_start >= {from:DateTime64(3, 'UTC')} AND window_end <= {since:DateTime64(3, 'UTC')} "
            f"{named}GROUP BY application, segment_value",
            parameters,
        ).to_pylist()
        known = {(row["application"], row["segment_value"]): (row["mean"], int(row["windows"])) for row in rows}
        for change in own:
            series = change.metric.series
            found[series] = known.get((series.application, series.value), (nan, 0))
    return found


def _fired_at(store: Store, rule: Rule, changes: Sequence[Change]) -> dict[str, float]:
    """Return alert id -> the number it fired with."""
    if not changes:
        return {}
    rows = store.query(
        "SELECT alert_id, argMax(a.value, a.at) AS fired FROM alerts_raw AS a WHERE rule = {rule:String} "
        "AND to_state = 'firing' AND at >= {since:DateTime64(3, 'UTC')} GROUP BY alert_id",
        {"rule": rule.name, "since": min(change.transition.since for change in changes)},
    )
    return {row["alert_id"]: float(row["fired"]) for row in rows.to_pylist()}
