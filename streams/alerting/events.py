"""Alerts on single rows: pages at once, at most once in a while. Which rows there are is in ``severe_rows_raw``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf, nan

import pyarrow as pa

from inferwatch.schemas.alerts import AlertState, State, Transition, fingerprint
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.event_rules import EVENT, EventRule
from inferwatch.schemas.windows import EPOCH
from inferwatch.streams.alerting import history
from inferwatch.streams.alerting.state import after, transition_id
from inferwatch.streams.ports import Store
from inferwatch.streams.rows import INSTANT
from inferwatch.streams.telemetry import SILENT, TRANSITIONS, Recorder

AT_ONCE = 10_000
"""Most rows taken in at one look; the rest at the next."""
OVERLAP = timedelta(days=7)
"""How long ago a row may have been noted, and how wrong the clock of whoever noted it."""
LOOK_AGAIN = 30.0
"""Seconds after which the open alerts are read again, in case another process has opened one."""
INSTANTLY = timedelta(milliseconds=1)
FOREVER = EPOCH + timedelta(days=40_000)


@dataclass(frozen=True, slots=True)
class SevereRow:
    """One row that a rule asks for: its place and its score."""

    application: str
    timestamp: datetime
    id: str
    score: float


def judge(
    rule: EventRule,
    state: AlertState,
    application: str,
    fresh: Sequence[SevereRow],
    last: datetime | None,
    mark: datetime | None,
) -> Transition | None:
    """Return what changes for one application: an alert that fires, one that resolves, or nothing. Pure.

    Args:
        rule: what is asked.
        state: of the application's alert.
        application: its name.
        fresh: rows that no alert has taken in yet, oldest first.
        last: when the latest row happened that the open alert has taken in.
        mark: event time up to which all rows are stored; None while that is unknown.
    """
    if fresh and state.state is not State.FIRING:
        began = fresh[0].timestamp
        worst = max(fresh, key=lambda one: one.score)
        return _transition(rule, state, application, State.FIRING, max(began, state.at or EPOCH), worst, len(fresh))
    if state.state is State.FIRING and not fresh and mark is not None:
        over = max(last or EPOCH, state.at or EPOCH) + rule.resolve_after
        return _transition(rule, state, application, State.RESOLVED, over) if mark >= over else None
    return None


def _transition(
    rule: EventRule,
    state: AlertState,
    application: str,
    target: State,
    at: datetime,
    row: SevereRow | None = None,
    count: int = 0,
) -> Transition:
    labels = {"application": application}
    identity = fingerprint(rule.name, labels)
    at = max(at + INSTANTLY, state.at or EPOCH)
    since = at - INSTANTLY if target is State.FIRING else state.since or at
    return Transition(
        id=transition_id(identity, at, target),
        alert_id=f"{identity}-{since:%Y%m%dT%H%M%SZ}",
        fingerprint=identity,
        rule=rule.name,
        severity=rule.severity,
        labels=labels,
        from_state=state.state,
        to_state=target,
        at=at,
        since=since,
        value=row.score if row is not None else nan,
        threshold=str(rule.when),
        n=count,
        metric=f"{rule.event}{EVENT}",
        detail={
            "window_start": (row.timestamp if row is not None else at - INSTANTLY).isoformat(),
            "total": count,
            **({"row": row.id} if row is not None else {}),
        },
        sequence=state.sequence + 1,
    )


class EventWatch:
    """Takes severe rows into alerts. Its memory is the store: any process may go on where another stopped.

    A row is marked with the alert that took it in after that alert is stored. A crash between the two leaves an alert
    that is open, and rows that it takes in at the next look without another page.

    Args:
        store: where severe rows and alerts are.
        rules: what is asked.
        clock: for the time of decisions.
        recorder: is told transitions.
    """

    def __init__(self, store: Store, rules: Sequence[EventRule], clock: Clock, recorder: Recorder = SILENT) -> None:
        self._store, self._clock, self._recorder = store, clock, recorder
        self.use(rules)

    def use(self, rules: Sequence[EventRule]) -> None:
        """Go by ``rules`` from the next look on."""
        self._rules = {rule.name: rule for rule in rules}
        self._open = True
        self._looked_at = -inf

    def look(self, mark: datetime | None) -> list[Transition]:
        """Take in what has come, and resolve what has been over for long enough by event time ``mark``.

        Raises:
            StoreUnavailable: call again; nothing is lost.
        """
        rules, names = self._rules, list(self._rules)
        if not rules:
            return []
        fresh = self._fresh(names)
        now = self._clock.monotonic()
        if not fresh and not self._open and now - self._looked_at < LOOK_AGAIN:
            return []
        known = history.load(self._store, names, FOREVER)
        states = {
            (name, labels["application"]): identity
            for name, own in known.labels.items()
            for identity, labels in own.items()
        }
        last = self._last(names) if states else {}
        changed: list[Transition] = []
        taken: list[tuple[str, SevereRow, str]] = []
        for name, application in sorted(fresh.keys() | states):
            state = known.before.get(fingerprint(name, {"application": application}), AlertState())
            rows = fresh.get((name, application), [])
            found = judge(rules[name], state, application, rows, last.get((name, application)), mark)
            if found is not None:
                changed.append(found)
                state = after(found)
            if rows and state.since is not None:
                alert = f"{fingerprint(name, {'application': application})}-{state.since:%Y%m%dT%H%M%SZ}"
                taken += [(name, row, alert) for row in rows]
        self._write(changed, taken)
        resolved = {(one.rule, one.labels["application"]) for one in changed if one.to_state is State.RESOLVED}
        self._open = bool((states | fresh.keys()) - resolved)
        self._looked_at = now
        return changed

    def _fresh(self, rules: Sequence[str]) -> dict[tuple[str, str], list[SevereRow]]:
        """Return (rule, application) -> rows that no alert has taken in, oldest first."""
        rows = self._store.query(
            "SELECT rule, application, timestamp, id, max(s.score) AS worst FROM severe_rows_raw AS s "
            "WHERE rule IN {rules:Array(String)} AND s.noted_at >= {since:DateTime64(3, 'UTC')} "
            "GROUP BY rule, application, timestamp, id HAVING max(s.alert_id) = '' "
            "ORDER BY timestamp, id LIMIT {most:UInt32}",
            {"rules": rules, "since": self._clock.now() - OVERLAP, "most": AT_ONCE},
        )
        found: dict[tuple[str, str], list[SevereRow]] = {}
        for row in rows.to_pylist():
            one = SevereRow(row["application"], row["timestamp"], row["id"], row["worst"])
            found.setdefault((row["rule"], row["application"]), []).append(one)
        return found

    def _last(self, rules: Sequence[str]) -> Mapping[tuple[str, str], datetime]:
        """Return (rule, application) -> when the latest row happened that an alert has taken in."""
        rows = self._store.query(
            "SELECT rule, application, max(s.timestamp) AS last FROM severe_rows_raw AS s "
            "WHERE rule IN {rules:Array(String)} AND s.alert_id != '' GROUP BY rule, application",
            {"rules": rules},
        )
        return {(row["rule"], row["application"]): row["last"] for row in rows.to_pylist()}

    def _write(self, changed: Sequence[Transition], taken: Sequence[tuple[str, SevereRow, str]]) -> None:
        now = self._clock.now()
        if changed:
            token = "/".join(sorted(one.id for one in changed))
            self._store.insert("alerts_raw", history.table(changed, now), token=f"alerts/events/{token}")
            for one in changed:
                self._recorder.add(TRANSITIONS, 1, one.rule, one.to_state)
        if taken:
            rows = pa.table(
                {
                    "rule": pa.array([name for name, _, _ in taken], pa.string()),
                    "application": pa.array([row.application for _, row, _ in taken], pa.string()),
                    "timestamp": pa.array([row.timestamp for _, row, _ in taken], INSTANT),
                    "id": pa.array([row.id for _, row, _ in taken], pa.string()),
                    "score": pa.array([row.score for _, row, _ in taken], pa.float64()),
                    "alert_id": pa.array([alert for _, _, alert in taken], pa.string()),
                    "noted_at": pa.array([now] * len(taken), INSTANT),
                }
            )
            self._store.insert("severe_rows_raw", rows, token=f"severe/{taken[0][2]}/{len(taken)}/{now.isoformat()}")
