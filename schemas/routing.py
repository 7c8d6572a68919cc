"""Who is told of which alert, when, and together with which others: Alertmanager's terms, beside our own receivers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inferwatch.schemas.matchers import Matcher, MatcherText
from inferwatch.schemas.rules import Duration, Rule, Severity
from inferwatch.schemas.time_intervals import NamedIntervals

Label = Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_.-]*|\.\.\.)$")]
ALL_LABELS = "..."
"""In ``group_by``: every label, so that each alert is a group of its own."""


class Routed(BaseModel):
    """What every route says of the alerts that stay with it."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    receivers: tuple[str, ...] = ()
    group_by: tuple[Label, ...] | None = Field(
        default=None, description="Alerts equal in these labels are one message. `[...]`: each alert is its own."
    )
    group_wait: Duration | None = Field(
        default=None, ge=timedelta(0), description="How long the first message of a group waits for more alerts."
    )
    group_interval: Duration | None = Field(
        default=None, ge=timedelta(0), description="How long after a message of a group news of it are held back."
    )
    repeat_interval: Duration | None = Field(
        default=None, ge=timedelta(minutes=1), description="Firing alerts are told again after this."
    )
    mute_time_intervals: tuple[str, ...] = Field(
        default=(), description="Names of `time_intervals` in which nothing is sent; news wait until they are over."
    )
    active_time_intervals: tuple[str, ...] = Field(
        default=(), description="Names of `time_intervals` outside of which nothing is sent."
    )
    routes: tuple[Route, ...] = ()

    def tree(self) -> Iterator[Routed]:
        """Yield this route and all below it."""
        yield self
        for route in self.routes:
            yield from route.tree()


class Route(Routed):
    """Alerts that satisfy all `matchers` go to `receivers`; what is not given is as in the route above.

    `routes` are looked at first, from the top: the first that matches takes the alert, and the later ones get it too
    only where that one says `continue`. An alert that none of them takes stays with this route. Mute and active times
    are a route's own.
    """

    matchers: tuple[MatcherText, ...] = Field(
        default=(),
        description="Such as `severity=critical` or `application!~test-.*`. Labels: `alertname` (the rule), "
        "`severity`, `metric`, `state`, `application`, and the dimension of the rule's `group_by`.",
    )
    continue_: bool = Field(default=False, alias="continue", description="Look at the routes below this one, too.")


class InhibitRule(BaseModel):
    """While an alert matches `source_matchers`, those that match `target_matchers` are not told of.

    Only where both have the same values of the labels in `equal`. An alert does not inhibit itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_matchers: tuple[MatcherText, ...] = Field(min_length=1)
    target_matchers: tuple[MatcherText, ...] = Field(min_length=1)
    equal: tuple[str, ...] = ()

    @property
    def source(self) -> tuple[Matcher, ...]:
        return tuple(Matcher.parse(one) for one in self.source_matchers)

    @property
    def target(self) -> tuple[Matcher, ...]:
        return tuple(Matcher.parse(one) for one in self.target_matchers)


class RoutingSettings(Routed):
    """The route that takes every alert, and what concerns all of them.

    Without it, each alert goes to its rule's receivers at once, one message for each rule and application. A route
    without `receivers`, from here down, means those of the rule.
    """

    group_by: tuple[Label, ...] | None = Field(
        default=("alertname", "application"), description=Routed.model_fields["group_by"].description
    )
    group_wait: Duration | None = Field(
        default=timedelta(0), ge=timedelta(0), description=Routed.model_fields["group_wait"].description
    )
    group_interval: Duration | None = Field(
        default=timedelta(0), ge=timedelta(0), description=Routed.model_fields["group_interval"].description
    )
    repeat_interval: Duration | None = Field(
        default=None,
        ge=timedelta(minutes=1),
        description="Firing alerts are told again after this; null: once is enough.",
    )
    inhibit_rules: tuple[InhibitRule, ...] = ()
    time_intervals: tuple[NamedIntervals, ...] = ()

    @model_validator(mode="after")
    def _names_are_known(self) -> RoutingSettings:
        names = [one.name for one in self.time_intervals]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"time_intervals must have unique names, got {twice} twice")
        for route in self.tree():
            for wanted in (*route.mute_time_intervals, *route.active_time_intervals):
                if wanted not in names:
                    raise ValueError(f"a route names the time interval {wanted!r}; known: {names or 'none'}")
        return self


RECEIVER_DOWN = "receiver.failures"
"""The metric of a receiver that says how many deliveries it has refused or not answered in a row."""
RECEIVER_DOWN_RULE = Rule.model_validate(
    {
        "name": "inferwatch-receiver-down",
        "metric": RECEIVER_DOWN,
        "when": "> 0",
        "severity": Severity.ERROR,
        "title": "A receiver does not take notifications",
        "description": (
            "Alerts meant for it do not arrive there. What it refused for good is lost; the rest is tried again for 24 "
            "hours. Check its address, key and network (inferwatch doctor). This resolves when it takes a message."
        ),
    }
)
"""Exists without being written down; the other receivers are told."""
