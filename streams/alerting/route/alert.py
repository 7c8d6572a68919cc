"""An alert as routing sees it: who it is, where it stands, and what its labels say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from inferwatch.schemas.alerts import State
from inferwatch.schemas.rules import Severity

WORST_FIRST = tuple(Severity)
NOBODY = ""
"""The receiver of an alert that there is nobody to tell of: it is not told to receivers that come later either."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One episode of one alert instance.

    ``state`` is what is told of it: firing (also while it recovers), no_data, error or resolved. ``known_at`` is when
    it was decided that it is active, by the wall clock; ``since`` and ``at`` are event times. ``receivers`` are its
    rule's. ``badness`` orders alerts of one severity; ``about`` is the receiver that it is about, which is not told.
    """

    alert_id: str
    rule: str
    severity: Severity
    labels: Mapping[str, str]
    state: State
    since: datetime
    at: datetime
    known_at: datetime
    receivers: tuple[str, ...]
    acknowledged: bool = False
    badness: float = 0.0
    about: str = ""

    @property
    def active(self) -> bool:
        return self.state is not State.RESOLVED


def matching_labels(
    rule: str, severity: Severity, metric: str, state: State, labels: Mapping[str, str]
) -> dict[str, str]:
    """Return the labels that matchers see: the instance's own, and ``alertname``, ``severity``, ``metric``, ``state``.

    ``labels`` are those of its transitions: ``application`` and the value of ``group_by``'s dimension.
    """
    own = {"alertname": rule, "severity": severity.value, "metric": metric, "state": state.value}
    return {**labels, **own}


def worst_first(alert: Alert) -> tuple[bool, int, float, str]:
    """Sort key: active before resolved, then by severity, then the worst number."""
    return not alert.active, WORST_FIRST.index(alert.severity), -alert.badness, alert.alert_id
