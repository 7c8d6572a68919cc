"""The store: ClickHouse, embedded or on a server, through clickhouse-connect and one code path."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from inferwatch.infra.clickhouse.connection import connect
from inferwatch.infra.clickhouse.failures import failure
from inferwatch.schemas.errors import Permanent, StoreUnavailable
from inferwatch.schemas.settings import StoreSettings

logger = logging.getLogger(__name__)

SESSION: dict[str, Any] = {
    "session_timezone": "UTC",
    "async_insert": 0,
    # Honoured by replicated tables alone: a plain table cannot keep its word over a crash (see migration 0008).
    "insert_deduplicate": 1,
    # A backfilled batch may touch more than the default 100 days; refusing it would stall the stream for good.
    "max_partitions_per_insert_block": 0,
    # One writer per insert: blocks keep their order, on which their deduplication tokens depend.
    "max_insert_threads": 1,
}


class ClickHouseStore:
    """Implements ``inferwatch.streams.ports.Store``. Every call blocks and may come from any thread.

    A call takes an idle handle or opens one, so there are as many handles as there ever were calls at once.
    Handles of the embedded engine share its data and keep their own session.
    """

    def __init__(self, settings: StoreSettings, *, reading: bool = False) -> None:
        self.settings = settings
        # The server gives up before we do: what it still works on would only be asked again.
        seconds = max(1, int(settings.answer_timeout.total_seconds() * 0.8))
        self._session = {} if reading else SESSION | {"max_execution_time": seconds}
        self._trims = settings.embedded
        self._idle: list[Client] = []
        self._lock = threading.Lock()
        self._closed = False

    def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        """Append ``rows``, whose columns are a subset of the table's, all or nothing per partition.

        An insert made again, because its answer was lost or it reached only some of the partitions, counts once in
        every view: equal sorting keys are one row. On a cluster its ``token`` spares the second copy as well.

        Raises:
            StoreUnavailable: the same call may succeed later.
            Permanent: it cannot; the message names table and column.
        """
        if rows.num_rows == 0:
            return
        settings = {"insert_deduplication_token": token}
        with self._handle(f"insert into {table}") as client:
            client.insert_arrow(table, rows, settings=settings)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Run one SELECT with server-side ``{name:Type}`` parameters; aware times become UTC.

        Returns:
            One Arrow table; String is ``string``, DateTime64 is ``timestamp`` with zone UTC.

        Raises:
            StoreUnavailable: the same call may succeed later.
            Permanent: it cannot.
        """
        bound = {name: _bindable(name, value) for name, value in (parameters or {}).items()}
        with self._handle("query") as client:
            try:
                return client.query_arrow(sql, bound)
            except pa.ArrowException as error:
                # A statement that fails once its answer has begun (out of time, out of memory) ends it in the middle,
                # over HTTP with the error's text behind it and status 200.
                raise StoreUnavailable(f"cannot read the answer to a query: {error}") from error

    def trim(self) -> None:
        """Let the embedded engine give back what it keeps free; a server keeps house by itself.

        Raises:
            StoreUnavailable: the same call may succeed later.
        """
        if self._trims:
            try:
                with self._handle("trim") as client:
                    client.command("SYSTEM JEMALLOC PURGE")
            except Permanent as error:
                self._trims = False
                logger.info("memory that the embedded engine keeps free stays with it: %s", error)

    def close(self) -> None:
        """Close every handle; the embedded engine stops with its last one and frees its folder."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for client in idle:
            client.close()

    def __enter__(self) -> ClickHouseStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _handle(self, doing: str) -> Iterator[Client]:
        with self._lock:
            if self._closed:
                raise Permanent(f"cannot {doing}: the store is closed")
            client = self._idle.pop() if self._idle else None
        if client is None:
            client = connect(self.settings, self._session)
        try:
            yield client
        except (ClickHouseError, pa.ArrowException, OSError) as error:
            raise failure(error, doing) from error
        finally:
            with self._lock:
                keep = not self._closed
                if keep:
                    self._idle.append(client)
            if not keep:
                client.close()


def open_store(settings: StoreSettings, *, reading: bool = False) -> ClickHouseStore:
    """Open the store and check that it answers. Its database must exist (see ``migrate``).

    With ``reading`` it takes the settings that the other side has: a running service lets nobody choose them.

    Raises:
        Misconfigured: the DSN is wrong, the folder belongs to another process, the login is refused or the
            database does not exist.
        StoreUnavailable: a server did not answer.
    """
    store = ClickHouseStore(settings, reading=reading)
    try:
        store.query("SELECT 1")
    except BaseException:
        store.close()
        raise
    return store


def _bindable(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise Permanent(f"parameter {name!r} must be an aware time, got {value!r}")
        # As text, because clickhouse-connect drops the fraction of a datetime and shifts it to the host's zone.
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, list | tuple | set | frozenset):
        return [_bindable(name, item) for item in value]
    return value
