"""ClickHouse's HTTP query interface, read-only: ``curl``, clickhouse-connect, Grafana and BI tools ask here.

The embedded store belongs to one process, so that process answers for it; in front of a server the same door works.

References:
    https://clickhouse.com/docs/interfaces/http
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from aiohttp import web

from inferwatch.infra.clickhouse.guard import READONLY, SYNTAX_ERROR, Refused
from inferwatch.infra.clickhouse.reader import Answer, Reader
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.infra.web.login import Login, check
from inferwatch.schemas.errors import InferwatchError, Retryable
from inferwatch.schemas.settings import Settings

DASHBOARD: web.AppKey[Callable[[web.Request], Awaitable[web.StreamResponse]]] = web.AppKey("dashboard")
"""Answers ``GET /`` without a query from a browser (``Accept: text/html``), where the app sets it."""

THREADS = 4
WAITING = 64
NOT_IMPLEMENTED = 48
TOO_MANY_SIMULTANEOUS_QUERIES = 202
NETWORK_ERROR = 210
QUERY_IS_TOO_LARGE = 223
UNKNOWN_EXCEPTION = 1002
REQUIRED_PASSWORD = 194
AUTHENTICATION_FAILED = 516
INCORRECT_DATA = 117

STATUS = {
    REQUIRED_PASSWORD: 401,
    **dict.fromkeys((READONLY, 291, 497, AUTHENTICATION_FAILED), 403),
    # what cannot be parsed or does not fit
    **dict.fromkeys((6, 25, 26, 27, 36, 38, 41, 42, 43, 44, 53, 69, 70, 72, INCORRECT_DATA, 167, 168, 427), 400),
    **dict.fromkeys((SYNTAX_ERROR, 456, 457), 400),
    # unknown table, function, identifier, type, storage, database, setting, aggregate function, format
    **dict.fromkeys((60, 46, 47, 50, 56, 81, 115, 63, 73), 404),
    159: 408,
    QUERY_IS_TOO_LARGE: 413,
    NOT_IMPLEMENTED: 501,
    **dict.fromkeys((TOO_MANY_SIMULTANEOUS_QUERIES, 209, NETWORK_ERROR, 439), 503),
}
"""ClickHouse's error code -> HTTP status, 500 for the rest."""

