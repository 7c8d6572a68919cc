"""The real engine behind ClickHouse's HTTP protocol, for tests that need one store for several processes.

chDB locks its folder to one process; this is that process, and the workers reach it with ``clickhouse://`` through the
code path of a real server. It speaks what clickhouse-connect says in both directions: SELECT with parameters, any
FORMAT, INSERT bodies, DDL, settings of session and call, exception codes, compression. Everyone is let in, so it
listens on 127.0.0.1 only.

    python -m tests.support.engine_server --folder DIR --port PORT

References:
    https://clickhouse.com/docs/interfaces/http
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import re
import signal
import tempfile
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chdb
from aiohttp import web
from lz4 import frame

from inferwatch.infra.web.sql import STATUS
from tests.support.engine_faults import listen
from tests.support.orphan import end_with_parent

THREADS = 8
"""Statements run at once; each has an engine handle of its own."""
TRANSPORT = frozenset(
    {
        "buffer_size",
        "client_protocol_version",
        "compress",
        "database",
        "decompress",
        "default_format",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "query",
        "query_id",
        "quota_key",
        "role",
        "send_progress_in_http_headers",
        "session_check",
        "session_id",
        "session_timeout",
        "wait_end_of_query",
    }
)
"""Arguments that are no settings of the engine."""
OF_ONE_INSERT = "insert_deduplication_token"
READS = ("SELECT", "WITH", "(", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK")
_INSERT = re.compile(rb"\s*INSERT\s+INTO\s+.*?\sFORMAT\s+(\w+)(?:\s*;)?(?:\n|$)", re.IGNORECASE | re.DOTALL)
_TRAILING_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_CODE = re.compile(r"Code:\s*(\d+)")
_NAME = re.compile(r"\w+")
COMPRESS = {"lz4": frame.compress, "gzip": lambda body: gzip.compress(body, 1), "deflate": zlib.compress}
DECOMPRESS = {"lz4": frame.decompress}
"""Content-Encodings of requests that aiohttp leaves to us."""


class Failed(Exception):
    """The engine refused a statement."""

    def __init__(self, message: str) -> None:
        super().__init__(message[message.find("Code: ") :] if "Code: " in message else message)
        found = _CODE.search(message)
        self.code = int(found[1]) if found else None


@dataclass(frozen=True, slots=True)
class Request:
    """One statement with what it needs. ``data`` are the rows of an INSERT, in the format it names."""

    sql: bytes
    data: bytes
    database: str
    settings: tuple[tuple[str, str], ...]
    parameters: dict[str, str]
    token: str
    format: str


class Engine:
    """Runs statements, several at once, on handles of the one engine that a process may have.

    A handle keeps the settings and the database it was opened with, as an HTTP session would, and is used again by
    the next statement with the same ones.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._idle: dict[tuple[object, ...], list[Any]] = {}
        self._lock = threading.Lock()
        # Keeps the engine running while no statement does.
        self._first = chdb.connect(self._folder)

    def run(self, request: Request) -> tuple[bytes, str]:
        """Return the answer and its format; both empty where a statement has none.

        Raises:
            Failed: with the engine's code and message.
        """
        with self._handle(request) as handle:
            if request.data or _INSERT.fullmatch(request.sql):
                self._insert(handle, request)
                return b"", ""
            named = _TRAILING_FORMAT.search(request.sql)
            said = named[1].decode() if named else request.format
            body = _ask(handle, request.sql, said, request.parameters)
            if not request.sql.lstrip().upper().startswith(tuple(word.encode() for word in READS)):
                return body, ""
            if not body and said == "Native":
                body = _empty_block(handle, request)
            return body, said

    def _insert(self, handle: Any, request: Request) -> None:
        statement = _INSERT.match(request.sql)
        assert statement is not None
        head = request.sql[: statement.start(1)].rstrip()[: -len("FORMAT")].decode()
        token = f" SETTINGS {OF_ONE_INSERT} = '{_escape(request.token)}'" if request.token else ""
        with tempfile.NamedTemporaryFile(prefix="insert-") as file:
            file.write(request.data)
            file.flush()
            sql = f"{head} FROM INFILE '{_escape(file.name)}'{token} FORMAT {statement[1].decode()}"
            _ask(handle, sql.encode(), "TabSeparated", {})

    @contextmanager
    def _handle(self, request: Request) -> Iterator[Any]:
        key = (request.database, request.settings)
        with self._lock:
            idle = self._idle.get(key)
            handle = idle.pop() if idle else None
        if handle is None:
            handle = self._open(request)
        try:
            yield handle
        finally:
            with self._lock:
                self._idle.setdefault(key, []).append(handle)

    def _open(self, request: Request) -> Any:
        handle = chdb.connect(self._folder)
        try:
            if request.database:
                _ask(handle, f"USE `{request.database}`".encode(), "TabSeparated", {})
            for name, value in request.settings:
                if not _NAME.fullmatch(name):
                    raise Failed(f"Code: 115. DB::Exception: Unknown setting {name!r}. (UNKNOWN_SETTING)")
                _ask(handle, f"SET {name} = '{_escape(value)}'".encode(), "TabSeparated", {})
        except Failed:
            handle.close()
            raise
        return handle


