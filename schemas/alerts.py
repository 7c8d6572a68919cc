"""Alerts: their states, their transitions, and what is sent about them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from inferwatch.schemas.rules import Severity


class State(StrEnum):
    """Where an alert instance stands; Prometheus words."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


def fingerprint(rule: str, labels: dict[str, str]) -> str:
    """Return the stable identity of one alert instance: 16 hex digits of its rule and labels.

    >>> fingerprint("r", {"a": "1", "b": "2"}) == fingerprint("r", {"b": "2", "a": "1"})
    True
    """
    canonical = "\x1f".join([rule, *(f"{name}\x1e{labels[name]}" for name in sorted(labels))])
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class AlertState:
    """What must be known of one alert instance to take the next step. Times are event times (window ends).

    ``since`` is the start of the first breaching window of this episode, ``fired_at`` the end of the
    window that made it fire, ``last`` the end of the last window evaluated.
    """

    state: State = State.INACTIVE
    since: datetime | None = None
    fired_at: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of one alert instance, as kept in the ``alerts`` table.

    ``id`` is a pure function of (fingerprint, at, to_state): deciding twice is storing once.
    ``alert_id`` names the episode (fingerprint plus ``since``) and is the same from pending to resolved.
    """

    id: str
    alert_id: str
    fingerprint: str
    rule: str
    severity: Severity
    labels: dict[str, str]
    from_state: State
    to_state: State
    at: datetime
    since: datetime
    value: float
    threshold: str
    n: int
    metric: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One alert of a grouped message."""

    alert_id: str
    status: State
    severity: Severity
    title: str
    labels: dict[str, str]
    metric: str
    value: float
    threshold: str
    n: int
    since: datetime
    at: datetime
    url: str
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Notification:
    """What a person is told: one firing or resolved transition, with everything needed to act on it.

    ``examples`` are redacted texts, ``sql`` reproduces the number, ``dedup_key`` is stable over the episode.
    ``findings`` are plain sentences that say what changed, ``picture`` is the address of a picture of it; both are of
    drift only. ``alerts`` are the alerts of a grouped message; empty where it is about one. ``rule`` names the
    rule, where it is known.
    """

    id: str
    alert_id: str
    dedup_key: str
    status: State
    severity: Severity
    title: str
    summary: str
    labels: dict[str, str]
    metric: str
    value: float
    threshold: str
    n: int
    ci_low: float
    ci_high: float
    since: datetime
    at: datetime
    reference: str = ""
    examples: tuple[str, ...] = ()
    sql: str = ""
    url: str = ""
    description: str = ""
    findings: tuple[str, ...] = ()
    picture: str = ""
    alerts: tuple[AlertLine, ...] = ()
    rule: str = ""
