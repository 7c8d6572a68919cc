"""Alert rules as a person writes them, checked before anything runs."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_BUDGET = re.compile(r"\s*(\d+)\s+per\s+(\S+)\s*")
_CONDITION = re.compile(r"\s*(<=|>=|<|>)\s*([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*(%?)\s*")


def parse_duration(value: object) -> object:
    """Turn ``"1h30m"`` into a timedelta (Prometheus units ms, s, m, h, d); a number is seconds.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    if isinstance(value, str) and value.strip() == "0":
        return timedelta(0)
    if isinstance(value, str) and (parts := _DURATION.findall(value)) and _DURATION.sub("", value).strip() == "":
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    raise ValueError(f"must be a duration such as 30s, 5m or 1h30m, got {value!r}")


Duration = Annotated[timedelta, BeforeValidator(parse_duration, json_schema_input_type=str)]


class Severity(StrEnum):
    """PagerDuty's severities, worst first."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Condition(BaseModel):
    """A comparison with a fixed number, written ``"> 0.02"`` or ``"> 2 %"``."""

    model_config = ConfigDict(frozen=True)

    operator: str
    threshold: float

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if (match := _CONDITION.fullmatch(value)) is None:
            raise ValueError(f"must be a comparison such as '> 0.02' or '<= 5 %', got {value!r}")
        operator, number, percent = match.groups()
        return {"operator": operator, "threshold": float(number) / (100 if percent else 1)}

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
        return f"{self.operator} {self.threshold:g}"


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
    does not. A window with too few rows, or without the number, changes nothing (state is kept).
    ``group_by`` names segment dimensions; each value gets its own alert instance. Empty: the whole application.

    A rule on drift says instead of ``when`` how many false alarms it may give: ``metric: drift.input`` with
    ``false_alarms: "1 per 30d"`` is short for ``metric: drift.input.recurrence`` with ``when: "> 30"`` and
    ``resolve_when: "< 3"``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    metric: str
    when: Condition = Field(description="Not beside `false_alarms`.")
    false_alarms: str | None = Field(
        default=None, description="Drift only, instead of `when`: how often it may fire without drift, `1 per 30d`."
    )
    hold: Duration = Field(default=timedelta(0), alias="for", ge=timedelta(0))
    resolve_when: Condition | None = None
    min_events: int = Field(default=20, ge=1)
    group_by: tuple[str, ...] = Field(default=(), max_length=1)
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

    @model_validator(mode="after")
    def _recovery_does_not_contradict(self) -> Rule:
        if self.resolve_when is None:
            return self
        rising = self.when.operator in (">", ">=")
        if rising == (self.resolve_when.operator in (">", ">=")):
            raise ValueError(f"resolve_when '{self.resolve_when}' must point the other way than when '{self.when}'")
        if self.when.holds(self.resolve_when.threshold) and self.resolve_when.holds(self.when.threshold):
            raise ValueError(f"resolve_when '{self.resolve_when}' and when '{self.when}' can hold at once")
        return self


BLIND = "blind"
"""The metric of an application that says how much of what its scores covered they do not cover any more."""
BLIND_RULE = Rule(
    name="inferwatch-blind",
    metric=BLIND,
    when=Condition(operator=">", threshold=0.5),
    resolve_when=Condition(operator="<", threshold=0.25),
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
