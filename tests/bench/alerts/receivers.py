"""Receivers that go wrong on schedule, in injected time, and remember what reached them as a person would see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from inferwatch.schemas.clock import Clock

DOWN, BUSY, BROKEN, DEAF = "down", "429", "500", "timeout after acceptance"


@dataclass(frozen=True)
class Trouble:
    """From ``begin`` to ``end`` a receiver does ``kind``, to this share of requests."""

    kind: str
    begin: datetime
    end: datetime
    share: float = 1.0


class Receiver:
    """One receiver: folds what it accepts as its kind documents, and counts what that hides.

    PagerDuty takes a trigger under the key of an open incident as the same incident. A webhook's owner takes every
    ``Idempotency-Key`` once. ``history`` is application -> what a person saw of it, ``absorbed`` what was folded away.
    """

    def __init__(self, clock: Clock, troubles: Sequence[Trouble], chance: Sequence[float]) -> None:
        self._clock, self._troubles, self._chance = clock, troubles, chance
        self._ids: set[str] = set()
        self._open: set[str] = set()
        self.history: dict[str, list[str]] = {}
        self.refused: Counter[str] = Counter()
        self.requests = self.absorbed = 0

    async def pagerduty(self, request: web.Request) -> web.StreamResponse:
        """Take an event of PagerDuty's Events API v2."""
        event = await request.json()
        answer, accepted = self._trouble(request)
        if accepted:
            key, opens = event["dedup_key"], event["event_action"] == "trigger"
            if opens == (key in self._open):
                self.absorbed += 1
            else:
                (self._open.add if opens else self._open.discard)(key)
                self._saw(event["payload"]["source"], "fired" if opens else "resolved")
        return answer or web.json_response({"status": "success"}, status=202)

    async def webhook(self, request: web.Request) -> web.StreamResponse:
        """Take a notification as the owner of a webhook is told to."""
        note = (await request.json())["notification"]
        answer, accepted = self._trouble(request)
        if accepted:
            key = request.headers["Idempotency-Key"]
            if key in self._ids:
                self.absorbed += 1
            else:
                self._ids.add(key)
                self._saw(note["labels"]["application"], "resolved" if note["status"] == "resolved" else "fired")
        return answer or web.json_response({})

    def _saw(self, application: str, what: str) -> None:
        self.history.setdefault(application, []).append(what)

    def _trouble(self, request: web.Request) -> tuple[web.Response | None, bool]:
        """Return what to answer, None for yes, and whether the request counts."""
        now, self.requests = self._clock.now(), self.requests + 1
        lucky = self._chance[self.requests % len(self._chance)]
        kind = next((one.kind for one in self._troubles if one.begin <= now < one.end and lucky < one.share), "")
        if not kind:
            return None, True
        self.refused[kind] += 1
        if kind == BUSY:
            return web.Response(status=429, headers={"Retry-After": "60"}), False
        if kind == BROKEN:
            return web.Response(status=500), False
        if request.transport is not None:
            request.transport.abort()
        return web.Response(), kind == DEAF


@asynccontextmanager
async def listening(pager: Receiver, hook: Receiver) -> AsyncIterator[str]:
    """Serve both on this machine; yield the address."""
    app = web.Application()
    app.router.add_post("/pagerduty", pager.pagerduty)
    app.router.add_post("/webhook", hook.webhook)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
