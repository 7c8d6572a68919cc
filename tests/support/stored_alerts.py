"""An hour of a support assistant in the store, with one alert on it: rows, numbers, transitions, messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.settings import SegmentSettings
from inferwatch.schemas.windows import Window
from inferwatch.streams.aggregate import aggregate

T0 = datetime(2026, 1, 31, 8, tzinfo=UTC)
STEP = timedelta(minutes=5)
EARLY, BAD, LATE = 6, 3, 3
"""Windows before the alert, of the alert, and after it."""
ROWS = 40
EVIL = "<img src=x onerror=alert(1)>"
INSULT = "You fool."
THRESHOLDS = {"toxicity.output": 0.9}
ALERT = "aaaa000011112222-20260131T080000Z"
LABELS = {"application": "support"}
MS = pa.timestamp("ms", "UTC")
_TYPES: Mapping[str, Any] = {
    "labels": pa.map_(pa.string(), pa.string()),
    "told": pa.map_(pa.string(), pa.string()),
    "scores": pa.map_(pa.string(), pa.float32()),
    "abstained": pa.map_(pa.string(), pa.string()),
    "contexts": pa.list_(pa.string()),
    "rows": pa.uint64(),
    "n": pa.uint64(),
    "total": pa.uint64(),
    "offset": pa.uint64(),
    "revision": pa.uint32(),
    "partition": pa.uint32(),
    "attempt": pa.uint32(),
}


def insert(store: ClickHouseStore, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    columns = {}
    for name, first in rows[0].items():
        kind = MS if isinstance(first, datetime) else _TYPES.get(name)
        columns[name] = pa.array([row[name] for row in rows], kind)
    store.insert(table, pa.table(columns), token=f"test/{table}/{rows[0]}")


def traffic(store: ClickHouseStore, *, tenants: bool = True) -> None:
    """Half the rows are of model m-1 and half of m-2, of which every second one insults while the alert lasts."""
    rows = []
    for place in range(-EARLY, BAD + LATE):
        for n in range(ROWS):
            insults = 0 <= place < BAD and n % 4 == 1
            text = f"{EVIL} {INSULT} No {n}." if insults else f"Of course, call {place}/{n}."
            found = {"name": "toxicity.output", "field": "output", "text": INSULT, "score": 0.97, "reason": "insult"}
            found |= {"start": len(EVIL) + 1, "end": len(EVIL) + 1 + len(INSULT)}
            at = T0 + place * STEP + timedelta(seconds=5 * n)
            rows.append(
                {
                    "topic": "t",
                    "partition": 0,
                    "offset": (place + EARLY) * ROWS + n,
                    "id": f"call-{place}-{n}",
                    "timestamp": at,
                    "application": "support",
                    "model": f"m-{n % 2 + 1}",
                    "tenant": f"tenant-{n // 10}" if tenants else "",
                    "input": f"Where is my order {n}?",
                    "output": text,
                    "contexts": ["Orders take three days."],
                    "scores": [("toxicity.output", 0.97 if insults else 0.01)],
                    "evidence": json.dumps([found]) if insults else "[]",
                    "ingested_at": at,
                }
            )
    insert(store, "inferences_raw", rows)


def numbers(store: ClickHouseStore) -> None:
    """Close every window, as the service computes its numbers."""
    metrics, windows = [], []
    for place in range(-EARLY, BAD + LATE):
        window = Window(T0 + place * STEP, T0 + (place + 1) * STEP)
        span = {"window_start": window.start, "window_end": window.end, "revision": 0}
        windows.append(span | {"rows": ROWS, "closed_at": window.end})
        metrics += [
            span
            | {
                "application": one.series.application,
                "segment_dimension": one.series.dimension,
                "segment_value": one.series.value,
                "metric": one.metric,
                "value": one.value,
                "n": one.n,
                "total": one.total,
                "ci_low": one.ci_low,
                "ci_high": one.ci_high,
                "detail": orjson.dumps(one.detail).decode(),
                "published_at": window.end,
            }
            for one in aggregate(store, window, SegmentSettings(dimensions=("model",)), THRESHOLDS)
        ]
    insert(store, "window_metrics_raw", metrics)
    insert(store, "windows_raw", windows)


def transition(to: str, place: int, *, alert: str = ALERT, frm: str = "inactive", **other: Any) -> dict[str, Any]:
    """Return the transition at the end of window ``place``."""
    at = T0 + (place + 1) * STEP
    return {
        "id": f"{alert}-{to}-{place}",
        "alert_id": alert,
        "fingerprint": alert.partition("-")[0],
        "rule": "toxic-answers",
        "severity": "critical",
        "labels": list(LABELS.items()),
        "from_state": frm,
        "to_state": to,
        "at": at,
        "since": T0,
        "metric": "toxicity.output.rate",
        "value": 0.25,
        "threshold": "> 0.05",
        "n": ROWS,
        "detail": json.dumps({"window_start": (at - STEP).isoformat(), "total": ROWS}),
        "decided_at": at + timedelta(seconds=30),
    } | other


def message(
    identity: str, receiver: str, note: Mapping[str, Any], *, alert: str = ALERT, place: int = 0
) -> dict[str, Any]:
    at = T0 + (place + 1) * STEP
    return {
        "id": identity,
        "receiver": receiver,
        "alert_id": alert,
        "told": [(one["alert_id"], one["status"]) for one in note.get("alerts", [note | {"alert_id": alert}])],
        "payload": json.dumps(note),
        "at": at,
        "created_at": at + timedelta(seconds=31),
    }


def delivery(identity: str, receiver: str, attempt: int, status: str, error: str = "") -> dict[str, Any]:
    at = T0 + STEP + timedelta(seconds=32 + 2 * attempt)
    return {
        "id": identity,
        "receiver": receiver,
        "attempt": attempt,
        "status": status,
        "error": error,
        "next_attempt_at": at + timedelta(seconds=2),
        "at": at,
    }
