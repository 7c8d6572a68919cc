"""What became of the messages about an alert, one by one and receiver by receiver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from inferwatch.streams.ports import Store

WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one receiver.

    ``says`` is the state it tells of, ``status`` that of its last attempt (``sent``, ``retrying``, ``failed``,
    ``attempting``; ``waiting`` before the first). ``error`` is the last there was, ``at`` when the status was reached,
    ``again_at`` when it is tried again.
    """

    id: str
    receiver: str
    says: str
    created_at: datetime
    status: str
    attempts: int
    error: str
    at: datetime
    again_at: datetime | None


def read(store: Store, alert_id: str) -> tuple[list[Message], dict[str, Any]]:
    """Return the messages that name the alert, oldest first, and what they told of it.

    What was told is the last firing notification of the alert alone; where there is none, its line in a message about
    several, or the resolving one.
    """
    outbox = store.query(
        "SELECT id, receiver, payload, o.at AS event, created_at FROM outbox AS o "
        "WHERE mapContains(told, {id:String}) ORDER BY o.at, created_at, id, receiver",
        {"id": alert_id},
    ).to_pylist()
    if not outbox:
        return [], {}
    attempts = store.query(
        "SELECT id, receiver, attempt, status, error, next_attempt_at, d.at AS at FROM deliveries AS d "
        "WHERE id IN {ids:Array(String)} ORDER BY attempt, status != 'attempting', d.at",
        {"ids": sorted({row["id"] for row in outbox})},
    ).to_pylist()
    by_message: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in attempts:
        by_message.setdefault((row["id"], row["receiver"]), []).append(row)
    payloads = [_payload(row["payload"]) for row in outbox]
    messages = [
        _message(row, said, by_message.get((row["id"], row["receiver"]), ()), alert_id)
        for row, said in zip(outbox, payloads, strict=True)
    ]
    return messages, _told(payloads, alert_id)


def _message(
    row: Mapping[str, Any], said: Mapping[str, Any], attempts: Sequence[Mapping[str, Any]], alert_id: str
) -> Message:
    last = attempts[-1] if attempts else None
    status = str(last["status"]) if last else WAITING
    line = said if said.get("alert_id") == alert_id else _line(said, alert_id)
    return Message(
        id=row["id"],
        receiver=row["receiver"],
        says=str(line.get("status") or said.get("status") or ""),
        created_at=row["created_at"],
        status=status,
        attempts=max((int(one["attempt"]) for one in attempts), default=0),
        error=next((str(one["error"]) for one in reversed(attempts) if one["error"]), ""),
        at=last["at"] if last else row["created_at"],
        again_at=last["next_attempt_at"] if last and status == "retrying" else None,
    )


def _told(payloads: Sequence[Mapping[str, Any]], alert_id: str) -> dict[str, Any]:
    own = [said for said in payloads if said.get("alert_id") in (alert_id, None)]
    lines = [line for said in payloads if (line := _line(said, alert_id))]
    firing = [said for said in own if said.get("status") == "firing"]
    return dict((firing or lines or own or [{}])[-1])


def _line(said: Mapping[str, Any], alert_id: str) -> Mapping[str, Any]:
    lines = said.get("alerts")
    named = (line for line in lines if isinstance(line, dict)) if isinstance(lines, list) else ()
    return next((line for line in named if line.get("alert_id") == alert_id), {})


def _payload(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
