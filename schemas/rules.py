"""Alert rules as a person writes them, checked before anything runs."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inferwatch.schemas.comparisons import BurnRate, Comparison
from inferwatch.schemas.durations import Duration as Duration
from inferwatch.schemas.durations import parse_duration as parse_duration

_BUDGET = re.compile(r"\s*(\d+)\s+per\s+(\S+)\s*")
_CONDITION = re.compile(
    r"\s*(?:(value|ci_low|ci_high)\s*)?(<=|>=|<|>)\s*([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*(%?)\s*"
)


class Severity(StrEnum):
    """PagerDuty's severities, worst first."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Bound(StrEnum):
    """Which of a number and the ends of its 95 % interval a condition looks at."""

    VALUE = "value"
    CI_LOW = "ci_low"
    CI_HIGH = "ci_high"


class Condition(BaseModel):
    """A comparison with a fixed number, written ``"> 0.02"`` or ``"> 2 %"``.

    ``"ci_low > 2 %"`` compares the lower end of the number's 95 % interval, so that few rows alone do not fire.
    """

    model_config = ConfigDict(frozen=True)

    operator: str
    threshold: float
    of: Bound = Bound.VALUE

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if (match := _CONDITION.fullmatch(value)) is None:
            raise ValueError(f"must be a comparison such as '> 0.02', '<= 5 %' or 'ci_low > 2 %', got {value!r}")
        bound, operator, number, percent = match.groups()
        threshold = float(number) / (100 if percent else 1)
        return {"operator": operator, "threshold": threshold, "of": bound or Bound.VALUE}

    @property
    def rising(self) -> bool:
        """Whether more of the number is worse."""
        return self.operator in (">", ">=")

    def holds(self, value: float) -> bool:
        """Return whether ``value`` satisfies the comparison; NaN satisfies none."""
        match self.operator:
            case ">":
                return value > self.threshold
            case ">=":
                return value >= self.threshold
            case "<":
                return value < self.threshold
            case _:
                return value <= self.threshold

    def __str__(self) -> str:
        bound = "" if self.of is Bound.VALUE else f"{self.of} "
        return f"{bound}{self.operator} {self.threshold:g}"


class Silence(StrEnum):
    """What becomes of an alert when there has been no number for ``no_data_after``."""

    MARK = "mark"
    KEEP = "keep"
    RESOLVE = "resolve"
    FIRE = "fire"


RECURRENCE = ".recurrence"
"""Ends the metrics that say in how many days evidence this strong is expected once where nothing has changed."""
OF_DRIFT = ("p_value", "q_value", "effect", RECURRENCE[1:])
"""What is published of every drift series: ``drift.<what>.<one of these>``."""
RECOVERED = 0.1
"""A rule by ``false_alarms`` resolves where the evidence would be expected this much more often than it may fire."""


def parse_budget(text: object) -> float:
    """Return the days between false alarms of a budget such as ``"1 per 30d"``.

    >>> parse_budget("2 per 7d")
    3.5
    """
    match = _BUDGET.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"must be a number of false alarms per duration such as '1 per 30d', got {text!r}")
    count, length = int(match[1]), parse_duration(match[2])
    if not count or not isinstance(length, timedelta) or not length:
        raise ValueError(f"must allow at least 1 false alarm per duration over 0, got {text!r}")
    return length / timedelta(days=1) / count


