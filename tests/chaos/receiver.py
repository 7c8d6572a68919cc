"""A receiver of webhooks that now and then says no, and remembers what it accepted."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from types import TracebackType

from aiohttp import web

from inferwatch.schemas.clock import SystemClock

CLOCK = SystemClock()
TROUBLES = {"500": 0.1, "429": 0.07, "silence": 0.03}
MOST_TROUBLES = 2
"""A message is refused at most this often, so that the end of a schedule is near."""
SILENCE_SECONDS = 6.0
"""Longer than the workers wait."""


class Receiver:
    """Listens on 127.0.0.1 in a thread of its own. ``accepted`` is (time, id) of every request answered with 200."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="receiver")
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._troubled: Counter[str] = Counter()
        self.port = 0
        self.accepted: list[tuple[float, str]] = []
        self.refused: list[tuple[float, str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def __enter__(self) -> Receiver:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_post("/", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        note = (await request.json())["notification"]["id"]
        trouble = self._trouble(note)
        now = CLOCK.monotonic()
        if not trouble:
            self.accepted.append((now, note))
            return web.Response()
        self.refused.append((now, note, trouble))
        if trouble == "silence":
            await asyncio.sleep(SILENCE_SECONDS)
            return web.Response(status=503)
        return web.Response(status=int(trouble), headers={"Retry-After": "1"} if trouble == "429" else {})

    def _trouble(self, note: str) -> str:
        if self._troubled[note] >= MOST_TROUBLES:
            return ""
        drawn = self._rng.random()
        for trouble, share in TROUBLES.items():
            if drawn < share:
                self._troubled[note] += 1
                return trouble
            drawn -= share
        return ""
