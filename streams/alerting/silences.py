"""Silences in the store: added, listed, ended early, never deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import pyarrow as pa

from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import Misconfigured, NotFound
from inferwatch.schemas.matchers import Matcher, all_hold
from inferwatch.streams.alerting.route.silence import Silence
from inferwatch.streams.ports import Store
from inferwatch.streams.rows import INSTANT

LONGEST_TEXT = 2000
"""Most characters of an author's name or a comment."""


class Silences:
    """The silences of one store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def add(
        self, matchers: Sequence[str], ends_at: datetime, author: str, comment: str, starts_at: datetime | None = None
    ) -> Silence:
        """Store a new silence from ``starts_at`` (now, for None) until ``ends_at``; return it.

        Raises:
            Misconfigured: no matcher, one that is none, only such as every alert satisfies, or no time to be silent in.
            StoreUnavailable: try again.
        """
        now = self._clock.now()
        found = Silence(
            id=uuid4().hex[:16],
            matchers=_matchers(matchers),
            starts_at=starts_at or now,
            ends_at=ends_at,
            author=_text("author", author),
            comment=_text("comment", comment),
            created_at=now,
        )
        if found.ends_at <= found.starts_at or found.ends_at <= now:
            raise Misconfigured(
                f"ends_at must be after now and after starts_at ({found.starts_at.isoformat(timespec='seconds')}), "
                f"got {ends_at.isoformat(timespec='seconds')}"
            )
        self._write(found, now)
        return found

    def expire(self, silence_id: str) -> Silence:
        """End a silence now; one that has ended stays as it is.

        Raises:
            NotFound: there is no such silence.
            StoreUnavailable: try again.
        """
        now = self._clock.now()
        found = next(iter(_read(self._store, "WHERE id = {id:String}", {"id": silence_id})), None)
        if found is None:
            raise NotFound(f"there is no silence {silence_id!r}; inferwatch silence list --all shows them")
        if found.state(now) == "expired":
            return found
        ended = Silence(
            found.id, found.matchers, min(found.starts_at, now), now, found.author, found.comment, found.created_at
        )
        self._write(ended, now)
        return ended

    def list(self, *, expired: bool = False) -> list[Silence]:
        """Return those that are active or yet to come, or all of them, the latest end first."""
        now = self._clock.now()
        return [one for one in _read(self._store) if expired or one.state(now) != "expired"]

    def _write(self, silence: Silence, now: datetime) -> None:
        rows = pa.table(
            {
                "id": [silence.id],
                "matchers": pa.array([[str(one) for one in silence.matchers]], pa.list_(pa.string())),
                "starts_at": pa.array([silence.starts_at], INSTANT),
                "ends_at": pa.array([silence.ends_at], INSTANT),
                "author": [silence.author],
                "comment": [silence.comment],
                "created_at": pa.array([silence.created_at], INSTANT),
                "updated_at": pa.array([now], INSTANT),
            }
        )
        self._store.insert("silences_raw", rows, token=f"silences/{silence.id}/{now.isoformat()}")


def standing(store: Store, at: datetime) -> list[Silence]:
    """Return the silences that are active at ``at``, by the wall clock."""
    return _read(
        store,
        "WHERE starts_at <= {at:DateTime64(3, 'UTC')} AND ends_at > {at:DateTime64(3, 'UTC')}",
        {"at": at},
    )


def active(store: Store, labels: Mapping[str, str], at: datetime) -> list[Silence]:
    """Return the silences that cover an alert of these labels at ``at``, by the wall clock.

    ``labels`` are those that matchers see: ``route.alert.matching_labels`` makes them of a transition's.
    """
    return [one for one in standing(store, at) if all_hold(one.matchers, labels)]


def as_json(silence: Silence, now: datetime) -> dict[str, Any]:
    """Return a silence as the API says it; times are aware."""
    return {
        "id": silence.id,
        "state": silence.state(now),
        "matchers": [str(one) for one in silence.matchers],
        "starts_at": silence.starts_at,
        "ends_at": silence.ends_at,
        "author": silence.author,
        "comment": silence.comment,
        "created_at": silence.created_at,
    }


def _read(store: Store, where: str = "", parameters: Mapping[str, Any] | None = None) -> list[Silence]:
    rows = store.query(
        "SELECT id, matchers, starts_at, ends_at, author, comment, created_at FROM silences "
        f"{where} ORDER BY ends_at DESC, id",
        parameters,
    ).to_pylist()
    return [Silence(**row | {"matchers": tuple(Matcher.parse(one) for one in row["matchers"])}) for row in rows]


def _matchers(texts: Sequence[str]) -> tuple[Matcher, ...]:
    try:
        found = tuple(Matcher.parse(text) for text in texts)
    except ValueError as error:
        raise Misconfigured(f"matchers: {error}") from error
    if not found or all(one.holds({}) for one in found):
        raise Misconfigured(
            "matchers must have one that is not satisfied by alerts without its label, such as application=shop: "
            "a silence of everything hides also what nobody expects"
        )
    return found


def _text(name: str, text: str) -> str:
    if not text.strip() or len(text) > LONGEST_TEXT:
        raise Misconfigured(f"{name} must be a text of 1 to {LONGEST_TEXT} characters, got {text[:40]!r}")
    return text.strip()
