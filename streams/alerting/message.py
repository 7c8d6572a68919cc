"""Transitions -> notifications: what a person reads at three in the morning."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isnan, nan
from typing import Any

from inferwatch.schemas.alerts import UNKNOWN, Notification, State, Transition
from inferwatch.schemas.baselines import CANARY
from inferwatch.schemas.errors import Permanent
from inferwatch.schemas.event_rules import EVENT
from inferwatch.schemas.explanation import Brief
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.routing import RECEIVER_DOWN
from inferwatch.schemas.rules import BLIND, RECURRENCE, Rule
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import SeriesKey
from inferwatch.streams.alerting.columns import column_drift, column_of
from inferwatch.streams.alerting.examples import examples
from inferwatch.streams.alerting.reproduce import reproduce
from inferwatch.streams.alerting.wording import (
    between,
    compared,
    condition,
    findings,
    group,
    judged,
    number,
    place,
    severe,
    silent,
    span,
    subject,
    utc,
)  # fmt: skip
from inferwatch.streams.ports import Store

logger = logging.getLogger(__name__)

BEFORE = 12
"""How many earlier windows an alert's number is compared with, and how many window lengths back they may lie."""

CERTAIN = 1e-9
"""Nobody needs to know how much smaller than this a p-value is."""


_SILENT = {State.NO_DATA: "No data: ", State.ERROR: "Cannot be computed: "}
_MEASURED = {"p_value": "p-value", "q_value": "q-value", "effect": "effect size"}


@dataclass(frozen=True, slots=True)
class Change:
    """A transition to tell people about, with the number that caused it."""

    transition: Transition
    metric: WindowMetric


