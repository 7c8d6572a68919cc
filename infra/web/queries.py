"""The SQL behind the JSON API: views only, bounded in time and rows. Every call blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import orjson

from inferwatch.streams.alerting.history import LATEST
from inferwatch.streams.incidents.episode import OPEN
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts to list; an empty text wants all. ``state`` may be ``active``: those that are not over."""

    state: str = ""
    severity: str = ""
    application: str = ""
    rule: str = ""
    limit: int = 50


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
    firing = alerts(store, Wanted(state="firing", limit=500))
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


def alerts(store: Store, wanted: Wanted) -> list[Row]:
    """Return alert episodes, active first, then newest; each with what people were told of it.

    An alert that was over before anybody was told is listed only where its state, ``inactive``, is asked for.
    """
    episodes = _rows(
        store,
        f"SELECT * FROM ({_EPISODES}) WHERE if({{state:String}} = 'inactive', state = 'inactive', state != 'inactive') "
        "AND ({state:String} IN ('', state) OR ({state:String} = 'active' AND active)) "
        "AND {severity:String} IN ('', severity) AND {application:String} IN ('', labels['application']) "
        "AND {rule:String} IN ('', rule) ORDER BY active DESC, changed DESC, alert_id LIMIT {limit:UInt32}",
        asdict(wanted),
    )
    told = _notes(store, [row["alert_id"] for row in episodes])
    return [_episode(row, told.get(row["alert_id"], {})) for row in episodes]


def alert_facets(store: Store) -> dict[str, dict[str, int]]:
    """Return filter -> value -> how many alerts there are with it, the most frequent first."""
    found: dict[str, dict[str, int]] = {}
    for name, value in (
        ("state", "state"), ("severity", "severity"), ("application", "labels['application']"), ("rule", "rule"),
    ):  # fmt: skip
        shown = "" if name == "state" else "WHERE state != 'inactive'"
        rows = _rows(
            store,
            f"SELECT {value} AS name, count() AS n FROM ({_EPISODES}) {shown} GROUP BY name "
            "ORDER BY n DESC, name LIMIT 30",
        )
        found[name] = {row["name"]: row["n"] for row in rows}
    return found


_EPISODES = (
    "SELECT alert_id, any(a.rule) AS rule, any(a.metric) AS metric, any(a.labels) AS labels, "
    f"argMax(a.severity, {LATEST}) AS severity, argMax(a.to_state, {LATEST}) AS state, "
    f"argMinIf(a.value, {LATEST}, to_state IN {OPEN}) AS opened, "
    f"argMax(a.value, {LATEST}) AS value, argMax(a.threshold, {LATEST}) AS threshold, argMax(a.n, {LATEST}) AS n, "
    "min(a.since) AS started, maxIf(a.at, to_state = 'firing') AS fired, countIf(to_state = 'firing') AS times, "
    f"max(a.at) AS changed, state IN {OPEN} AS active FROM alerts AS a GROUP BY alert_id"
)


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
    row["active"] = bool(row["active"])
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
