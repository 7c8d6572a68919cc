"""``/health``, ``/ready`` and ``/metrics``: on the web application's port, and on a small one of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import orjson
from aiohttp import web

from inferwatch.infra.health import Health, Readiness, healthy
from inferwatch.infra.telemetry import CONTENT_TYPE, Telemetry

OPEN = ("/health", "/ready")
"""Paths that answer without a login: they say which part is well, and nothing about anybody's data."""


def add_probes(app: web.Application, health: Health, readiness: Readiness, telemetry: Telemetry) -> None:
    """Add the three paths to ``app``. A probe that fails is answered with 503 and says which part it is."""

    async def report_health(request: web.Request) -> web.Response:
        return _answer(health.report(), health.notes())

    async def report_readiness(request: web.Request) -> web.Response:
        return _answer(await readiness.report())

    async def scrape(request: web.Request) -> web.Response:
        return web.Response(body=telemetry.text(), headers={"Content-Type": CONTENT_TYPE})

    handlers: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
        "/health": report_health,
        "/ready": report_readiness,
        "/metrics": scrape,
    }
    for path, handler in handlers.items():
        app.router.add_get(path, handler)


def probes_app(health: Health, readiness: Readiness, telemetry: Telemetry) -> web.Application:
    """Return an application that has nothing but the probes."""
    app = web.Application()
    add_probes(app, health, readiness, telemetry)
    return app


def _answer(report: Mapping[str, str], notes: Mapping[str, str] | None = None) -> web.Response:
    well = healthy(report)
    said = {"status": "ok" if well else "failing", "parts": report} | ({"notes": notes} if notes else {})
    body = orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)
    return web.Response(body=body, status=200 if well else 503, content_type="application/json")