class Rule(BaseModel):
    """Fire when ``metric`` satisfies ``when`` for at least ``for`` in windows of at least ``min_events`` rows.

    A firing alert resolves at the first window where ``resolve_when`` holds; without one, where ``when``
    does not; with ``keep_firing_for``, once that has been so for this long. A window with too few rows changes nothing
    (state is kept), nor does one without the number, until there has been none for ``no_data_after``: then ``no_data``
    says what becomes of the alert, or ``error`` where it cannot be computed for a fault of the service.
    ``group_by`` names a segment dimension; each value gets its own alert instance. Empty: the whole application.

    ``compare`` judges the change against an earlier period instead of the number itself. ``burn_rate`` stands instead
    of ``when``, for metrics that are a share of rows.

    A rule on drift says instead of ``when`` how many false alarms it may give: ``metric: drift.input`` with
    ``false_alarms: "1 per 30d"`` is short for ``metric: drift.input.recurrence`` with ``when: "> 30"`` and
    ``resolve_when: "< 3"``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    metric: str
    when: Condition = Field(description="Not beside `false_alarms` or `burn_rate`.")
    false_alarms: str | None = Field(
        default=None, description="Drift only, instead of `when`: how often it may fire without drift, `1 per 30d`."
    )
    hold: Duration = Field(default=timedelta(0), alias="for", ge=timedelta(0))
    keep_firing_for: Duration = Field(
        default=timedelta(0), ge=timedelta(0), description="Resolve only when it has been over for this long."
    )
    resolve_when: Condition | None = None
    compare: Comparison | None = None
    burn_rate: BurnRate | None = None
    no_data: Silence = Field(
        default=Silence.MARK, description="`mark`: state `no_data`. A segment that never fired is not missed."
    )
    error: Silence = Field(default=Silence.MARK, description="`mark`: state `error`.")
    no_data_after: Duration = Field(default=timedelta(days=1), ge=timedelta(0))
    min_events: int = Field(default=20, ge=1)
    group_by: tuple[str, ...] = Field(default=(), max_length=1)
    max_instances: int = Field(
        default=1000, ge=1, description="Of more series in one window, those that fire and the largest are looked at."
    )
    applications: tuple[str, ...] = ()
    severity: Severity = Severity.WARNING
    receivers: tuple[str, ...] = ()
    title: str = ""
    description: str = ""
    runbook_url: str = ""

    @model_validator(mode="before")
    @classmethod
    def _budget_as_condition(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("false_alarms") is None:
            return value
        metric = str(value.get("metric", ""))
        if not metric.startswith("drift.") or metric.endswith(tuple(f".{part}" for part in OF_DRIFT)):
            raise ValueError(f"false_alarms is for a metric drift.<field>, such as drift.input, got metric {metric!r}")
        if "when" in value:
            raise ValueError("false_alarms stands instead of when: a rule has one of the two")
        try:
            days = parse_budget(value["false_alarms"])
        except ValueError as error:
            raise ValueError(f"false_alarms {error}") from error
        recovered = Condition(operator="<", threshold=days * RECOVERED)
        return {"resolve_when": recovered} | value | {
            "metric": metric + RECURRENCE,
            "when": Condition(operator=">", threshold=days),
        }  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _burn_rate_as_condition(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("burn_rate") is None:
            return value
        for other in ("when", "compare", "false_alarms"):
            if value.get(other) is not None:
                raise ValueError(f"burn_rate stands instead of {other}: a rule has one of the two")
        metric = str(value.get("metric", ""))
        if not metric.endswith(".rate"):
            raise ValueError(f"burn_rate is for a share of rows, such as error.rate, got metric {metric!r}")
        burn = BurnRate.model_validate(value["burn_rate"])
        return value | {"burn_rate": burn, "when": Condition(operator=">", threshold=burn.factor)}

    @model_validator(mode="after")
    def _recovery_does_not_contradict(self) -> Rule:
        if self.resolve_when is None:
            return self
        if self.when.rising == self.resolve_when.rising:
            raise ValueError(f"resolve_when '{self.resolve_when}' must point the other way than when '{self.when}'")
        order = _ORDER if self.when.rising else _ORDER[::-1]
        further = order.index(self.resolve_when.of) >= order.index(self.when.of)
        overlap = self.when.holds(self.resolve_when.threshold) and self.resolve_when.holds(self.when.threshold)
        if overlap or not further:
            raise ValueError(f"resolve_when '{self.resolve_when}' and when '{self.when}' can hold at once")
        return self


_ORDER = (Bound.CI_LOW, Bound.VALUE, Bound.CI_HIGH)


BLIND = "blind"
"""The metric of an application that says how much of what its scores covered they do not cover any more."""
BLIND_RULE = Rule(
    name="inferwatch-blind",
    metric=BLIND,
    when=Condition(operator=">", threshold=0.5),
    resolve_when=Condition(operator="<", threshold=0.25),
    no_data=Silence.KEEP,
    error=Silence.KEEP,
    severity=Severity.ERROR,
    title="Blind: rows stay without a score",
    description=(
        "Rules on this score see only the rows that are left, so silence from them means nothing until this resolves. "
        "'detector failed' and 'encoder failed': the service's log and inferwatch_errors_total have the error. Any "
        "other reason is about the logs: does the application still send what the score reads (contexts, outputs), or "
        "has it been changed since?"
    ),
)
"""Exists without being written down; a rule of this name replaces it, ``monitoring.blind_alert: false`` removes it."""
