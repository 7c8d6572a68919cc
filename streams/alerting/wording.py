"""Numbers, times and places as people read them in a message."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isnan, nan
from typing import Any

from inferwatch.schemas.alerts import State, Transition
from inferwatch.schemas.baselines import CANARY
from inferwatch.schemas.comparisons import Baseline, Change, Comparison
from inferwatch.schemas.drift_fields import FIELDS, GIVEN, text_of
from inferwatch.schemas.event_rules import EVENT
from inferwatch.schemas.explanation import Brief, Share
from inferwatch.schemas.rules import BLIND, RECURRENCE, Bound, Rule

NOTABLE = 0.05
"""What is gone is told from this share of the reference on, the lower end of its interval."""
SHARES = (".rate", ".coverage", BLIND)
UNITS = {
    "latency_ms": " ms",
    "time_to_first_token_ms": " ms",
    "input_tokens": " tokens",
    "output_tokens": " tokens",
    "input_chars": " characters",
    "output_chars": " characters",
    "cost_usd": " USD",
}
SUBJECTS = {
    "toxicity.input.rate": "Toxic inputs",
    "toxicity.output.rate": "Toxic outputs",
    "hallucination.rate": "Unsupported answers",
    "error.rate": "Failing calls",
    "latency_ms.p50": "Median latency",
    "latency_ms.p95": "Slow answers (p95 latency)",
    "inferences": "Number of inferences",
    BLIND: "Rows stay without a score",
    "input_tokens.mean": "Input tokens per call",
    "output_tokens.mean": "Output tokens per call",
    "output_chars.mean": "Length of outputs",
    "cost_usd.sum": "Cost",
    "feedback.thumb.rate": "Thumbs down",
    "feedback.rating.mean": "Ratings",
}
SUBJECTS_OF_COLUMNS = {
    "input_chars": "Length of inputs",
    "output_chars": "Length of outputs",
    "latency_ms": "Latency",
    "time_to_first_token_ms": "Time to the first token",
    "input_tokens": "Input tokens",
    "output_tokens": "Output tokens",
    "cost_usd": "Cost",
    "model": "Mix of models",
    "provider": "Mix of providers",
    "operation": "Mix of operations",
    "prompt_name": "Mix of prompts",
    "prompt_version": "Mix of prompt versions",
    "tenant": "Mix of tenants",
    "finish_reason": "Mix of finish reasons",
}
"""What the drift of a column is about. A score or a tag is called by its name."""


def number(value: float, metric: str) -> str:
    """Return a share as a percentage, money with its sign, anything else with three significant digits and its unit.

    >>> number(0.1234, "toxicity.output.rate"), number(0.0010, "drift.input.p_value"), number(12345.6, "latency_ms.p95")
    ('12.3 %', '0.001', '12,346 ms')
    """
    if isnan(value):
        return "unknown"
    if metric.endswith(RECURRENCE):
        return days(value)
    if metric.endswith(SHARES):
        percent = value * 100
        return f"{percent:.1f}".removesuffix(".0") + " %" if abs(percent) >= 1 else f"{percent:.2g} %"
    shown = f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
    if metric == "cost_usd.sum":
        return f"${value:,.2f}"
    return shown + UNITS.get(metric.partition(".")[0], "")


def days(value: float) -> str:
    """Return a number of days in the unit that suits it.

    >>> days(0.25), days(30), days(1500), days(1e7)
    ('6 hours', '30 days', '4.1 years', 'more than 10,000 years')
    """
    if value > 3_652_500:
        return "more than 10,000 years"
    for unit, length in (("year", 365.25), ("day", 1.0), ("hour", 1 / 24)):
        if value >= 2 * length or unit == "hour":
            break
    count = value / length
    shown = f"{count:,.0f}" if count >= 100 else f"{count:.2g}"
    return f"{shown} {unit}" + ("" if shown == "1" else "s")


def span(length: timedelta) -> str:
    """Return a duration as rules write it.

    >>> span(timedelta(minutes=90)), span(timedelta(seconds=30))
    ('1h30m', '30s')
    """
    seconds = round(length.total_seconds())
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def clock_time(at: datetime) -> str:
    """Return ``14:05``, with seconds only where they are not zero."""
    at = at.astimezone(UTC)
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


def utc(at: datetime) -> str:
    """Return a time with its day: ``2026-03-01 14:05 UTC``."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def between(start: datetime, end: datetime) -> str:
    """Return ``between 14:00 and 14:15 UTC on 1 March``."""
    start = start.astimezone(UTC)
    return f"between {clock_time(start)} and {clock_time(end)} UTC on {start.day} {start:%B}"


def interval(low: float, high: float, metric: str) -> str:
    """Return ``95 % interval 2.6 % to 19.9 %``; nothing where there is none."""
    return "" if isnan(low) or isnan(high) else f"95 % interval {number(low, metric)} to {number(high, metric)}"


def condition(rule: Rule) -> str:
    """Return when a rule fires: ``> 5 % for 30m``, ``> 30 days (false alarms: 1 per 30d)``, ``> 2 times …``."""
    allowed = f" (false alarms: {rule.false_alarms})" if rule.false_alarms else ""
    held = f" for {span(rule.hold)}" if rule.hold else ""
    when, compare, burn = rule.when, rule.compare, rule.burn_rate
    threshold = number(when.threshold, rule.metric)
    against = ""
    if burn is not None:
        threshold = f"{when.threshold:g} times the budget of {number(burn.budget, '.rate')}"
        against = f" over {span(burn.long)} and over {span(burn.short)}"
    elif compare is not None and compare.change is Change.RATIO:
        threshold, against = f"{when.threshold:g} times", f" {earlier(compare)}"
    elif compare is not None:
        threshold, against = f"{threshold} more than", f" {earlier(compare)}"
    bound = {Bound.CI_LOW: "interval from ", Bound.CI_HIGH: "interval up to "}.get(when.of, "")
    return f"{bound}{when.operator} {threshold}{against}{allowed}{held}"


