"""A receiver that takes nothing any more is an alert, told through the others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from inferwatch.schemas.alerts import State, Transition, fingerprint
from inferwatch.schemas.routing import RECEIVER_DOWN, RECEIVER_DOWN_RULE
from inferwatch.streams.alerting import history
from inferwatch.streams.alerting.state import transition_id
from inferwatch.streams.ports import Store

IN_A_ROW = 5
"""So many deliveries refused or unanswered, about a minute's worth, say that a receiver is down; one refused for good
says so at once, because that alert is lost."""
RECENT = timedelta(days=7)
"""How far back deliveries are read: how wrong a clock may be, and longer than anything is tried."""


def changes_of_receivers(
    store: Store, receivers: Sequence[str], standing: Sequence[Transition], now: datetime
) -> list[Transition]:
    """Store what has become of ``receivers`` since, and return it: each change is one transition in ``alerts``.

    A receiver is up again when it has taken a message, or is not configured any more.

    Args:
        store: with its deliveries.
        receivers: the names of those there are.
        standing: the last transitions of the alerts that stand.
        now: by the wall clock, which is an alert's event time here.

    Raises:
        StoreUnavailable: try again.
    """
    refused = _down(store, now) if receivers else []
    down = {row["receiver"]: row for row in refused if row["receiver"] in receivers}
    known = {
        one.labels["receiver"]: one
        for one in standing
        if one.rule == RECEIVER_DOWN_RULE.name and one.to_state is State.FIRING
    }
    fired = [_fired(name, down[name], now) for name in sorted(down.keys() - known.keys())]
    resolved = [_resolved(known[name], now) for name in sorted(known.keys() - down.keys())]
    changes = fired + resolved
    if changes:
        ids = "/".join(one.id for one in changes)
        store.insert("alerts_raw", history.table(changes, now), token=f"receivers/{ids}"[:200])
    return changes


def _down(store: Store, now: datetime) -> list[dict[str, Any]]:
    rows = store.query(
        "SELECT d.receiver AS receiver, countIf(d.status = 'failed') AS failed, count() AS refused, "
        "min(d.at) AS since, argMax(d.error, d.at) AS error FROM deliveries_raw AS d LEFT JOIN ("
        "SELECT receiver, max(deliveries_raw.at) AS taken FROM deliveries_raw WHERE status = 'sent' "
        "AND deliveries_raw.at >= {since:DateTime64(3, 'UTC')} GROUP BY receiver) AS s ON d.receiver = s.receiver "
        "WHERE d.status IN ('failed', 'retrying') AND d.at >= {since:DateTime64(3, 'UTC')} AND d.at > s.taken "
        "GROUP BY receiver HAVING failed > 0 OR refused >= {most:UInt32}",
        {"since": now - RECENT, "most": IN_A_ROW},
    )
    return list(rows.to_pylist())


def _fired(receiver: str, row: dict[str, Any], now: datetime) -> Transition:
    labels = {"application": "inferwatch", "receiver": receiver}
    identity = fingerprint(RECEIVER_DOWN_RULE.name, labels)
    since: datetime = row["since"]
    return Transition(
        id=transition_id(identity, since, State.FIRING),
        alert_id=f"{identity}-{since:%Y%m%dT%H%M%SZ}",
        fingerprint=identity,
        rule=RECEIVER_DOWN_RULE.name,
        severity=RECEIVER_DOWN_RULE.severity,
        labels=labels,
        from_state=State.INACTIVE,
        to_state=State.FIRING,
        at=now,
        since=since,
        value=float(row["refused"]),
        threshold=str(RECEIVER_DOWN_RULE.when),
        n=int(row["refused"]),
        metric=RECEIVER_DOWN,
        detail={"error": row["error"]},
    )


def _resolved(fired: Transition, now: datetime) -> Transition:
    return Transition(
        id=transition_id(fired.fingerprint, fired.since, State.RESOLVED),
        alert_id=fired.alert_id,
        fingerprint=fired.fingerprint,
        rule=fired.rule,
        severity=fired.severity,
        labels=fired.labels,
        from_state=State.FIRING,
        to_state=State.RESOLVED,
        at=max(now, fired.at + timedelta(milliseconds=1)),
        since=fired.since,
        value=0.0,
        threshold=fired.threshold,
        n=0,
        metric=RECEIVER_DOWN,
    )
