"""The ``alerts`` table as the alerting's memory: states before a window, decisions recorded at it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
import pyarrow as pa

from inferwatch.schemas.alerts import AlertState, State, Transition
from inferwatch.schemas.rules import Severity
from inferwatch.streams.alerting.evaluation import History
from inferwatch.streams.alerting.state import AT_REST
from inferwatch.streams.ports import Store
from inferwatch.streams.rows import INSTANT, TEXTS

# Rows from before transitions were numbered have 0: of two at one instant the further step stands.
LATEST = "(a.at, a.sequence, indexOf(['inactive', 'pending', 'firing', 'resolved'], a.to_state))"
"""Orders the transitions of one instance; ``a`` is the table."""


def load(store: Store, rules: Sequence[str], end: datetime) -> History:
    """Read the history of ``rules`` (names) around ``end``. Costs one pass over their transitions."""
    parameters = {"rules": list(rules), "end": end, "rest": sorted(AT_REST)}
    states = store.query(
        "SELECT fingerprint, any(a.rule) AS rule, argMax((a.to_state, a.since, a.at, a.from_state, a.sequence), "
        f"{LATEST}) AS last, last.1 AS state, last.2 AS since, last.3 AS at, last.4 AS before, last.5 AS sequence, "
        "if(state IN {rest:Array(String)}, map(), any(a.labels)) AS labels FROM alerts_raw AS a "
        "WHERE a.rule IN {rules:Array(String)} AND a.at < {end:DateTime64(3, 'UTC')} GROUP BY fingerprint",
        parameters,
    )
    before: dict[str, AlertState] = {}
    labels: dict[str, dict[str, Mapping[str, str]]] = defaultdict(dict)
    wanted = ("fingerprint", "rule", "state", "since", "at", "before", "sequence", "labels")
    for identity, rule, name, since, at, previous, sequence, own in zip(
        *(states[column].to_pylist() for column in wanted), strict=True
    ):
        state = State(name)
        before[identity] = AlertState(state, None if state in AT_REST else since, at, State(previous), sequence)
        if state not in AT_REST:
            labels[rule][identity] = dict(own)
    rows = store.query(
        "SELECT id, alert_id, fingerprint, rule, severity, labels, from_state, to_state, a.at AS at, since, metric, "
        "value, threshold, n, detail, sequence FROM alerts AS a WHERE rule IN {rules:Array(String)} "
        f"AND a.at >= {{end:DateTime64(3, 'UTC')}} ORDER BY {LATEST}",
        parameters,
    ).to_pylist()
    recorded: dict[str, list[Transition]] = defaultdict(list)
    for row in rows:
        if row["at"] == end:
            recorded[row["fingerprint"]].append(transition(row))
    for identity, own in recorded.items():
        if own[-1].to_state not in AT_REST:
            labels[own[-1].rule][identity] = own[-1].labels
    later = frozenset(row["fingerprint"] for row in rows if row["at"] > end)
    return History(before, {identity: tuple(own) for identity, own in recorded.items()}, later, labels)


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
            "sequence": pa.array([one.sequence for one in transitions], pa.uint32()),
            "decided_at": pa.array([now] * len(transitions), INSTANT),
        }
    )


def transition(row: Mapping[str, Any]) -> Transition:
    """Return the transition of a row of ``alerts`` that has all its columns but ``decided_at``."""
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
