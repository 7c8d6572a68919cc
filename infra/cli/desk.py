"""The store for a command: opened here, or asked through the service that holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from inferwatch.schemas.errors import Misconfigured, NotFound, Permanent, Retryable

if TYPE_CHECKING:
    import urllib3

    from inferwatch.infra.clickhouse.store import ClickHouseStore
    from inferwatch.schemas.settings import Settings, WebSettings

SECONDS = 120


@contextmanager
def open_or_none(settings: Settings) -> Iterator[ClickHouseStore | None]:
    """Yield the migrated store, or None where another process holds the embedded one.

    Raises:
        Misconfigured: a server cannot be reached.
    """
    from inferwatch.infra.clickhouse.migrate import migrate
    from inferwatch.infra.clickhouse.store import open_store

    try:
        migrate(settings.store)
        store = open_store(settings.store)
    except Misconfigured:
        if not settings.store.embedded:
            raise
        yield None
        return
    with store:
        yield store


def select(settings: Settings, query: str, fmt: str) -> bytes:
    """Run one SELECT, read only, and return its result in a ClickHouse format.

    Raises:
        Misconfigured, Permanent, Retryable: as the store or the service says.
    """
    from inferwatch.infra.clickhouse.reader import Reader

    reader = Reader(settings.store, settings.web)
    try:
        return reader.run(query, default_format=fmt).body
    except Misconfigured:
        if not settings.store.embedded:
            raise
        return _ask_service(settings, query, fmt)
    finally:
        reader.close()


def _ask_service(settings: Settings, query: str, fmt: str) -> bytes:
    """Another process holds the folder: it is the service, or nobody can answer."""
    from inferwatch.infra.web.client import ask

    seconds = settings.web.sql_max_seconds + 30
    headers = {"X-ClickHouse-Format": fmt}
    response = ask(settings.web, "POST", "", seconds=seconds, body=query.encode(), headers=headers)
    if response.status != 200:
        raise Permanent(response.data.decode(errors="replace").strip())
    return response.data


def ask_json(web: WebSettings, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Send one request to the service and return its JSON.

    Raises:
        Misconfigured, NotFound, Permanent, Retryable: as the service says, or no service answers.
    """
    answer = _ask(web, method, path, body)
    found = _json(web, answer)
    if answer.status < 300:
        return found
    raise _error(answer, found)


def ask_bytes(web: WebSettings, path: str) -> bytes:
    """Get one file from the service.

    Raises:
        Misconfigured, NotFound, Permanent, Retryable: as the service says, or no service answers.
    """
    answer = _ask(web, "GET", path)
    if answer.status < 300:
        return answer.data
    raise _error(answer, _json(web, answer))


def _ask(web: WebSettings, method: str, path: str, body: dict[str, Any] | None = None) -> urllib3.BaseHTTPResponse:
    from inferwatch.infra.web.client import ask

    return ask(web, method, path, seconds=SECONDS, json=body, headers={"Content-Type": "application/json"})


def _json(web: WebSettings, answer: urllib3.BaseHTTPResponse) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise Misconfigured(
            f"what answers at {web.url} is not this service; correct web.host, web.port or web.public_url"
        ) from error


def _error(answer: urllib3.BaseHTTPResponse, found: Any) -> Misconfigured | Permanent | Retryable:
    text = found.get("error", answer.reason) if isinstance(found, dict) else answer.reason
    if answer.status in (400, 401, 403):
        return Misconfigured(text)
    if answer.status == 404:
        return NotFound(text)
    return Retryable(text) if answer.status == 503 else Permanent(text)
