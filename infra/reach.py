"""Rules that can never do what they say: thresholds that no value of their metric reaches, and the like. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from math import inf

from inferwatch.schemas.baselines import CANARY
from inferwatch.schemas.comparisons import Change
from inferwatch.schemas.drift_fields import FIELDS
from inferwatch.schemas.rules import BLIND, RECURRENCE, Bound, Condition, Rule, parse_budget
from inferwatch.schemas.settings import DriftSettings, WindowSettings

LEAST_P = 1e-12
"""Smaller p-values of texts are published as this one (``detectors.drift.result``)."""
_DAY = timedelta(days=1)
_FEEDBACK = "feedback."
_PLAIN_MEANS = ("input_tokens", "output_tokens", "output_chars")


@dataclass(frozen=True, slots=True)
class Range:
    """The values a metric can take, both ends included; infinite ends are not."""

    low: float
    high: float
    share: bool = False

    def allows(self, condition: Condition) -> bool:
        """Return whether some value satisfies ``condition``."""
        threshold = condition.threshold
        match condition.operator:
            case ">":
                return self.high > threshold
            case ">=":
                return self.high >= threshold
            case "<":
                return self.low < threshold
            case _:
                return self.low <= threshold

    def is_within(self, condition: Condition) -> bool:
        """Return whether every value satisfies ``condition``."""
        threshold = condition.threshold
        match condition.operator:
            case ">":
                return self.low > threshold
            case ">=":
                return self.low >= threshold
            case "<":
                return self.high < threshold
            case _:
                return self.high <= threshold

    def __str__(self) -> str:
        if self.share:
            return "between 0 and 1 (100 %)"
        return f"at least {self.low:g}" if self.high == inf else f"between {self.low:g} and {self.high:g}"


SHARE = Range(0, 1, share=True)
ANYTHING = Range(-inf, inf)


def values_of(metric: str) -> Range:
    """Return which values a metric can take.

    >>> values_of("toxicity.output.rate").high, values_of("inferences").low
    (1, 1)
    """
    family, _, kind = metric.rpartition(".")
    if metric == BLIND:
        return SHARE
    if metric == "inferences" or (family.startswith(_FEEDBACK) and kind == "count"):
        return Range(1, inf)  # a window without rows, and a kind without feedback, are not published at all
    if family.startswith(("drift.", CANARY)):
        return _of_drift(family, kind)
    if family == "feedback.rating":
        return ANYTHING
    if kind in ("rate", "coverage"):
        return SHARE
    if kind == "mean" and family not in _PLAIN_MEANS:
        return SHARE  # of a score
    return Range(0, inf)


def _of_drift(family: str, kind: str) -> Range:
    column = family.removeprefix("drift.")
    of_texts = family.startswith(CANARY) or column in FIELDS
    if kind == "q_value":
        return Range(0, 1)
    if kind == "p_value":
        return Range(LEAST_P if of_texts else 0, 1)
    return Range(0, 1) if kind == "effect" and not of_texts else Range(0, inf)


def _has_interval(metric: str) -> bool:
    family, _, kind = metric.rpartition(".")
    if family.startswith(("drift.", CANARY)):
        return False
    return kind in ("rate", "coverage") or (kind == "mean" and family not in _PLAIN_MEANS)


def most_rows(metric: str, drift: DriftSettings) -> float:
    """Return the most rows that one number of ``metric`` is computed from."""
    family, _, _ = metric.rpartition(".")
    if not family.startswith(("drift.", CANARY)):
        return inf
    pooled = family.removeprefix("drift.") in FIELDS and metric.endswith(RECURRENCE)
    return float(drift.window_rows * (2 ** (drift.scales - 1) if pooled else 1))


def faults(rule: Rule, drift: DriftSettings, windows: WindowSettings) -> Iterator[tuple[str, str]]:
    """Yield (key of the rule, what is wrong with it) for each part of ``rule`` that can never come to pass."""
    if rule.false_alarms is None:
        yield from _conditions(rule)
    elif parse_budget(rule.false_alarms) * _DAY < windows.step:
        text = f"must be rarer than windows, of which there is one every {windows.step}, got {rule.false_alarms!r}"
        yield "false_alarms", text
    rows = most_rows(rule.metric, drift)
    if rule.min_events > rows:
        sample = f"{rows:g} rows (drift.window_rows is {drift.window_rows})"
        yield "min_events", f"must be at most {rows:g}: {rule.metric} is of at most {sample}, got {rule.min_events}"
    if rule.group_by and (whole := _whole_applications_only(rule.metric, drift)):
        yield "group_by", f"cannot be used with {rule.metric}: {whole}"


def _conditions(rule: Rule) -> Iterator[tuple[str, str]]:
    if rule.burn_rate is not None:
        return  # its own model knows what can be reached
    metric, reachable = rule.metric, values_of(rule.metric)
    if rule.compare is not None:
        metric, reachable = f"the {rule.compare.change} of {metric}", _compared(reachable, rule.compare.change)
    for key, condition in (("when", rule.when), ("resolve_when", rule.resolve_when)):
        if condition is not None and condition.of is not Bound.VALUE:
            if not _has_interval(rule.metric):
                yield key, f"can never hold: {rule.metric} has no interval, got '{condition}'"
                return
            if not reachable.share or rule.metric.endswith(".mean"):
                reachable = ANYTHING  # a normal interval goes beyond the values
    if not reachable.allows(rule.when):
        yield "when", f"can never hold: {metric} is {reachable}, got '{rule.when}'{_meant(rule.when, reachable)}"
    elif reachable.is_within(rule.when):
        yield "when", f"holds always: {metric} is {reachable}, got '{rule.when}'"
    if rule.resolve_when is not None and not reachable.allows(rule.resolve_when):
        text = f"can never hold, so that the alert would fire for ever: {metric} is {reachable}"
        yield "resolve_when", f"{text}, got '{rule.resolve_when}'{_meant(rule.resolve_when, reachable)}"


def _compared(reachable: Range, change: Change) -> Range:
    """Return which values the change of a metric can take that is ``reachable``."""
    if change is Change.DIFFERENCE:
        return Range(reachable.low - reachable.high, reachable.high - reachable.low)
    return Range(0, inf) if reachable.low >= 0 else ANYTHING


def _meant(condition: Condition, reachable: Range) -> str:
    """Return the hint that a percent sign is missing, where it is that."""
    return f" (did you mean '{condition} %'?)" if reachable.share and 2 <= condition.threshold <= 100 else ""


def _whole_applications_only(metric: str, drift: DriftSettings) -> str:
    family, _, _ = metric.rpartition(".")
    if metric == BLIND:
        return "it is of whole applications"
    if not family.startswith("drift."):
        return ""
    if family.removeprefix("drift.") in FIELDS:
        return "the drift of texts is of whole applications"
    return "" if drift.by_segment else "the drift of columns is of whole applications unless drift.by_segment is on"
