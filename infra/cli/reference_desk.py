"""Where the references are: in the store that this command opens, or at the service that holds it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from inferwatch.infra.cli.desk import ask_json, open_or_none

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings
    from inferwatch.streams.references import References
    from inferwatch.streams.references.sampling import Rows

Found = dict[str, Any]
"""A version as the service says it: the fields of ``ReferenceInfo``."""


class Desk(Protocol):
    """References, here or at the service."""

    def build(self, **wanted: Any) -> Found: ...

    def take(self, rows: Rows, **wanted: Any) -> Found: ...

    def list(self) -> list[Found]: ...

    def show(self, application: str, field: str, name: str, version: int) -> Found: ...

    def promote(self, application: str, field: str, name: str, version: int, since: datetime | None) -> str: ...

    def retire(self, application: str, field: str, since: datetime | None) -> str: ...


@contextmanager
def desk(settings: Settings) -> Iterator[Desk]:
    """Open the store, or, where the running service holds the embedded one, speak to that."""
    from inferwatch.schemas.clock import SystemClock
    from inferwatch.streams.references import References

    with open_or_none(settings) as store:
        yield _Service(settings) if store is None else _Here(References(store, SystemClock(), settings))


class _Here:
    """The store is ours to open."""

    def __init__(self, references: References) -> None:
        self._references = references

    def build(self, **wanted: Any) -> Found:
        return asdict(self._references.build(**wanted))

    def take(self, rows: Rows, **wanted: Any) -> Found:
        return asdict(self._references.build_of(rows, **wanted))

    def list(self) -> list[Found]:
        return [asdict(one) for one in self._references.list()]

    def show(self, application: str, field: str, name: str, version: int) -> Found:
        return self._references.described(application, field, name, version)

    def promote(self, application: str, field: str, name: str, version: int, since: datetime | None) -> str:
        return str(self._references.promote(application, field, name, version, since).isoformat())

    def retire(self, application: str, field: str, since: datetime | None) -> str:
        return str(self._references.retire(application, field, since).isoformat())


class _Service:
    """Another process holds the embedded store: it is the service, or nobody can answer."""

    def __init__(self, settings: Settings) -> None:
        self._web = settings.web

    def build(self, **wanted: Any) -> Found:
        body = wanted | {"start": wanted["start"].isoformat(), "end": wanted["end"].isoformat()}
        found: Found = ask_json(self._web, "POST", "/api/v1/references", body)
        return found

    def take(self, rows: Rows, **wanted: Any) -> Found:
        body = {name: value for name, value in wanted.items() if name != "revision"}
        body |= {
            "encoder_revision": wanted["revision"],
            "ids": rows.ids,
            "timestamps": [at.isoformat() for at in rows.timestamps],
            "vectors": base64.b64encode(rows.vectors.astype("<f4").tobytes()).decode(),
        }
        found: Found = ask_json(self._web, "POST", "/api/v1/references/import", body)
        return found

    def list(self) -> list[Found]:
        found: list[Found] = ask_json(self._web, "GET", "/api/v1/references")
        return found

    def show(self, application: str, field: str, name: str, version: int) -> Found:
        query = urlencode({"application": application, "field": field, "name": name, "version": version})
        found: Found = ask_json(self._web, "GET", f"/api/v1/references/verdict?{query}")
        return found

    def promote(self, application: str, field: str, name: str, version: int, since: datetime | None) -> str:
        body = {"application": application, "field": field, "name": name, "version": version}
        return str(ask_json(self._web, "POST", "/api/v1/references/promote", body | _since(since))["effective_from"])

    def retire(self, application: str, field: str, since: datetime | None) -> str:
        body = {"application": application, "field": field}
        return str(ask_json(self._web, "POST", "/api/v1/references/retire", body | _since(since))["effective_from"])


def _since(since: datetime | None) -> dict[str, str]:
    return {} if since is None else {"effective_from": since.isoformat()}
