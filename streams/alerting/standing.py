"""The alerts that stand now, and what has been told of them, read from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inferwatch.schemas.alerts import ACTIVE, State, Transition
from inferwatch.streams.alerting.history import LATEST, transition
from inferwatch.streams.alerting.route.alert import NOBODY
from inferwatch.streams.alerting.route.log import GroupKey, Log, Told
from inferwatch.streams.ports import Store

_ACTIVE = f"({', '.join(sorted(repr(one.value) for one in ACTIVE))})"
_KEPT = (
    "id", "fingerprint", "rule", "severity", "from_state", "to_state", "at", "since", "value", "threshold", "n",
    "metric", "detail", "sequence",
)  # fmt: skip
_WITHDRAWN = "(SELECT id FROM deliveries_raw WHERE status = 'superseded')"
_LAST = (
    f"id NOT IN (SELECT previous FROM outbox_raw WHERE previous != '' AND id NOT IN {_WITHDRAWN}) "
    f"AND id NOT IN {_WITHDRAWN}"
)
"""Which rows of the outbox no later one has been written after."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The last transition of an episode, and when, by the wall clock, it was decided that it is active."""

    transition: Transition
    known_at: datetime


def rows_written(store: Store) -> tuple[int, ...]:
    """Return how many rows alerts, outbox and deliveries have; read from their parts' headers."""
    tables = ("alerts_raw", "outbox_raw", "deliveries_raw")
    counts = ", ".join(f"(SELECT count() FROM {table}) AS {table}" for table in tables)
    [row] = store.query(f"SELECT {counts}").to_pylist()
    return tuple(int(row[table]) for table in tables)


def read_alerts(store: Store, rules: Sequence[str]) -> list[Standing]:
    """Return the episodes of ``rules`` (names) that are active, and the others that somebody believes to be."""
    rows = store.query(
        f"SELECT alert_id, minIf(a.decided_at, a.to_state IN {_ACTIVE}) AS known, "
        f"argMax(({', '.join(f'a.{name}' for name in _KEPT)}), {LATEST}) AS last, any(a.labels) AS labels "
        "FROM alerts_raw AS a WHERE alert_id IN ("
        "SELECT alert_id FROM alerts_raw AS a WHERE rule IN {rules:Array(String)} GROUP BY alert_id "
        f"HAVING argMax(a.to_state, {LATEST}) IN {_ACTIVE} OR alert_id IN (SELECT arrayJoin(mapKeys("
        f"mapFilter((one, state) -> state != 'resolved', told))) FROM outbox_raw WHERE {_LAST})) "
        "GROUP BY alert_id",
        {"rules": list(rules)},
    ).to_pylist()
    return [Standing(_transition(row), row["known"]) for row in rows]


def read_log(store: Store) -> Log:
    """Return every group's last message."""
    rows = store.query(
        "SELECT id, receiver, any(group_key) AS name, any(o.told) AS told, any(o.dedup_key) AS dedup, "
        f"min(o.at) AS event, min(o.created_at) AS written FROM outbox_raw AS o WHERE {_LAST} "
        "GROUP BY id, receiver ORDER BY event, written"
    ).to_pylist()
    found: dict[GroupKey, list[Told]] = {}
    for row in rows:
        alerts = {alert: State(state) for alert, state in row["told"]}
        told = Told(row["id"], alerts, row["written"], row["event"], row["dedup"])
        found.setdefault(GroupKey(row["name"], row["receiver"]), []).append(told)
    several = [one.id for own in found.values() if len(own) > 1 for one in own]
    settled = _settled(store, several) if several else frozenset()
    return Log({key: _last(key, own, settled) for key, own in found.items()})


def read_acknowledged(store: Store) -> frozenset[str]:
    """Return the ids of the alerts that somebody has acknowledged."""
    rows = store.query("SELECT DISTINCT alert_id FROM alert_notes WHERE kind = 'acknowledgement'")
    return frozenset(row["alert_id"] for row in rows.to_pylist())


def _last(key: GroupKey, own: Sequence[Told], settled: frozenset[tuple[str, str]]) -> Told:
    last = own[-1]
    # Of nobody's messages none is ever settled, and none is sent.
    unsettled = any((one.id, key.receiver) not in settled for one in own)
    forked = len(own) > 1 and key.receiver != NOBODY and unsettled
    return Told(last.id, last.alerts, last.written_at, last.at, last.dedup_key, forked)


def _settled(store: Store, ids: Sequence[str]) -> frozenset[tuple[str, str]]:
    rows = store.query(
        "SELECT DISTINCT id, receiver FROM deliveries_raw WHERE id IN {ids:Array(String)} "
        "AND status IN ('sent', 'failed')",
        {"ids": list(ids)},
    )
    return frozenset((row["id"], row["receiver"]) for row in rows.to_pylist())


def _transition(row: Mapping[str, Any]) -> Transition:
    last = row["last"]
    kept = dict(zip(_KEPT, last.values() if isinstance(last, Mapping) else last, strict=True))
    return transition(kept | {"alert_id": row["alert_id"], "labels": row["labels"]})
