"""Notifications on their way: what is written, what is due, what became of each. Nothing is sent here."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import nan
from typing import Any

import orjson
import pyarrow as pa

from inferwatch.schemas.alerts import AlertLine, Notification, State
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.rules import Severity
from inferwatch.schemas.windows import EPOCH
from inferwatch.streams.alerting.route.plan import Flush
from inferwatch.streams.ports import Store
from inferwatch.streams.rows import INSTANT, TEXTS

FIRST_DELAY, LONGEST_DELAY = timedelta(seconds=2), timedelta(minutes=15)
LONGEST_WAIT = timedelta(hours=1)
"""A receiver's Retry-After is obeyed up to this."""
LEASE = timedelta(seconds=30)
"""An attempt without a result is tried again after this: longer than any notifier takes."""
GIVE_UP = timedelta(hours=24)
OVERLAP = timedelta(days=7)
"""How far the outbox and its deliveries are searched beyond the oldest open message: how wrong a clock may be."""
OPEN_ROWS = 5000
"""Most open notifications listed of one receiver."""


class Status(StrEnum):
    """What became of an attempt; the last three are final. Superseded: not sent, for another's message counts."""

    ATTEMPTING = "attempting"
    RETRYING = "retrying"
    FAILED = "failed"
    SENT = "sent"
    SUPERSEDED = "superseded"


FINAL = "('failed', 'sent', 'superseded')"


@dataclass(frozen=True, slots=True)
class Parcel:
    """One notification for one receiver that is not settled yet.

    ``group`` is what keeps its order, ``previous`` the message of the group that it was written after, ``reason`` why.
    ``attempts`` is how many were begun, ``wait`` how long after the last one the next may be made, ``due_at`` when that
    is by the clock of whoever made the last one, ``leased`` whether it has no result.
    """

    id: str
    receiver: str
    group: str
    created_at: datetime
    attempts: int = 0
    wait: timedelta = timedelta(0)
    due_at: datetime = EPOCH
    leased: bool = False
    previous: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of ``deliveries_raw``. ``owner`` is the process that made the attempt."""

    id: str
    receiver: str
    attempt: int
    status: Status
    error: str
    next_attempt_at: datetime
    at: datetime
    owner: str


def delay(parcel: str, attempt: int, retry_after: float | None = None) -> timedelta:
    """Return how long to wait after failed attempt number ``attempt`` (from 1).

    Doubles from 2 s to 15 min; a share of up to a half is taken off, by a hash, so that many do not come back at
    once. Never less than the receiver asked for, up to an hour.
    """
    longest = min(LONGEST_DELAY, FIRST_DELAY * (1 << min(attempt - 1, 20)))
    share = int.from_bytes(hashlib.sha256(f"{parcel}/{attempt}".encode()).digest()[:4], "big") / 2**32
    waited = longest * (1 - share / 2)
    return waited if retry_after is None else max(waited, min(timedelta(seconds=min(retry_after, 1e6)), LONGEST_WAIT))


class Waits:
    """From when on each message may be tried, by this process's monotonic timer.

    Workers' wall clocks differ and step, so of what another one wrote only lengths of time are believed. The lease of
    an attempt without a result runs from when this process first saw it, which is never earlier than it was taken. A
    refused message waits no longer than it was told to; the time that has passed since counts where the wall clocks
    agree on it, for trying too early is only impolite.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[tuple[str, str, int, bool], float] = {}

    def look(self, parcels: Iterable[Parcel]) -> None:
        """Take note of what is open, and forget the rest."""
        wall, now = self._clock.now(), self._clock.monotonic()
        self._until = {
            key: self._until[key] if key in self._until else now + _rest(parcel, wall).total_seconds()
            for parcel in parcels
            for key in [_key(parcel)]
        }

    def over(self, parcel: Parcel) -> bool:
        """Return whether ``parcel``, which was looked at, may be tried now."""
        return self._until[_key(parcel)] <= self._clock.monotonic()


def _key(parcel: Parcel) -> tuple[str, str, int, bool]:
    return parcel.id, parcel.receiver, parcel.attempts, parcel.leased


def _rest(parcel: Parcel, wall: datetime) -> timedelta:
    return parcel.wait if parcel.leased else min(parcel.wait, max(parcel.due_at - wall, timedelta(0)))


def rows_written(store: Store) -> int:
    """Return how many rows the outbox has: read from its parts' headers, a sixth of what ``open_parcels`` costs."""
    return int(store.query("SELECT count() AS n FROM outbox_raw").to_pylist()[0]["n"])


