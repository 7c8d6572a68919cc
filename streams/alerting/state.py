"""One step of one alert instance on one window: Prometheus semantics in event time. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from inferwatch.schemas.alerts import AlertState, State, Transition
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Rule

COUNT = "inferences"
"""The count of rows is known however few they are, so ``min_events`` does not apply to it."""


def step(
    rule: Rule, state: AlertState, fingerprint: str, labels: Mapping[str, str], metric: WindowMetric
) -> tuple[AlertState, list[Transition]]:
    """Take one alert instance over one window; return its next state and at most one transition.

    A condition is seen at a window's end, as Prometheus sees it at an evaluation. An instance turns pending at the
    end of the first window where ``rule.when`` holds, and fires at the first later window end that is at least
    ``rule.hold`` (``for``) after that one, if the condition has held in every window known in between. So ``for: 0``
    fires on the first breaching window, a ``for`` of one window's length on the second in a row, and of two on the
    third. ``since`` is the start of the first breaching window: fire when ``window.end - since >= hold + window.size``.

    A firing instance resolves where ``resolve_when`` holds (without one: where ``when`` does not). A number that is
    unknown (NaN, or from fewer than ``min_events`` rows) changes nothing. A window that ends at or before
    ``state.last`` has been seen: it changes nothing either, so no order or repetition pages twice.
    """
    window = metric.window
    if state.last is not None and window.end <= state.last:
        return state, []
    unknown = not metric.known or (metric.n < rule.min_events and metric.metric != COUNT)
    if unknown:
        return AlertState(state.state, state.since, state.fired_at, window.end), []

    target, since = _next(rule, state, metric)
    fired_at = window.end if target is State.FIRING and state.state is not State.FIRING else state.fired_at
    following = AlertState(target, since, fired_at, window.end)
    if target is state.state or since is None:
        return following, []
    detail: dict[str, Any] = {"window_start": window.start.isoformat(), "total": metric.total}
    if metric.detail.get("weighted"):
        detail["weighted"] = True
    transition = Transition(
        id=transition_id(fingerprint, window.end, target),
        alert_id=f"{fingerprint}-{since:%Y%m%dT%H%M%SZ}",
        fingerprint=fingerprint,
        rule=rule.name,
        severity=rule.severity,
        labels=dict(labels),
        from_state=state.state,
        to_state=target,
        at=window.end,
        since=since,
        value=metric.value,
        threshold=str(rule.when),
        n=metric.n,
        metric=metric.metric,
        detail=detail,
    )
    if target in (State.INACTIVE, State.RESOLVED):
        following = AlertState(target, None, None, window.end)
    return following, [transition]


def transition_id(fingerprint: str, at: datetime, to_state: State) -> str:
    """Return the id of a transition: a function of its instance, its window's end and where it leads."""
    return hashlib.sha256(f"{fingerprint}/{at.isoformat()}/{to_state}".encode()).hexdigest()[:24]


def _next(rule: Rule, state: AlertState, metric: WindowMetric) -> tuple[State, datetime | None]:
    """Return where a known number leads, and since when the episode lasts (None where there is none)."""
    breached = rule.when.holds(metric.value)
    window = metric.window
    if state.state is State.FIRING:
        recovered = rule.resolve_when.holds(metric.value) if rule.resolve_when else not breached
        return (State.RESOLVED if recovered else State.FIRING), state.since
    if not breached:
        pending = state.state is State.PENDING
        return (State.INACTIVE if pending else state.state), (state.since if pending else None)
    since = state.since if state.state is State.PENDING and state.since is not None else window.start
    held = window.end - since >= rule.hold + window.size
    return (State.FIRING if held else State.PENDING), since
