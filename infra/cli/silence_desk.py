"""Where the silences are: in the store that this command opens, or at the service that holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from inferwatch.infra.cli.desk import ask_json, open_or_none

if TYPE_CHECKING:
    from inferwatch.schemas.clock import Clock
    from inferwatch.schemas.settings import Settings
    from inferwatch.streams.alerting.route.silence import Silence
    from inferwatch.streams.alerting.silences import Silences

Found = dict[str, Any]
"""A silence as the API says it."""


class Desk(Protocol):
    """Silences, here or at the service."""

    def add(self, **wanted: Any) -> Found: ...

    def list(self, expired: bool) -> list[Found]: ...

    def expire(self, silence_id: str) -> Found: ...


@contextmanager
def desk(settings: Settings) -> Iterator[Desk]:
    """Open the store, or, where the running service holds the embedded one, speak to that."""
    from inferwatch.schemas.clock import SystemClock
    from inferwatch.streams.alerting.silences import Silences

    clock = SystemClock()
    with open_or_none(settings) as store:
        yield _Service(settings) if store is None else _Here(Silences(store, clock), clock)


class _Here:
    """The store is ours to open."""

    def __init__(self, silences: Silences, clock: Clock) -> None:
        from inferwatch.streams.alerting.silences import as_json

        self._silences = silences
        self._said: Callable[[Silence], Found] = lambda silence: as_json(silence, clock.now())

    def add(self, **wanted: Any) -> Found:
        return self._said(self._silences.add(**wanted))

    def list(self, expired: bool) -> list[Found]:
        return [self._said(one) for one in self._silences.list(expired=expired)]

    def expire(self, silence_id: str) -> Found:
        return self._said(self._silences.expire(silence_id))


class _Service:
    """Another process holds the embedded store: it is the service, or nobody can answer."""

    def __init__(self, settings: Settings) -> None:
        self._web = settings.web

    def add(self, **wanted: Any) -> Found:
        body = {name: one.isoformat() if isinstance(one, datetime) else one for name, one in wanted.items()}
        found: Found = ask_json(self._web, "POST", "/api/v1/silences", body)
        return found

    def list(self, expired: bool) -> list[Found]:
        found: list[Found] = ask_json(self._web, "GET", f"/api/v1/silences?expired={expired:d}")
        return found

    def expire(self, silence_id: str) -> Found:
        found: Found = ask_json(self._web, "DELETE", f"/api/v1/silences/{quote(silence_id, safe='')}")
        return found