def open_parcels(store: Store, since: datetime | None) -> list[Parcel]:
    """Return what was put into the outbox since ``since`` (ever, for None) and is not settled, oldest event first.

    At most 5,000 of each receiver, so that the backlog of a dead one hides nothing of the others; see ``all_listed``.
    """
    recent = lately = ""
    if since is not None:
        # Every pass reads these tables: without a bound it would cost more with every page ever sent.
        recent = "AND o.created_at >= {since:DateTime64(3, 'UTC')}"
        lately = "WHERE deliveries_raw.at >= {lately:DateTime64(3, 'UTC')}"
    rows = store.query(
        "SELECT o.id AS id, o.receiver AS receiver, any(o.group_key) AS name, min(o.at) AS event, "
        "any(o.previous) AS before, any(o.reason) AS why, min(o.created_at) AS created, any(d.attempts) AS attempts, "
        "any(d.due) AS due, any(d.begun) AS begun, any(d.state) AS state FROM outbox_raw AS o LEFT JOIN ("
        f"SELECT id, receiver, max(attempt) AS attempts, countIf(status IN {FINAL}) AS settled, "
        "argMax((next_attempt_at, deliveries_raw.at, status), (attempt, status != 'attempting')) AS last, "
        "last.1 AS due, last.2 AS begun, last.3 AS state FROM deliveries_raw "
        f"{lately} GROUP BY id, receiver) AS d ON o.id = d.id AND o.receiver = d.receiver "
        f"WHERE o.receiver != '' {recent} GROUP BY id, receiver HAVING any(d.settled) = 0 "
        f"ORDER BY event, created, id, receiver LIMIT {OPEN_ROWS} BY receiver",
        {"since": since, "lately": since - OVERLAP} if since is not None else None,
    ).to_pylist()
    return [_parcel(row) for row in rows]


def _parcel(row: Mapping[str, Any]) -> Parcel:
    key = row["id"], row["receiver"], row["name"], row["created"]
    place = {"previous": row["before"], "reason": row["why"]}
    if not row["attempts"]:
        return Parcel(*key, **place)
    # Both were read from one clock at one moment: their difference is right even if the clock was not.
    wait = row["due"] - row["begun"]
    return Parcel(*key, int(row["attempts"]), wait, row["due"], row["state"] == Status.ATTEMPTING, **place)


def all_listed(parcels: Sequence[Parcel]) -> bool:
    """Return whether ``open_parcels`` left nothing out."""
    return max(Counter(parcel.receiver for parcel in parcels).values(), default=0) < OPEN_ROWS


def next_due(parcels: Sequence[Parcel], over: Callable[[Parcel], bool], most: int) -> list[Parcel]:
    """Return up to ``most`` parcels of one receiver that may be tried, in their order: those whose wait is ``over``.

    Parcels of one group keep their order, so that a resolve never overtakes its trigger: one that waits holds up the
    later ones. Other groups do not wait for it, and those tried least often come first, so that one message that a
    receiver chokes on holds up nothing else.
    """
    found: list[tuple[int, Parcel]] = []
    heads: dict[str, Parcel] = {}
    held_up: set[str] = set()
    for parcel in parcels:
        head = heads.setdefault(parcel.group, parcel)
        if not over(parcel):
            held_up.add(parcel.group)
        if parcel.group not in held_up:
            found.append((head.attempts, parcel))
    found.sort(key=lambda one: one[0])
    return [parcel for _, parcel in found[:most]]


def taken(store: Store, begun: Delivery) -> bool:
    """Return whether another process has begun the attempt ``begun``, or a later one, or settled the message.

    Asked after ``begun`` is written: of two that begin the same attempt at least one sees the other, so they may both
    leave it until the lease is over, and never both send.
    """
    rows = store.query(
        "SELECT 1 FROM deliveries_raw WHERE id = {id:String} AND receiver = {receiver:String} "
        f"AND owner != {{owner:String}} AND (attempt >= {{attempt:UInt32}} OR status IN {FINAL}) LIMIT 1",
        {"id": begun.id, "receiver": begun.receiver, "owner": begun.owner, "attempt": begun.attempt},
    )
    return rows.num_rows > 0


def payloads(store: Store, parcels: Sequence[Parcel]) -> dict[tuple[str, str], Notification]:
    """Return (id, receiver) -> the notification to send."""
    rows = store.query(
        "SELECT id, receiver, payload FROM outbox WHERE id IN {ids:Array(String)}",
        {"ids": sorted({parcel.id for parcel in parcels})},
    )
    return {(row["id"], row["receiver"]): decode(row["payload"]) for row in rows.to_pylist()}


