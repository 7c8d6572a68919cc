"""One step of one alert instance on one window: Prometheus and Grafana semantics in event time. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import nan
from typing import Any

from inferwatch.schemas.alerts import UNKNOWN, AlertState, State, Transition
from inferwatch.schemas.rules import Rule, Silence
from inferwatch.streams.alerting.reading import Kind, Reading

Move = tuple[State, datetime | None]
"""Where a step leads, and since when the episode lasts that it belongs to."""

OPEN = frozenset({State.FIRING, State.RECOVERING})
AT_REST = frozenset({State.INACTIVE, State.RESOLVED})
_APART = timedelta(seconds=1)
"""How much earlier a silence that fires begins, so that an episode of the window that begins there is not the same."""


def step(
    rule: Rule, state: AlertState, fingerprint: str, labels: Mapping[str, str], reading: Reading
) -> tuple[AlertState, list[Transition]]:
    """Take one alert instance over one window; return its next state and what changed.

    A condition is seen at a window's end, as Prometheus sees it at an evaluation. An instance turns pending at the
    end of the first window where ``rule.when`` holds, and fires at the first later window end that is at least
    ``rule.hold`` (``for``) after that one, if the condition has held in every window known in between. So ``for: 0``
    fires on the first breaching window, a ``for`` of one window's length on the second in a row, and of two on the
    third. ``since`` is the start of the first breaching window: fire when ``window.end - since >= hold + window.size``.

    A firing instance has recovered where ``resolve_when`` holds (without one: where ``when`` does not). It resolves
    there, or with ``keep_firing_for`` at the first window end at least that much later, recovered in every window known
    in between. A window with too few rows changes nothing. One without a number changes nothing until there has been
    none for ``no_data_after``; see ``schemas.rules.Silence``.

    Args:
        rule: what is asked.
        state: the instance's, before this window.
        fingerprint: its identity.
        labels: its labels.
        reading: what the window says.
    """
    found: list[Transition] = []
    for target, since in _moves(rule, state, reading):
        transition = _transition(rule, state, fingerprint, labels, reading, target, since)
        found.append(transition)
        state = after(transition)
    return state, found


def after(transition: Transition) -> AlertState:
    """Return where an instance stands after ``transition``, its last."""
    since = None if transition.to_state in AT_REST else transition.since
    return AlertState(transition.to_state, since, transition.at, transition.from_state, transition.sequence)


def revise(
    rule: Rule,
    now: AlertState,
    recorded: Sequence[Transition],
    wanted: AlertState,
    identity: str,
    labels: Mapping[str, str],
    reading: Reading,
) -> tuple[AlertState, list[Transition]]:
    """Return what leads from where an instance stands to where ``reading`` says it should, as far as that is allowed.

    Args:
        rule: what is asked.
        now: where it stands.
        recorded: what was decided at this window.
        wanted: where it would stand had the window been decided only now.
        identity: its fingerprint.
        labels: its labels.
        reading: what the window says now.
    """
    if now.state in UNKNOWN:
        return step(rule, now, identity, labels, reading)
    target = wanted.state
    if now.state in OPEN:
        if target in UNKNOWN or target is now.state:
            return now, []
        move: Move = (target, now.since) if target in OPEN else (State.RESOLVED, now.since)
    elif now.state is State.PENDING:
        if target not in (State.INACTIVE, State.RESOLVED, State.FIRING):
            return now, []
        move = (State.FIRING if target is State.FIRING else State.INACTIVE, now.since)
    else:
        ended = any(one.to_state is State.RESOLVED and one.from_state in OPEN for one in recorded)
        if target in AT_REST or target in UNKNOWN or ended:
            return now, []
        move = (target, wanted.since)
    transition = _transition(rule, now, identity, labels, reading, *move)
    return after(transition), [transition]


def transition_id(fingerprint: str, at: datetime, to_state: State) -> str:
    """Return the id of a transition: a function of its instance, its window's end and where it leads."""
    return hashlib.sha256(f"{fingerprint}/{at.isoformat()}/{to_state}".encode()).hexdigest()[:24]