CONTENT_TYPES = (
    (r"JSON(Strings|Compact|CompactStrings|ColumnsWithMetadata)?|JSONColumns|JSONCompactColumns", "application/json"),
    (r"JSON\w*EachRow\w*|NDJSON|JSONLines|JSONL", "application/x-ndjson"),
    (r"CSV\w*", "text/csv"),
    (r"TSV\w*|TabSeparated\w*", "text/tab-separated-values"),
    (r"XML", "application/xml"),
    (
        r"Native|RowBinary\w*|Arrow\w*|Parquet|ORC|Avro|MsgPack|Npy|RawBLOB|BSONEachRow|Protobuf\w*",
        "application/octet-stream",
    ),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A request, read. ``arguments`` are its query arguments and form fields."""

    sql: str
    arguments: dict[str, str]
    format: str

    @property
    def parameters(self) -> dict[str, str]:
        return {name[6:]: value for name, value in self.arguments.items() if name.startswith("param_")}


def add_sql_routes(app: web.Application, settings: Settings, store: ClickHouseStore) -> None:
    """Answer SQL at ``/`` and ``Ok.`` at ``/ping``, from the database ``store`` has open.

    Queries run in threads of their own, limited by ``settings.web``; a client that goes away leaves its query
    running for at most ``sql_max_seconds``.
    """
    endpoint = SqlEndpoint(settings, Reader(store.settings, settings.web))
    app.router.add_get("/", endpoint.get)
    app.router.add_post("/", endpoint.ask)
    app.router.add_get("/ping", endpoint.ping)
    app.cleanup_ctx.append(endpoint.lifetime)


class SqlEndpoint:
    """The handlers, and the threads they use."""

    def __init__(self, settings: Settings, reader: Reader) -> None:
        self._settings = settings
        self._reader = reader
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sql")
        self._pending = 0

    async def lifetime(self, app: web.Application) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self._reader.close()

    async def ping(self, request: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    async def get(self, request: web.Request) -> web.StreamResponse:
        if "query" not in request.query and not request.can_read_body:
            dashboard = request.app.get(DASHBOARD)
            if dashboard is not None and "text/html" in request.headers.get("Accept", ""):
                return await dashboard(request)
            return await self.ping(request)
        return await self.ask(request)

    async def ask(self, request: web.Request) -> web.Response:
        query_id = request.query.get("query_id") or str(uuid4())
        try:
            self._admit(request)
            question = await _read(request)
            started = asyncio.get_running_loop().time()
            answer = await self._run(question)
            elapsed = asyncio.get_running_loop().time() - started
        except Refused as refusal:
            response = _failure(refusal.code, str(refusal))
        except Retryable as error:
            response = _failure(NETWORK_ERROR, str(error))
        except InferwatchError as error:
            response = _failure(UNKNOWN_EXCEPTION, str(error))
        else:
            response = _success(answer, elapsed)
            if question.arguments.get("enable_http_compression") == "1":
                response.enable_compression()
        response.headers["X-ClickHouse-Query-Id"] = re.sub(r"[^\x20-\x7e]", "?", query_id)
        response.headers["X-ClickHouse-Timezone"] = "UTC"
        return response

    def _admit(self, request: web.Request) -> None:
        match check(request, self._settings.web):
            case Login.ACCEPTED:
                return
            case Login.MISSING:
                raise Refused(REQUIRED_PASSWORD, "User and password are required. (REQUIRED_PASSWORD)")
            case Login.WRONG:
                raise Refused(
                    AUTHENTICATION_FAILED,
                    "Authentication failed: wrong user or password, or a foreign Host. (AUTHENTICATION_FAILED)",
                )

    async def _run(self, question: Question) -> Answer:
        if self._pending >= THREADS + WAITING:
            raise Refused(
                TOO_MANY_SIMULTANEOUS_QUERIES,
                f"{self._pending} queries are running or waiting; try again. (TOO_MANY_SIMULTANEOUS_QUERIES)",
            )
        arguments = question.arguments
        if arguments.get("compress") == "1" or arguments.get("decompress") == "1":
            raise Refused(
                NOT_IMPLEMENTED,
                "compress and decompress are not supported; use enable_http_compression=1. (NOT_IMPLEMENTED)",
            )
        call = partial(
            self._reader.run,
            question.sql,
            default_format=question.format,
            parameters=question.parameters,
            wishes=arguments,
            database=arguments.get("database", ""),
        )
        self._pending += 1
        work = asyncio.get_running_loop().run_in_executor(self._threads, call)
        # Not in a finally of ours: a client that leaves cancels us, and not the thread.
        work.add_done_callback(self._done)
        return await asyncio.shield(work)

    def _done(self, work: asyncio.Future[Answer]) -> None:
        self._pending -= 1
        if not work.cancelled():
            work.exception()


async def _read(request: web.Request) -> Question:
    arguments = dict(request.query)
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip", "deflate"):
        raise Refused(
            NOT_IMPLEMENTED,
            f"Content-Encoding must be gzip, deflate or absent, got {encoding!r:.40}. (NOT_IMPLEMENTED)",
        )
    try:
        if request.content_type == "multipart/form-data":
            for name, value in (await request.post()).items():
                if not isinstance(value, str):
                    raise Refused(NOT_IMPLEMENTED, f"External data is not supported, got {name!r}. (NOT_IMPLEMENTED)")
                arguments[name] = value
            body = ""
        else:
            body = _decoded(await request.read())
    except web.HTTPRequestEntityTooLarge as error:
        raise Refused(QUERY_IS_TOO_LARGE, f"{error.text} (QUERY_IS_TOO_LARGE)") from error
    except (ValueError, web.HTTPException) as error:
        raise Refused(INCORRECT_DATA, f"The request's body cannot be read: {error} (INCORRECT_DATA)") from error
    # ClickHouse reads one after the other, so that a long query may be split between them.
    sql = "\n".join(part for part in (arguments.pop("query", ""), body) if part)
    wanted = request.headers.get("X-ClickHouse-Format") or arguments.get("default_format") or "TabSeparated"
    arguments.setdefault("database", request.headers.get("X-ClickHouse-Database", ""))
    return Question(sql, arguments, wanted)


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        # An insert's rows may be binary; the sender should hear that inserts are refused, not that bytes are.
        if re.match(rb"\s*INSERT\b", body, re.IGNORECASE):
            return "INSERT INTO t VALUES"
        raise


def _success(answer: Answer, elapsed: float) -> web.Response:
    summary = {
        "result_bytes": str(len(answer.body)),
        "elapsed_ns": str(int(elapsed * 1e9)),
    }
    return web.Response(
        body=answer.body,
        headers={
            "Content-Type": _content_type(answer.format),
            "X-ClickHouse-Format": answer.format,
            "X-ClickHouse-Summary": json.dumps(summary),
        },
    )


def _failure(code: int, message: str) -> web.Response:
    text = message if message.startswith("Code: ") else f"Code: {code}. DB::Exception: {message}"
    response = web.Response(
        status=STATUS.get(code, 500), text=f"{text}\n", headers={"X-ClickHouse-Exception-Code": str(code)}
    )
    if code == REQUIRED_PASSWORD:
        response.headers["WWW-Authenticate"] = 'Basic realm="inferwatch", charset="UTF-8"'
    return response


def _content_type(name: str) -> str:
    for pattern, found in CONTENT_TYPES:
        if re.fullmatch(pattern, name, re.IGNORECASE):
            return found if found == "application/octet-stream" else f"{found}; charset=UTF-8"
    return "text/plain; charset=UTF-8"
