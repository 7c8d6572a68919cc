"""Stands in for Slack and PagerDuty: takes their requests on this machine, checks them as they would, keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from aiohttp import web

from inferwatch.infra.demo.vendors import pagerduty_faults, slack_faults

SLACK_PATH = "/services/T0DEMO00/B0DEMO00/demo"
PAGERDUTY_PATH = "/v2/enqueue"
_LARGEST = 2**20


@dataclass(frozen=True, slots=True)
class Received:
    """One request: for whom, what it held, and what the vendor would object to."""

    vendor: Literal["slack", "pagerduty"]
    body: dict[str, Any]
    faults: tuple[str, ...]


class Receiver:
    """A local web server at Slack's and PagerDuty's paths, answering as they document.

    Args:
        show: called with everything that comes in.
    """

    def __init__(self, show: Callable[[Received], None] = lambda _: None) -> None:
        self._show = show
        self._runner: web.AppRunner | None = None
        self.received: list[Received] = []
        self.url = ""

    async def start(self) -> None:
        """Listen on a free port of the loopback address; ``url`` tells which."""
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_post(SLACK_PATH, self._slack)
        app.router.add_post(PAGERDUTY_PATH, self._pagerduty)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def slack_url(self) -> str:
        return self.url + SLACK_PATH

    @property
    def pagerduty_url(self) -> str:
        return self.url + PAGERDUTY_PATH

    async def _slack(self, request: web.Request) -> web.Response:
        body = await request.read()
        faults = slack_faults(body)
        self._keep("slack", body, faults)
        if not faults:
            return web.Response(text="ok")
        code = next((fault.partition(":")[0] for fault in faults if fault.startswith(("no_text", "invalid_pay"))), None)
        return web.Response(status=400, text=code or "invalid_blocks")

    async def _pagerduty(self, request: web.Request) -> web.Response:
        body = await request.read()
        faults = pagerduty_faults(body)
        kept = self._keep("pagerduty", body, faults)
        if faults:
            answer = {"status": "invalid event", "message": "Event object is invalid", "errors": faults}
            return web.json_response(answer, status=400)
        key = kept.body.get("dedup_key") or uuid4().hex
        return web.json_response({"status": "success", "message": "Event processed", "dedup_key": key}, status=202)

    def _keep(self, vendor: Literal["slack", "pagerduty"], body: bytes, faults: list[str]) -> Received:
        try:
            data = json.loads(body)
        except ValueError:
            data = {}
        kept = Received(vendor, data if isinstance(data, dict) else {}, tuple(faults))
        self.received.append(kept)
        self._show(kept)
        return kept