def _moves(rule: Rule, state: AlertState, reading: Reading) -> list[Move]:
    if reading.kind is Kind.MISSING:
        return _silent(rule, state, reading)
    moves: list[Move] = []
    current, since = state.state, state.since
    if current in UNKNOWN:
        # Data are back: an alert that fired before is judged as one that fires, any other silence is over.
        if state.before in OPEN:
            current = State.FIRING
            if reading.kind is Kind.KEPT:
                return [(state.before, since)]
        else:
            moves, current, since = [(State.RESOLVED, since)], State.INACTIVE, None
    if reading.kind is Kind.JUDGED:
        target, since = _next(rule, current, since, state.at, reading)
        if target is not (state.state if not moves else State.INACTIVE):
            moves.append((target, since))
    return moves


def _next(rule: Rule, current: State, since: datetime | None, at: datetime | None, reading: Reading) -> Move:
    """Return where a number leads from ``current``, entered ``at``; ``since`` None where no episode lasts."""
    breached = reading.holds(rule.when)
    window = reading.window
    if current in OPEN:
        recovered = reading.holds(rule.resolve_when) if rule.resolve_when else not breached
        if not recovered:
            return State.FIRING, since
        lasted = window.end - at if current is State.RECOVERING and at is not None else window.end - window.end
        return (State.RESOLVED if lasted >= rule.keep_firing_for else State.RECOVERING), since
    if not breached:
        return (State.INACTIVE, since) if current is State.PENDING else (current, None)
    since = since if current is State.PENDING and since is not None else window.start
    held = window.end - since >= rule.hold + window.size
    return (State.FIRING if held else State.PENDING), since


def _silent(rule: Rule, state: AlertState, reading: Reading) -> list[Move]:
    """Return where a window without a number leads."""
    policy, mark = (rule.error, State.ERROR) if reading.fault else (rule.no_data, State.NO_DATA)
    if policy is Silence.KEEP or not reading.silent_for(rule.no_data_after):
        return []
    current, since = state.state, state.since
    if current in AT_REST and reading.seen is None:
        return []  # It never had a number, so that none is missed.
    began = reading.seen or reading.window.start
    if policy is Silence.RESOLVE:
        if current is State.PENDING:
            return [(State.INACTIVE, since)]
        return [(State.RESOLVED, since)] if current not in AT_REST else []
    if policy is Silence.FIRE:
        if current in AT_REST:
            return [(State.FIRING, began - _APART)]
        return [(State.FIRING, since)] if current in (State.PENDING, State.RECOVERING) else []
    if current in UNKNOWN:
        return []
    if current in OPEN:
        return [(mark, since)]
    cancelled: list[Move] = [(State.INACTIVE, since)] if current is State.PENDING else []
    # Segments come and go: one is missed only where it had an alert.
    return cancelled if rule.group_by else [*cancelled, (mark, began)]


def _transition(
    rule: Rule,
    state: AlertState,
    fingerprint: str,
    labels: Mapping[str, str],
    reading: Reading,
    target: State,
    since: datetime | None,
) -> Transition:
    metric, window = reading.metric, reading.window
    since = since or window.start
    detail: dict[str, Any] = {
        "window_start": window.start.isoformat(),
        "total": metric.total if metric is not None else 0,
        **reading.detail,
    }
    if metric is not None and metric.detail.get("weighted"):
        detail["weighted"] = True
    if target in UNKNOWN:
        detail["reason"] = reading.fault or "no data"
    return Transition(
        id=transition_id(fingerprint, window.end, target),
        alert_id=f"{fingerprint}-{since:%Y%m%dT%H%M%SZ}{_of_silence(state, target)}",
        fingerprint=fingerprint,
        rule=rule.name,
        severity=rule.severity,
        labels=dict(labels),
        from_state=state.state,
        to_state=target,
        at=window.end,
        since=since,
        value=metric.value if metric is not None else nan,
        threshold=str(rule.when),
        n=metric.n if metric is not None else 0,
        metric=rule.metric,
        detail=detail,
        sequence=state.sequence + 1,
    )


def _of_silence(state: AlertState, target: State) -> str:
    """Return how the ``alert_id`` of a silence ends that is an episode of its own; nothing for any other episode."""
    if target in UNKNOWN and state.state not in OPEN:
        return f"-{target}"
    own = state.state in UNKNOWN and state.before not in OPEN
    return f"-{state.state}" if own and target is State.RESOLVED else ""
