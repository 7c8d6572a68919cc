"""Alerts: their states, their transitions, and what is sent about them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from inferwatch.schemas.rules import Severity


class State(StrEnum):
    """Where an alert instance stands; Prometheus and Grafana words.

    ``pending``: the condition holds, not yet for ``for``; nobody is told. ``firing``: people are told. ``recovering``:
    the condition is over, not yet for ``keep_firing_for``; still the same active alert, and nobody is told of a change
    between the two. ``resolved``: people who were told are told again.

    ``no_data``: there has been no number for ``no_data_after``. ``error``: nor could it be computed, for a fault of
    ours. Both are active alerts and end in ``resolved``, or in ``firing`` or ``recovering`` where they came from those.
    """

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"
    RESOLVED = "resolved"
    NO_DATA = "no_data"
    ERROR = "error"


ACTIVE = frozenset({State.FIRING, State.RECOVERING, State.NO_DATA, State.ERROR})
"""An alert in one of these is open: people were told that it began, not yet that it is over."""
UNKNOWN = frozenset({State.NO_DATA, State.ERROR})


def fingerprint(rule: str, labels: dict[str, str]) -> str:
    """Return the stable identity of one alert instance: 16 hex digits of its rule and labels.

    >>> fingerprint("r", {"a": "1", "b": "2"}) == fingerprint("r", {"b": "2", "a": "1"})
    True
    """
    canonical = "\x1f".join([rule, *(f"{name}\x1e{labels[name]}" for name in sorted(labels))])
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class AlertState:
    """What must be known of one alert instance to take the next step: a function of its last transition.

    ``since`` is the start of the first breaching window of the episode that lasts (of a silence: the end of the last
    window with data), None where none does. ``at`` is the end of the window that brought it into ``state``, ``before``
    the state it came from, ``sequence`` the number of its last transition. Times are event times.
    """

    state: State = State.INACTIVE
    since: datetime | None = None
    at: datetime | None = None
    before: State = State.INACTIVE
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of one alert instance, as kept in the ``alerts`` table.

    ``at`` is the end of the window that decided it, ``sequence`` its number among the instance's own, from 1: the
    latest by (``at``, ``sequence``) says where the instance stands. One window makes more than one where an episode
    ends and another begins, or where the window was revised. ``id`` is a pure function of (fingerprint, at, to_state):
    deciding twice is storing once.

    ``alert_id`` names the episode and is the same from its first transition to ``resolved``: fingerprint plus
    ``since``. A firing alert that runs out of data keeps its ``alert_id``. A silence where nothing fired is an episode
    of its own, with ``-no_data`` or ``-error`` at the end of its ``alert_id``; where a number comes back that fires,
    that episode resolves and a new one begins at the same window.

    ``value`` is the metric's number, NaN in and out of a silence. ``detail`` has ``window_start`` and ``total``; for a
    rule that compares something else than the number itself, ``judged`` is that (a bound of the interval, a ratio, a
    burn rate) and ``baseline`` or ``burn`` what it comes from; for ``no_data`` and ``error``, ``reason``.
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
    sequence: int = 0

    @property
    def told(self) -> bool:
        """Whether people are told: an alert opens, closes, or an open one runs out of data; once an episode each.

        Not told: pending and cancelled, firing to recovering and back, and back to firing when data return.
        """
        if self.to_state is State.FIRING:
            return self.from_state not in ACTIVE
        if self.to_state is State.RESOLVED:
            return self.from_state in ACTIVE
        return self.to_state in UNKNOWN


@dataclass(frozen=True, slots=True)
class Notification:
    """What a person is told: one firing or resolved transition, with everything needed to act on it.

    ``examples`` are redacted texts, ``sql`` reproduces the number, ``dedup_key`` is stable over the episode.
    ``findings`` are plain sentences that say what changed, ``picture`` is the address of a picture of it; both are of
    drift only.
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