def rival(store: Store, parcel: Parcel) -> Status | None:
    """Return what ``parcel`` is to do about a message that another process wrote after the same one; None: send it.

    Two dispatchers at once may see different news and write a message each. Asked like ``taken``, after the attempt is
    written: who sees that the other's was tried steps back for good, and what only it had told is news again; of two
    that are being tried both wait until the lease is over, and then the one with the smaller id goes on.
    """
    if not parcel.reason:
        return None
    rows = store.query(
        "SELECT id, countIf(status IN ('sent', 'failed')) AS settled, countIf(status = 'retrying') AS refused, "
        "countIf(status = 'superseded') AS withdrawn FROM deliveries_raw WHERE receiver = {receiver:String} AND ("
        "id = {previous:String} OR id IN (SELECT id FROM outbox_raw WHERE receiver = {receiver:String} "
        "AND group_key = {group:String} AND previous = {previous:String} AND reason != '' AND id != {id:String})) "
        "GROUP BY id",
        {"id": parcel.id, "receiver": parcel.receiver, "group": parcel.group, "previous": parcel.previous},
    ).to_pylist()
    others = [row for row in rows if row["id"] != parcel.previous and not row["withdrawn"]]
    if any(row["id"] == parcel.previous and row["withdrawn"] for row in rows) or any(row["settled"] for row in others):
        return Status.SUPERSEDED
    ahead = [row for row in others if not (parcel.attempts and parcel.id < row["id"])]
    if not ahead:
        return None
    return Status.SUPERSEDED if any(row["refused"] for row in ahead) else Status.ATTEMPTING


def outbox_table(messages: Sequence[tuple[Flush, Notification | None]], now: datetime) -> pa.Table:
    """Return the rows of ``outbox_raw``; one without a notification is nobody's."""
    flushes = [flush for flush, _ in messages]
    told = [[(one, state.value) for one, state in sorted(flush.told.items())] for flush in flushes]
    return pa.table(
        {
            "id": pa.array([flush.id for flush in flushes], pa.string()),
            "receiver": pa.array([flush.key.receiver for flush in flushes], pa.string()),
            "alert_id": pa.array([flush.alerts[0].alert_id for flush in flushes], pa.string()),
            "payload": pa.array(["" if note is None else encode(note) for _, note in messages], pa.string()),
            "at": pa.array([flush.at for flush in flushes], INSTANT),
            "created_at": pa.array([now] * len(flushes), INSTANT),
            "group_key": pa.array([flush.key.name for flush in flushes], pa.string()),
            "previous": pa.array([flush.previous for flush in flushes], pa.string()),
            "reason": pa.array([flush.reason.value for flush in flushes], pa.string()),
            "told": pa.array(told, TEXTS),
            "dedup_key": pa.array([flush.dedup_key for flush in flushes], pa.string()),
        }
    )


def delivery_table(deliveries: Sequence[Delivery]) -> pa.Table:
    """Return the rows of ``deliveries_raw``."""
    return pa.table(
        {
            "id": pa.array([one.id for one in deliveries], pa.string()),
            "receiver": pa.array([one.receiver for one in deliveries], pa.string()),
            "attempt": pa.array([one.attempt for one in deliveries], pa.uint32()),
            "status": pa.array([one.status.value for one in deliveries], pa.string()),
            "error": pa.array([one.error for one in deliveries], pa.string()),
            "next_attempt_at": pa.array([one.next_attempt_at for one in deliveries], INSTANT),
            "at": pa.array([one.at for one in deliveries], INSTANT),
            "owner": pa.array([one.owner for one in deliveries], pa.string()),
        }
    )


def encode(note: Notification) -> str:
    """Return ``note`` as JSON; NaN becomes null."""
    return orjson.dumps(note).decode()


def decode(payload: str) -> Notification:
    """Return the notification that ``encode`` wrote."""
    found: dict[str, Any] = orjson.loads(payload)
    return Notification(
        **{
            **_decoded(found, ("value", "ci_low", "ci_high")),
            "examples": tuple(found["examples"]),
            "findings": tuple(found.get("findings", ())),
            "alerts": tuple(AlertLine(**_decoded(line, ("value",))) for line in found.get("alerts", ())),
        }
    )


def _decoded(found: Mapping[str, Any], numbers: Sequence[str]) -> dict[str, Any]:
    return {
        **found,
        **{name: nan if found[name] is None else found[name] for name in numbers},
        "status": State(found["status"]),
        "severity": Severity(found["severity"]),
        "since": datetime.fromisoformat(found["since"]),
        "at": datetime.fromisoformat(found["at"]),
    }
