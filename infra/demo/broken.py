"""Records no service should trip over: each ends among the dead letters with its reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from inferwatch.infra.demo.corpus import APPLICATION, Inference

REASONS = (
    "invalid_json",
    "not_utf8",
    "not_an_object",
    "missing_field",
    "wrong_type",
    "not_finite",
    "empty_text",
    "timestamp_too_old",
    "timestamp_in_future",
    "unknown_schema_version",
    "tombstone",
    "duplicate_id",
)


def damage(reason: str, good: Inference) -> bytes | None:
    """Return the bytes of a record that must be refused for ``reason``; ``good`` is what it would have been."""
    record: dict[str, Any] = {
        "schema_version": 1,
        "id": f"bad-{reason}-{good.record['id']}",
        "timestamp": good.at.isoformat(),
        "application": APPLICATION,
        "input": "Is the hotline open today?",
    }
    match reason:
        case "tombstone":
            return None
        case "invalid_json":
            return json.dumps(record).encode()[:-9]
        case "not_utf8":
            return json.dumps(record).encode().replace(b"hotline", b"h\xff\xfetline")
        case "not_an_object":
            return json.dumps([record]).encode()
        case "missing_field":
            del record["application"]
        case "wrong_type":
            record["latency_ms"] = "fast"
        case "not_finite":
            record["cost_usd"] = float("nan")
        case "empty_text":
            record["input"] = "  "
        case "timestamp_too_old":
            record["timestamp"] = round(good.at.timestamp())
        case "timestamp_in_future":
            record["timestamp"] = datetime(2100, 1, 1, tzinfo=UTC).isoformat()
        case "unknown_schema_version":
            record["schema_version"] = 9
        case "duplicate_id":
            record["id"] = good.record["id"]
            record["timestamp"] = (good.at + timedelta(milliseconds=1)).isoformat()
        case _:
            raise ValueError(f"reason must be one of {REASONS}, got {reason!r}")
    return json.dumps(record).encode()


def sprinkle(day: list[Inference], seed: int) -> dict[int, str]:
    """Choose where bad records stand: place in ``day`` after which one follows -> its reason. Two of each kind."""
    rng = Random(f"broken/{seed}")  # noqa: S311 - the same seed must give the same day
    wanted = [*REASONS, *REASONS]
    rng.shuffle(wanted)
    places = sorted(rng.sample(range(len(day) // 20, len(day)), len(wanted)))
    return dict(zip(places, wanted, strict=True))
