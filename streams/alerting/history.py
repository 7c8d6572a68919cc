"""The ``alerts`` table as the alerting's memory: states before a window, decisions recorded at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import pyarrow as pa

from inferwatch.schemas.alerts import AlertState, State, Transition
from inferwatch.schemas.rules import Severity
from inferwatch.streams.ports import Store
from inferwatch.streams.rows import INSTANT, TEXTS

# A tie at one instant is possible only where a window was decided twice on different rows; the further step stands.
_LATEST = "(a.at, indexOf(['inactive', 'pending', 'firing', 'resolved'], a.to_state))"


@dataclass(frozen=True, slots=True)
class History:
    """What is stored of the rules' instances, seen from the end of one window. Keys are fingerprints.

    ``before`` is every instance's state by its transitions before that end, ``recorded`` the transitions at it,
    ``later`` the instances that have transitions after it.
    """

    before: Mapping[str, AlertState]
    recorded: Mapping[str, Transition]
    later: frozenset[str]


def load(store: Store, rules: Sequence[str], end: datetime) -> History:
    """Read the history of ``rules`` (names) around ``end``. Costs one pass over their transitions."""
    parameters = {"rules": list(rules), "end": end}
    states = store.query(
        f"SELECT fingerprint, argMax(a.to_state, {_LATEST}) AS state, argMax(a.since, {_LATEST}) AS since, "
        "max(a.at) AS at FROM alerts_raw AS a "
        "WHERE rule IN {rules:Array(String)} AND a.at < {end:DateTime64(3, 'UTC')} GROUP BY fingerprint",
        parameters,
    )
    before = {}
    for identity, name, since, at in zip(
        *(states[column].to_pylist() for column in ("fingerprint", "state", "since", "at")), strict=True
    ):
        state = State(name)
        lasting = state in (State.PENDING, State.FIRING)
        before[identity] = AlertState(state, since if lasting else None, at if state is State.FIRING else None, at)
    rows = store.query(
        "SELECT id, alert_id, fingerprint, rule, severity, labels, from_state, to_state, a.at AS at, since, metric, "
        "value, threshold, n, detail FROM alerts AS a WHERE rule IN {rules:Array(String)} "
        f"AND a.at >= {{end:DateTime64(3, 'UTC')}} ORDER BY {_LATEST}",
        parameters,
    ).to_pylist()
    recorded = {row["fingerprint"]: _transition(row) for row in rows if row["at"] == end}
    return History(before, recorded, frozenset(row["fingerprint"] for row in rows if row["at"] > end))


def table(transitions: Sequence[Transition], now: datetime) -> pa.Table:
    """Return the rows of ``alerts_raw``."""
    texts = ("id", "alert_id", "fingerprint", "rule", "severity", "from_state", "to_state", "metric", "threshold")
    columns: dict[str, pa.Array[Any]] = {
        name: pa.array([str(getattr(one, name)) for one in transitions], pa.string()) for name in texts
    }
    return pa.table(
        columns
        | {
            "labels": pa.array([list(one.labels.items()) for one in transitions], TEXTS),
            "at": pa.array([one.at for one in transitions], INSTANT),
            "since": pa.array([one.since for one in transitions], INSTANT),
            "value": pa.array([one.value for one in transitions], pa.float64()),
            "n": pa.array([one.n for one in transitions], pa.uint64()),
            "detail": pa.array([orjson.dumps(one.detail).decode() for one in transitions], pa.string()),
            "decided_at": pa.array([now] * len(transitions), INSTANT),
        }
    )


def _transition(row: Mapping[str, Any]) -> Transition:
    return Transition(
        **{
            **row,
            "severity": Severity(row["severity"]),
            "labels": dict(row["labels"]),
            "from_state": State(row["from_state"]),
            "to_state": State(row["to_state"]),
            "detail": orjson.loads(row["detail"] or "{}"),
        }
    )