def earlier(compare: Comparison) -> str:
    """Return which period a number is compared with: ``the 1h before``, ``the same 1h last week``."""
    over = span(compare.over)
    return {
        Baseline.PREVIOUS: f"the {over} before",
        Baseline.YESTERDAY: f"the same {over} yesterday",
        Baseline.LAST_WEEK: f"the same {over} last week",
    }[compare.to]


def judged(rule: Rule, detail: Mapping[str, Any]) -> str:
    """Say what the rule compared where that is not the number itself; nothing where it is, or is not known any more."""
    if rule.burn_rate is not None and isinstance(burn := detail.get("burn"), Mapping):
        long, short = (_times(burn.get(name)) for name in ("long", "short"))
        lengths = span(rule.burn_rate.long), span(rule.burn_rate.short)
        return f"The budget burned {long} as fast as allowed over {lengths[0]} and {short} over {lengths[1]}."
    if rule.compare is not None and isinstance(baseline := detail.get("baseline"), Mapping):
        before = baseline.get("value")
        said = number(nan if before is None else float(before), rule.metric)
        return f"It was {said} in {earlier(rule.compare)}."
    return ""


def _times(value: Any) -> str:
    return f"{float(value):.3g} times" if isinstance(value, int | float) else "an unknown number of times"


def severe(transition: Transition) -> str:
    """Say which row fired a rule on single rows, and how many there were."""
    score = transition.metric.removesuffix(EVENT)
    others = f" {transition.n - 1:,} more came with it." if transition.n > 1 else ""
    row = transition.detail.get("row", "")
    return f"One row scored {number(transition.value, '')} for {score} at {utc(transition.since)}: id {row}.{others}"


def silent(transition: Transition) -> str:
    """Say in one sentence or two that there is no number, since when and why."""
    fired = transition.from_state in (State.FIRING, State.RECOVERING)
    since = f" since {utc(transition.since)}" if not fired else ""
    why = {"no data": "no rows that it could be computed from"}.get(str(transition.detail.get("reason", "")))
    said = f"{transition.metric} has had no number{since}: {why or transition.detail.get('reason')}."
    return said + (" The alert was firing; whether it still would is not known." if fired else "")


def place(labels: Mapping[str, str]) -> str:
    """Return ``support, model m-2`` of an instance's labels."""
    rest = [f"{name} {value}" for name, value in labels.items() if name != "application"]
    return ", ".join([labels.get("application", ""), *rest])


def subject(metric: str) -> str:
    """Return what a metric is about, as the start of a title."""
    if metric in SUBJECTS:
        return SUBJECTS[metric]
    if metric.startswith(CANARY):
        return f"{compared(metric.split('.')[1]).capitalize()} of a canary differ from its control"
    if metric.startswith("drift."):
        what = metric.removeprefix("drift.").rpartition(".")[0]
        if what in FIELDS:
            return f"{compared(what).capitalize()} differ from the reference"
        return f"{SUBJECTS_OF_COLUMNS.get(what, what)} differs from the reference"
    return metric


def compared(field: str) -> str:
    """Return what the drift of a field compares.

    >>> compared("input"), compared("output_given_input")
    ('inputs', 'outputs given their inputs')
    """
    return "outputs given their inputs" if field == GIVEN else f"{field}s"


def percent(share: float) -> str:
    """Return a share with as many digits as one acts on.

    >>> percent(0.456), percent(0.0312), percent(0)
    ('46 %', '3.1 %', '0 %')
    """
    return f"{share:.0%}".replace("%", " %") if share >= 0.0995 or share == 0 else f"{share * 100:.2g} %"


def group(brief: Brief, field: str, words: int = 3) -> str:
    """Return what is new and how much of the traffic it is; nothing where no group of new rows stands out.

    >>> group(Brief(Share(0.11, 0.08, 0.14), Share(0, 0, 0), ("solar panels", "feed-in tariff")), "input")
    'New: solar panels, feed-in tariff (11 % of inputs, 95 % interval 8 to 14 %)'
    """
    if not brief.new.proven:
        return ""
    named = ", ".join(brief.keywords[:words]) or f"{text_of(field)}s unlike those of the reference"
    return f"New: {named} ({_share(brief.new, text_of(field))})"


def findings(brief: Brief, field: str) -> tuple[str, ...]:
    """Return what an explanation says, one plain sentence a line: what is new, in which segments, what is gone."""
    texts = f"{text_of(field)}s"
    lines = [group(brief, field, 5) or f"No group of new {texts} stands out; the examples are the least usual ones."]
    lines += [
        f"{one.dimension} {one.value}: {percent(one.share)} of its {one.rows:,} {texts} are new, "
        f"{percent(one.elsewhere)} elsewhere"
        for one in brief.segments
    ]
    if brief.gone.low >= NOTABLE:
        named = ", ".join(brief.gone_keywords) or f"{texts} of the reference"
        gone = percent(brief.gone.value)
        lines.append(f"Gone: {named} ({gone} of the reference's {texts}, {_between(brief.gone)})")
    return (*lines, *([f"({brief.note})"] if brief.note else []))


def _share(share: Share, text: str) -> str:
    return f"{percent(share.value)} of {text}s, {_between(share)}"


def _between(share: Share) -> str:
    return f"95 % interval {percent(share.low).removesuffix(' %')} to {percent(share.high)}"


def cut(text: str, limit: int) -> str:
    """Return at most ``limit`` characters, the last an ellipsis when something is missing."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
