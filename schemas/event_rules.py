"""Rules on single rows: what is so severe that one row is enough, and nobody wants to wait for a window to close."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field, field_validator

from inferwatch.schemas.durations import Duration
from inferwatch.schemas.rules import Bound, Condition, Rule, Severity, Silence

EVENT = ".event"
"""Ends the metric of such a rule: ``<score>.event``, the score of one row."""


class EventRule(BaseModel):
    """Fire as soon as a row is stored whose score ``event`` satisfies ``when``: one alert an application.

    It stays open, and takes in every further such row without another page, until there has been none for
    ``resolve_after`` in event time. So an application pages at most once in that time, however many rows there are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    event: str = Field(description="A score, such as `secret.output`.")
    when: Condition
    resolve_after: Duration = Field(
        default=timedelta(minutes=15), ge=timedelta(seconds=1), description="Also the least time between two pages."
    )
    applications: tuple[str, ...] = ()
    severity: Severity = Severity.CRITICAL
    receivers: tuple[str, ...] = ()
    title: str = ""
    description: str = ""
    runbook_url: str = ""

    @field_validator("when")
    @classmethod
    def _of_a_score(cls, when: Condition) -> Condition:
        if when.of is not Bound.VALUE or not when.rising:
            raise ValueError(f"must be a lower limit of a score such as '>= 0.9', got '{when}'")
        if not when.holds(1.0):
            raise ValueError(f"can never hold: scores are at most 1, got '{when}'")
        return when

    def as_rule(self) -> Rule:
        """Return it as a rule on ``<score>.event``, which no window has: for routing and messages."""
        shared = {"name", "when", "applications", "severity", "receivers", "title", "description", "runbook_url"}
        given = {name: getattr(self, name) for name in shared}
        return Rule(**given, metric=f"{self.event}{EVENT}", min_events=1, no_data=Silence.KEEP, error=Silence.KEEP)
