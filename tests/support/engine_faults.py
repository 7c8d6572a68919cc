"""Faults in front of the engine server: it refuses, answers errors, hangs, or answers too late after the work is done.

``POST /?kind=…&seconds=…&code=…`` on a port of its own starts one, which ends by itself:

- ``refuse``: nothing listens;
- ``error``: every call fails with exception ``code`` (0: a bare 502, as from a proxy) and is not carried out;
- ``hang``: calls are read and never answered nor carried out;
- ``late``: calls are carried out and answered only when the fault is over: the client has given up by then;
- ``torn``: calls are carried out, and the connection is cut instead of an answer;
- ``broken``: answers end in the middle, with the text of an error behind them and status 200, as when a statement fails
  after its answer has begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from inferwatch.infra.web.sql import STATUS

HOST = "127.0.0.1"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Faults:
    """Which fault is on. One at a time: a new one replaces the one before."""

    def __init__(self, app: web.Application, port: int) -> None:
        self._app = app
        self._port = port
        self._runner: web.AppRunner | None = None
        self._kind = ""
        self._code = 0
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        app.middlewares.append(self._middleware)

    async def open(self) -> None:
        """Listen."""
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self._port, reuse_address=True).start()

    async def close(self) -> None:
        """Listen no more and cut every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def order(self, request: web.Request) -> web.Response:
        """Start a fault."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._over = asyncio.Event()
        self._kind, self._code = request.query["kind"], int(request.query.get("code", 0))
        if self._kind == "refuse":
            await self.close()
        self._task = asyncio.create_task(self._end_after(float(request.query["seconds"])))
        return web.Response(text="Ok.\n")

    async def _end_after(self, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        finally:
            self._kind = ""
            self._over.set()
            if self._runner is None:
                await self.open()

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        kind, over = self._kind, self._over
        if kind == "error":
            return self._error()
        if kind == "hang":
            await over.wait()
            return _cut(request)
        response = await handler(request)
        if kind == "late":
            await over.wait()
        if kind == "torn":
            return _cut(request)
        if kind == "broken" and isinstance(response, web.Response) and isinstance(response.body, bytes):
            # Not compressed: what the client finds once it has unpacked an answer is the same.
            half = response.body[: len(response.body) // 2]
            return web.Response(body=half + b"Code: 159. DB::Exception: Timeout exceeded. (TIMEOUT_EXCEEDED)\n")
        return response

    def _error(self) -> web.Response:
        if not self._code:
            return web.Response(status=502, text="Bad Gateway")
        text = f"Code: {self._code}. DB::Exception: told to fail.\n"
        headers = {"X-ClickHouse-Exception-Code": str(self._code)}
        return web.Response(status=STATUS.get(self._code, 500), text=text, headers=headers)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


@asynccontextmanager
async def listen(app: web.Application, port: int, control: int | None) -> AsyncIterator[None]:
    """Serve ``app`` on ``port``, and orders for faults on ``control``."""
    faults = Faults(app, port)
    orders = web.Application()
    orders.router.add_post("/", faults.order)
    runner = web.AppRunner(orders, access_log=None)
    await runner.setup()
    if control is not None:
        await web.TCPSite(runner, HOST, control).start()
    await faults.open()
    try:
        yield
    finally:
        await faults.close()
        await runner.cleanup()