def _ask(handle: Any, sql: bytes, output: str, parameters: dict[str, str]) -> bytes:
    try:
        return bytes(handle.query(sql, output, params=parameters).bytes() or b"")
    except Exception as error:
        raise Failed(str(error)) from error


def _empty_block(handle: Any, request: Request) -> bytes:
    """Return a Native block of no rows: the embedded engine writes none where a server writes the columns."""
    select = _TRAILING_FORMAT.sub(b"", request.sql)
    meta = json.loads(_ask(handle, select + b"\nFORMAT JSONCompact", "JSONCompact", request.parameters))["meta"]
    texts = [text.encode() for column in meta for text in (column["name"], column["type"])]
    assert len(meta) < 128
    assert all(len(text) < 128 for text in texts)
    return bytes([len(meta), 0]) + b"".join(bytes([len(text)]) + text for text in texts)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


class Server:
    """The HTTP side."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="engine")
        self.app = web.Application(client_max_size=2**30)
        self.app.router.add_get("/ping", self._ping)
        self.app.router.add_route("*", "/", self._answer)

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    async def _answer(self, request: web.Request) -> web.Response:
        query_id = request.query.get("query_id", "")
        try:
            read = await _read(request)
            body, output = await asyncio.get_running_loop().run_in_executor(self._threads, self._engine.run, read)
        except Failed as failure:
            response = web.Response(status=STATUS.get(failure.code or 0, 500), text=f"{failure}\n")
            if failure.code is not None:
                response.headers["X-ClickHouse-Exception-Code"] = str(failure.code)
        else:
            response = _packed(request, body)
            if output:
                response.headers["X-ClickHouse-Format"] = output
            response.headers["X-ClickHouse-Summary"] = json.dumps({"result_bytes": str(len(body))})
        response.headers["X-ClickHouse-Query-Id"] = query_id
        response.headers["X-ClickHouse-Timezone"] = "UTC"
        return response


async def _read(request: web.Request) -> Request:
    arguments = dict(request.query)
    if request.content_type == "multipart/form-data":
        form = await request.post()
        arguments |= {name: value for name, value in form.items() if isinstance(value, str)}
        body = b""
    else:
        body = await request.read()
        decompress = DECOMPRESS.get(request.headers.get("Content-Encoding", ""))
        body = decompress(body) if decompress else body
    sql = arguments.get("query", "").encode()
    rows = b""
    if sql and _INSERT.fullmatch(sql):
        rows = body
    else:
        sql = b"\n".join(part for part in (sql, body) if part)
        if found := _INSERT.match(sql):
            sql, rows = sql[: found.end()], sql[found.end() :]
    settings = {name: value for name, value in arguments.items() if name not in TRANSPORT}
    parameters = {name[6:]: settings.pop(name) for name in list(settings) if name.startswith("param_")}
    token = settings.pop(OF_ONE_INSERT, "")
    output = arguments.get("default_format", "TabSeparated")
    database = arguments.get("database", "")
    return Request(sql, rows, database, tuple(sorted(settings.items())), parameters, token, output)


def _packed(request: web.Request, body: bytes) -> web.Response:
    """Compress ``body`` as the client asks."""
    if request.query.get("enable_http_compression") != "1" or not body:
        return web.Response(body=body)
    wanted = re.split(r"\s*,\s*", request.headers.get("Accept-Encoding", ""))
    for name in wanted:
        if compress := COMPRESS.get(name):
            return web.Response(body=compress(body), headers={"Content-Encoding": name})
    return web.Response(body=body)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--faults", type=int, metavar="PORT", help="take orders for faults there")
    parser.add_argument("--child", action="store_true", help="end when standard input closes")
    arguments = parser.parse_args()
    if arguments.child:
        end_with_parent(signal.SIGTERM)
    server = Server(Engine(arguments.folder))
    asyncio.run(serve(server.app, arguments.port, arguments.faults))


async def serve(app: web.Application, port: int, faults: int | None) -> None:
    """Answer until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with listen(app, port, faults):
        await stop.wait()


if __name__ == "__main__":
    main()
