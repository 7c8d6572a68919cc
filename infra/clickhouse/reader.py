"""Queries of strangers: read-only, limited, and away from everything but the tables."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from inferwatch.infra.clickhouse.connection import connect
from inferwatch.infra.clickhouse.failures import code_of
from inferwatch.infra.clickhouse.guard import (
    FILES,
    READONLY,
    TABLE_FUNCTIONS,
    UNKNOWN_FORMAT,
    Refused,
    check,
    format_of,
    words,
)
from inferwatch.schemas.settings import StoreSettings, WebSettings

LOWERED = (
    "max_execution_time",
    "max_result_rows",
    "max_result_bytes",
    "max_memory_usage",
    "max_rows_to_read",
    "max_bytes_to_read",
)
FREE = re.compile(
    r"output_format_(json|csv|tsv|arrow|parquet|native|pretty|decimal|float|values|binary|orc|avro|markdown)_\w+"
    r"|date_time_output_format|bool_(true|false)_representation|extremes|join_use_nulls|session_timezone|max_block_size"
)
"""Settings a client may choose. Not all of ``output_format_``: ``output_format_schema`` writes a file."""
IDLE = 8
"""Sessions kept for the next query with the same settings; opening one takes some 12 ms."""
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


class _Verbatim:
    """A parameter's text as the client escaped it; clickhouse-connect would escape a ``str`` again."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


class Answer(NamedTuple):
    """A result in the format asked for."""

    body: bytes
    format: str


class Reader:
    """Runs one statement at a time on a session of its own; calls may come from several threads at once.

    The engine itself refuses writes (``readonly=1``, which a session cannot leave). What that lets through is
    refused here, by looking at the statement as the engine's own parser writes it, and running only that text:
    so comments, quoting and spelling cannot make the two disagree.
    """

    def __init__(self, settings: StoreSettings, limits: WebSettings) -> None:
        self._settings = settings
        self._limits = limits
        self._banned: frozenset[str] | None = None
        self._idle: dict[tuple[tuple[str, str], ...], Client] = {}
        self._lock = threading.Lock()
        self._closed = False

    def run(
        self,
        sql: str,
        *,
        default_format: str = "TabSeparated",
        parameters: Mapping[str, str] | None = None,
        wishes: Mapping[str, str] | None = None,
        database: str = "",
    ) -> Answer:
        """Run one reading statement.

        Args:
            sql: the statement, with or without FORMAT.
            default_format: used when the statement names none.
            parameters: texts for ``{name:Type}``, without the ``param_`` prefix.
            wishes: settings the client sent; limits are only lowered, harmless ones taken, the rest ignored.
            database: current database; empty or ``default``: the one of the settings.

        Raises:
            Refused: not a reading statement, or it failed; carries the engine's code.
            Misconfigured: the store cannot be opened.
            StoreUnavailable: a server did not answer.
        """
        parameters = dict(parameters or {})
        if not _IDENTIFIER.fullmatch(default_format):
            raise Refused(UNKNOWN_FORMAT, f"Unknown format {default_format!r}. (UNKNOWN_FORMAT)")
        if database and (database == "system" or not _IDENTIFIER.fullmatch(database)):
            raise Refused(READONLY, f"database must be a plain name, and not system, got {database!r}. (READONLY)")
        session = self._session(wishes or {})
        with self._client(session) as client:
            try:
                client.database = database if database not in ("", FILES) else self._settings.database
                if self._banned is None:
                    self._banned = _banned(client)
                canonical = client.raw_query(
                    "SELECT formatQuery({q:String})", {"q": sql}, fmt="RawBLOB", use_database=False
                ).decode()
                said = words(canonical)
                check(said, parameters, self._banned)
                named = format_of(said)
                bound = {name: _Verbatim(value) for name, value in parameters.items()}
                body = client.raw_query(canonical, bound, fmt=None if named else default_format)
                answered = named or default_format
                if not body and answered == "Native" and said[0][1].upper() in ("SELECT", "WITH", "("):
                    body = _empty_block(client, canonical, said, bound)
            except ClickHouseError as error:
                raise Refused(code_of(error) or 0, str(error)) from error
        return Answer(body, answered)

    def close(self) -> None:
        """Close the idle sessions: they keep the embedded engine alive."""
        with self._lock:
            self._closed = True
            idle, self._idle = list(self._idle.values()), {}
        for client in idle:
            client.close()

    @contextmanager
    def _client(self, session: dict[str, str]) -> Iterator[Client]:
        """Lend a session with exactly these settings. No statement let through can change them, so it may be reused."""
        key = tuple(session.items())
        with self._lock:
            client = self._idle.pop(key, None)
        if client is None:
            client = connect(self._settings, session)
        try:
            yield client
        finally:
            with self._lock:
                keep = not self._closed and key not in self._idle and len(self._idle) < IDLE
                if keep:
                    self._idle[key] = client
            if not keep:
                client.close()

    def _session(self, wishes: Mapping[str, str]) -> dict[str, str]:
        web = self._limits
        memory = web.sql_max_memory_mb * 2**20
        session = {
            "session_timezone": "UTC",
            "max_execution_time": str(web.sql_max_seconds),
            "max_memory_usage": str(memory),
            "max_result_rows": str(web.sql_max_rows),
            # The answer is held twice, by the engine and by us.
            "max_result_bytes": str(memory // 4),
            "result_overflow_mode": "throw",
        }
        for name, value in wishes.items():
            if name in LOWERED:
                session[name] = _lower(session.get(name, "0"), value)
            elif FREE.fullmatch(name):
                session[name] = value
        # Last, because it freezes the others.
        return session | {"readonly": "1"}


def _empty_block(client: Client, canonical: str, said: list[tuple[str, str]], bound: Mapping[str, object]) -> bytes:
    """Return a Native block of no rows: the embedded engine writes none, and clients then miss the columns.

    References:
        https://clickhouse.com/docs/interfaces/formats/Native
    """
    named = format_of(said)
    select = canonical.rpartition("FORMAT")[0] if named else canonical
    columns = client.query(f"DESCRIBE ({select})", dict(bound)).result_rows
    texts = [text.encode() for column in columns for text in column[:2]]
    return _varint(len(columns)) + _varint(0) + b"".join(_varint(len(text)) + text for text in texts)


def _varint(value: int) -> bytes:
    """Return ``value`` as LEB128."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def _lower(limit: str, wish: str) -> str:
    if not wish.isdecimal() or int(wish) == 0:
        return limit
    return wish if limit == "0" else str(min(int(limit), int(wish)))


def _banned(client: Client) -> frozenset[str]:
    rows = client.query("SELECT lower(name) FROM system.table_functions").result_rows
    return frozenset(name for (name,) in rows) - TABLE_FUNCTIONS
