"""From a DSN to a clickhouse-connect client, embedded or remote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from inferwatch.infra.clickhouse.failures import code_of, failure
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import StoreSettings

ALLOWED = (
    "chdb:///folder (embedded), clickhouse://user:password@host:8123 or clickhouses://user:password@host:8443 (TLS)"
)
CONNECT_SECONDS = 10
CANNOT_START = frozenset({36, 76})
"""What the embedded engine says of a folder it cannot have: BAD_ARGUMENTS (today), CANNOT_OPEN_FILE (before)."""
PORTS = {"clickhouse": 8123, "clickhouses": 8443}


def folder_of(settings: StoreSettings) -> Path:
    """Return the embedded store's folder, absolute; ``chdb://relative`` is relative to the working directory."""
    location = settings.dsn.get_secret_value().removeprefix("chdb:").removeprefix("//")
    path = unquote(location.partition("?")[0])
    if path in ("", "/", "memory", ":memory:"):
        raise Misconfigured(f"store.dsn must name a folder, such as chdb:///var/lib/inferwatch, got {location!r}")
    return Path(path).expanduser().resolve()


def connect(settings: StoreSettings, session: Mapping[str, Any], *, database: bool = True) -> Client:
    """Open one client with its own session.

    Args:
        settings: where.
        session: engine settings of every call.
        database: use ``settings.database`` as the current one, so that tables need no prefix.

    Raises:
        Misconfigured: see ``open_store``.
        StoreUnavailable: a server did not answer.
    """
    options: dict[str, Any] = {
        "settings": dict(session),
        "database": settings.database if database else None,
        # A session would make the server refuse two calls at once.
        "autogenerate_session_id": False,
    }
    if settings.embedded:
        return _embedded(folder_of(settings), options)
    return _remote(settings, options)


def _embedded(folder: Path, options: dict[str, Any]) -> Client:
    del options["autogenerate_session_id"]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(f"store.dsn: cannot create {folder.parent}: {error.strerror}") from error
    try:
        return clickhouse_connect.get_client(interface="chdb", path=str(folder), **options)
    except ClickHouseError as error:
        if code_of(error) in CANNOT_START:
            raise Misconfigured(
                f"store.dsn: the embedded store in {folder} cannot be opened. One process holds a folder at a time, "
                f"and a process one folder. While the service runs, query through its HTTP endpoint (inferwatch sql "
                f"does; curl at web.host and web.port too); otherwise stop the other process, or check the folder's "
                f"permissions."
            ) from error
        raise failure(error, f"open {folder}") from error


def _remote(settings: StoreSettings, options: dict[str, Any]) -> Client:
    try:
        parts = urlsplit(settings.dsn.get_secret_value())
        port = parts.port
    except ValueError:
        # The parser's message quotes the DSN, and with it the password.
        raise Misconfigured(f"store.dsn cannot be read as an address; allowed: {ALLOWED}") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise Misconfigured(f"store.dsn has scheme {parts.scheme!r}; allowed: {ALLOWED}")
    where = f"{parts.hostname}:{port or PORTS[parts.scheme]}"
    try:
        return clickhouse_connect.get_client(
            host=parts.hostname,
            port=port or PORTS[parts.scheme],
            interface="https" if parts.scheme == "clickhouses" else "http",
            username=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            connect_timeout=CONNECT_SECONDS,
            send_receive_timeout=int(settings.answer_timeout.total_seconds()),
            query_retries=0,
            **options,
        )
    except ClickHouseError as error:
        raise failure(error, f"connect to {where}") from error
