"""The SQL behind the JSON API: views only, bounded in time and rows. Every call blocks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import orjson

from inferwatch.streams.ports import Store

RECENT = timedelta(days=7)
"""Series that had no row this long before the newest window are not listed."""
POINTS = 50_000
TEXT = 2000

Row = dict[str, Any]

# Sliding windows overlap. Those that start at a multiple of their length do not, and hold every row once.
_TILES = (
    "toUnixTimestamp64Milli({0}window_start) "
    "% (toUnixTimestamp64Milli({0}window_end) - toUnixTimestamp64Milli({0}window_start)) = 0"
)

# An alert may take two steps at one instant; the later step is the one further along.
_STEP = "(at, indexOf(['inactive', 'pending', 'firing', 'resolved'], to_state))"


def overview(store: Store) -> Row:
    """Return the newest window, the totals, the firing alerts and every series with recent rows."""
    newest = windows(store, 1)
    totals = _rows(store, f"SELECT count() AS windows, sumIf(w.rows, {_TILES.format('')}) AS rows FROM windows AS w")[0]
    progress = _rows(
        store,
        "SELECT count() AS partitions, max(max_timestamp) AS newest_event, max(updated_at) AS updated_at FROM progress",
    )[0]
    found: list[Row] = []
    if newest:
        found = _rows(
            store,
            "SELECT m.application AS application, m.segment_dimension AS dimension, m.segment_value AS value, "
            "sum(m.value) AS rows FROM window_metrics AS m "
            "WHERE m.metric = 'inferences' AND m.window_start >= {since:DateTime64(3, 'UTC')} "
            f"AND {_TILES.format('m.')} "
            "GROUP BY application, dimension, value ORDER BY application, dimension, rows DESC LIMIT 2000",
            {"since": newest[0]["window_end"] - RECENT},
        )
    firing = [one for one in alerts(store, 500) if one["state"] == "firing"]
    return {
        "last_window": newest[0] if newest else None,
        "totals": totals,
        "progress": progress if progress["partitions"] else None,
        "series": found,
        "firing": len(firing),
    }


def windows(store: Store, limit: int) -> list[Row]:
    """Return the newest windows, newest first."""
    return _rows(
        store,
        "SELECT window_start, window_end, rows, revision, closed_at FROM windows "
        "ORDER BY window_start DESC LIMIT {limit:UInt32}",
        {"limit": limit},
    )


def series(store: Store, application: str, dimension: str, value: str, span: timedelta, metrics: Sequence[str]) -> Row:
    """Return metric -> points ``[start, value, low, high, n, total]`` of the last ``span`` of one series."""
    which = (
        "application = {application:String} AND segment_dimension = {dimension:String} "
        "AND segment_value = {value:String}"
    )
    parameters: dict[str, Any] = {"application": application, "dimension": dimension, "value": value}
    newest = _rows(store, f"SELECT max(window_end) AS at, count() AS n FROM window_metrics WHERE {which}", parameters)[
        0
    ]
    if not newest["n"]:
        return {"start": None, "end": None, "metrics": {}}
    parameters |= {"since": newest["at"] - span, "limit": POINTS}
    if metrics:
        which += " AND metric IN {metrics:Array(String)}"
        parameters["metrics"] = list(metrics)
    rows = _rows(
        store,
        "SELECT metric, window_start, m.value AS value, ci_low, ci_high, n, total FROM window_metrics AS m "
        f"WHERE {which} AND window_start >= {{since:DateTime64(3, 'UTC')}} "
        "ORDER BY metric, window_start LIMIT {limit:UInt32}",
        parameters,
    )
    found: dict[str, list[list[Any]]] = {}
    for row in rows:
        point = [row[name] for name in ("window_start", "value", "ci_low", "ci_high", "n", "total")]
        found.setdefault(row["metric"], []).append(point)
    return {"start": parameters["since"], "end": newest["at"], "metrics": found}


def alerts(store: Store, limit: int, alert_id: str = "") -> list[Row]:
    """Return alert episodes, firing first, then newest; each with what people were told of it."""
    episodes = _rows(
        store,
        "SELECT alert_id, any(rule) AS rule, any(metric) AS metric, any(labels) AS labels, "
        f"argMax(severity, {_STEP}) AS severity, argMax(to_state, {_STEP}) AS state, "
        f"argMax(value, {_STEP}) AS value, argMax(threshold, {_STEP}) AS threshold, argMax(n, {_STEP}) AS n, "
        "min(a.since) AS started, maxIf(at, to_state = 'firing') AS fired, countIf(to_state = 'firing') AS times, "
        "max(at) AS changed FROM alerts AS a WHERE {id:String} IN ('', alert_id) GROUP BY alert_id "
        "HAVING state != 'inactive' ORDER BY state = 'firing' DESC, changed DESC LIMIT {limit:UInt32}",
        {"limit": limit, "id": alert_id},
    )
    told = _notes(store, [row["alert_id"] for row in episodes])
    return [_episode(row, told.get(row["alert_id"], {})) for row in episodes]


def alert(store: Store, alert_id: str) -> Row | None:
    """Return one episode with its transitions and deliveries, or None."""
    found = alerts(store, 1, alert_id)
    if not found:
        return None
    transitions = _rows(
        store,
        "SELECT from_state, to_state, at, value, threshold, n, decided_at FROM alerts "
        f"WHERE alert_id = {{id:String}} ORDER BY {_STEP}",
        {"id": alert_id},
    )
    deliveries = _rows(
        store,
        "SELECT id, receiver, attempt, status, error, d.at AS at FROM deliveries AS d "
        "WHERE id IN (SELECT id FROM outbox WHERE mapContains(told, {id:String})) ORDER BY d.at, attempt",
        {"id": alert_id},
    )
    return found[0] | {"transitions": transitions, "deliveries": deliveries}


def dead_letters(store: Store, limit: int) -> Row:
    """Return counts by reason and the newest dead letters, redacted as they are stored."""
    reasons = _rows(
        store,
        "SELECT reason, count() AS count, max(ingested_at) AS last, any(detail) AS example FROM dead_letters "
        "GROUP BY reason ORDER BY count DESC, reason",
    )
    newest = _rows(
        store,
        "SELECT topic, partition, offset, reason, detail, substringUTF8(value, 1, {text:UInt32}) AS value, timestamp, "
        "ingested_at FROM dead_letters ORDER BY ingested_at DESC, topic, partition, offset LIMIT {limit:UInt32}",
        {"limit": limit, "text": TEXT},
    )
    return {"reasons": reasons, "newest": newest}


def _notes(store: Store, ids: Sequence[str]) -> dict[str, Row]:
    """Return alert id -> the last firing notification (the resolving one where there is no other)."""
    rows = _rows(
        store,
        "SELECT alert_id, payload FROM outbox WHERE alert_id IN {ids:Array(String)} ORDER BY at, id",
        {"ids": list(ids)},
    )
    told: dict[str, Row] = {}
    for row in rows:
        try:
            note = orjson.loads(row["payload"])
        except orjson.JSONDecodeError:
            continue
        if isinstance(note, dict) and (note.get("status") == "firing" or row["alert_id"] not in told):
            told[row["alert_id"]] = note
    return told


def _episode(row: Row, note: Row) -> Row:
    resolved = row["changed"] if row["state"] == "resolved" else None
    fired = row["fired"] if row.pop("times") else None
    keep = (
        "title", "summary", "description", "findings", "examples", "picture", "sql", "reference", "ci_low", "ci_high",
        "url",
    )  # fmt: skip
    return (
        row
        | {"labels": dict(row["labels"]), "fired": fired, "resolved": resolved}
        | {key: note[key] for key in keep if key in note}
    )


def _rows(store: Store, sql: str, parameters: Row | None = None) -> list[Row]:
    return list(store.query(sql, parameters).to_pylist())