def compose(
    store: Store, settings: Settings, thresholds: Mapping[str, float], rule: Rule, changes: Sequence[Change]
) -> list[Notification]:
    """Return the notification of each of ``changes``, in their order, all of them of ``rule`` and of one window.

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
    says = _resolved(change, thresholds, reference) if resolved else _firing(rule, change, thresholds, reference)
    runbook = f"Runbook: {rule.runbook_url}" if rule.runbook_url else ""
    brief = None if resolved else _brief(metric)
    web = settings.web.url.rstrip("/")
    return Notification(
        id=transition.id,
        alert_id=transition.alert_id,
        dedup_key=f"inferwatch/{transition.alert_id}",
        status=transition.to_state,
        severity=transition.severity,
        rule=rule.name,
        title=f"{_SILENT.get(transition.to_state, '')}{headline(rule)}{_topic(brief)}: {where}",
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
        url=address(settings, transition.alert_id),
        description="\n".join(part for part in (rule.description, runbook) if part),
        findings=() if brief is None else findings(brief, metric.metric.split(".")[1]),
        picture="" if brief is None else f"{web}/api/v1/alerts/{transition.alert_id}/explanation.svg",
    )


def headline(rule: Rule) -> str:
    """Return what an alert of ``rule`` is called, without the place."""
    return rule.title or subject(rule.metric)


def address(settings: Settings, alert_id: str) -> str:
    """Return where the alert is shown."""
    return f"{settings.web.url.rstrip('/')}/alerts/{alert_id}"


def _receiver_down(transition: Transition) -> str:
    attempts = f"{transition.n:,} deliveries" if transition.n > 1 else "1 delivery"
    return (
        f"Receiver {transition.labels['receiver']!r} has refused or not answered {attempts} in a row since "
        f"{utc(transition.since)}; the last time: {transition.detail.get('error', '')}."
    )


def _firing(rule: Rule, change: Change, thresholds: Mapping[str, float], reference: str) -> str:
    metric, transition = change.metric, change.transition
    if metric.metric == RECEIVER_DOWN:
        return _receiver_down(transition)
    if metric.metric.endswith(EVENT):
        return f"{severe(transition)} The rule fires at {condition(rule)}."
    if transition.to_state in UNKNOWN or isnan(metric.value):
        return f"{silent(transition)} The rule fires at {condition(rule)}."
    lasting = transition.at - transition.since
    brief = _brief(metric)
    new = "" if brief is None else group(brief, metric.metric.split(".")[1])
    sentences = [
        f"{new}." if new else "",
        _what(metric, thresholds),
        judged(rule, transition.detail),
        _by_chance(metric),
        f"It has lasted {span(lasting)}." if lasting > metric.window.size else "",
        f"It was {reference}." if reference else _unreferenced(metric),
        f"The rule fires at {condition(rule)}.",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _unreferenced(metric: WindowMetric) -> str:
    return "" if metric.metric.endswith(RECURRENCE) else "There are no earlier windows to compare with."


def _resolved(change: Change, thresholds: Mapping[str, float], reference: str) -> str:
    lasted = span(change.transition.at - change.transition.since)
    if change.metric.metric == RECEIVER_DOWN:
        return f"It takes notifications again, after {lasted}."
    before = f" It was {reference}." if reference else ""
    what = "" if isnan(change.metric.value) else f" {_what(change.metric, thresholds)}"
    back = "Data are back" if change.transition.from_state in UNKNOWN else "Back to normal"
    return f"{back} after {lasted}.{what}{before}"


def _what(metric: WindowMetric, thresholds: Mapping[str, float]) -> str:
    """Say in one sentence what the number is and when: ``12.3 % of inferences (25 of 204 scored) …``."""
    family, _, kind = metric.metric.rpartition(".")
    value, hits = number(metric.value, metric.metric), f"{round(metric.value * metric.n):,} of {metric.n:,}"
    if metric.detail.get("weighted"):
        low, high = number(metric.ci_low, metric.metric), number(metric.ci_high, metric.metric)
        between_them = "" if isnan(metric.ci_low) else f"{low} to {high}, "
        hits = f"{between_them}from a sample of {metric.n:,}"
    when = between(metric.window.start, metric.window.end)
    if metric.metric.startswith(("drift.", CANARY)):
        return column_drift(metric, value, when) if column_of(metric.metric) else _drift(metric, value, when)
    if metric.metric == BLIND:
        return _blind(metric, value, when)
    if metric.metric == "error.rate":
        return f"{value} of calls ({hits}) failed {when}."
    if metric.metric == "inferences":
        return f"{value} inferences were logged {when}."
    if metric.metric == "latency_ms.p95":
        return f"The slowest 5 % of {metric.n:,} calls took {value} or more {when}."
    if family in thresholds and kind == "rate":
        scored = hits if metric.detail.get("weighted") else f"{hits} scored"
        return f"{value} of inferences ({scored}) reached {thresholds[family]:g} for {family} {when}."
    if family in thresholds and kind == "coverage":
        return f"{value} of inferences ({hits}) could be scored for {family} {when}."
    return f"{metric.metric} was {value} over {metric.n:,} inferences {when}."


def _drift(metric: WindowMetric, value: str, when: str) -> str:
    series, _, kind = metric.metric.rpartition(".")
    field = series.rpartition(".")[2]
    if since := metric.detail.get("since"):
        when = between(datetime.fromisoformat(str(since)), metric.window.end)
    against = str(metric.detail.get("reference") or "the reference")
    rows = metric.detail.get("n_reference")
    against += f" ({rows:,} rows)" if isinstance(rows, int) else ""
    said = f"{metric.n:,} {compared(field)} {when} compared with {against}"
    if kind == RECURRENCE[1:]:
        return f"{said}: evidence this strong appears without drift once in {value}."
    return f"{said}: {_MEASURED[kind]} {value}."


def _brief(metric: WindowMetric) -> Brief | None:
    """Return the explanation that a drift metric carries, if it does."""
    said = metric.detail.get("explanation")
    if not isinstance(said, dict):
        return None
    try:
        return Brief.of(said)
    except (KeyError, TypeError):
        # Written by another version: the message is good without it.
        logger.warning("%s: the explanation cannot be read: %r", metric.metric, said)
        return None


def _topic(brief: Brief | None) -> str:
    return f" ({', '.join(brief.keywords[:3])})" if brief is not None and brief.keywords else ""


def _blind(metric: WindowMetric, value: str, when: str) -> str:
    """Say which score is gone, by how much and why: ``hallucination covered 3 of 204 rows (1.5 %) …``."""
    said = metric.detail
    if "score" not in said:
        return f"The scores covered what they usually do {when}." if metric.value == 0 else f"{value} is blind {when}."
    share = number(said["scored"] / said["rows"], BLIND)
    why = ", ".join(f"{reason} ({rows:,} rows)" for reason, rows in said["reasons"])
    return (
        f"The score {said['score']} covered {said['scored']:,} of {said['rows']:,} rows ({share}) {when}; "
        f"the others have none because: {why}."
    )


def _by_chance(metric: WindowMetric) -> str:
    """Say what a p-value means to somebody who has just woken up."""
    if not metric.metric.endswith(".p_value") or not 0 < metric.value <= 0.1:
        return ""
    if metric.value < CERTAIN:
        return f"Chance alone would make them differ this much in less than 1 window of {round(1 / CERTAIN):,}."
    return f"Chance alone would make them differ this much in about 1 window of {round(1 / metric.value):,}."


def _reference(metric: WindowMetric, usual: tuple[float, int]) -> str:
    if metric.metric == BLIND:
        before = metric.detail.get("before")
        return "" if before is None else f"{number(before, BLIND)} of rows in the windows before"
    mean, windows = usual
    if not windows or metric.metric.endswith(RECURRENCE):  # the mean of recurrences is that of the largest
        return ""
    which = f"on average in the {windows} windows before" if windows > 1 else "in the window before"
    return f"{number(mean, metric.metric)} {which}"


def _before(fired_value: float, metric: WindowMetric) -> str:
    return "" if isnan(fired_value) else f"{number(fired_value, metric.metric)} when the alert fired"


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
            "size": metric.window.size // timedelta(milliseconds=1),
        }
        if len(own) == 1:
            named = "AND application = {application:String} AND segment_value = {value:String} "
            parameters |= {"application": metric.series.application, "value": metric.series.value}
        rows = store.query(
            "SELECT application, segment_value, avg(m.value) AS mean, count() AS windows FROM window_metrics AS m "
            "WHERE metric = {metric:String} AND segment_dimension = {dimension:String} AND NOT isNaN(m.value) "
            "AND window_start >= {from:DateTime64(3, 'UTC')} AND window_end <= {since:DateTime64(3, 'UTC')} "
            # Of sliding windows, those that do not overlap.
            "AND (toUnixTimestamp64Milli({since:DateTime64(3, 'UTC')}) - toUnixTimestamp64Milli(window_end)) "
            "% {size:Int64} = 0 "
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
