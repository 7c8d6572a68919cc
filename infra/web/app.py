"""The web application: dashboard, JSON API, SQL endpoint, health and metrics on one port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import resources

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.infra.monitoring import Monitor
from inferwatch.infra.web.api import Api, answer, failed
from inferwatch.infra.web.crossing import from_elsewhere
from inferwatch.infra.web.login import Login, check
from inferwatch.infra.web.probes import OPEN, add_probes
from inferwatch.infra.web.sql import DASHBOARD, add_sql_routes
from inferwatch.infra.web.status import Status
from inferwatch.schemas.clock import Clock, SystemClock
from inferwatch.schemas.errors import InferwatchError
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.settings import Settings
from inferwatch.streams.incidents.incident import Incidents
from inferwatch.streams.references import References

FILES = {
    "dashboard.html": "text/html",
    "dashboard.css": "text/css",
    "dashboard.js": "text/javascript",
    "incident.css": "text/css",
    "incident.js": "text/javascript",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(
    settings: Settings,
    store: ClickHouseStore,
    *,
    status: Callable[[], Status] | None = None,
    monitor: Monitor | None = None,
    clock: Clock | None = None,
    thresholds: Mapping[str, float] | None = None,
    rules: Callable[[], Sequence[Rule]] | None = None,
) -> web.Application:
    """Return the application; the caller runs it on ``settings.web.host`` and ``port``.

    Args:
        settings: of the whole service.
        store: migrated and open; it stays the caller's to close.
        status: what the service says about itself on its page, asked on every load. Must not block.
        monitor: health, readiness and metrics of the process; without one, of the store alone.
        clock: for references, notes and how long an alert has lasted.
        thresholds: score name -> from which score on a row counts; of the scores without one, alerts are shown without
            the rows behind them.
        rules: those in force; without it, those of ``settings``.
    """
    clock = clock or SystemClock()
    said: Callable[[], Status] = status or (lambda: {})
    in_force = rules or (lambda: settings.active_rules)
    incidents = Incidents(store, settings, thresholds or {}, clock, in_force)
    api = Api(settings, store, References(store, clock, settings), incidents, said, clock, in_force)
    monitor = monitor or Monitor(settings.monitoring, store, clock)
    app = web.Application(middlewares=[_guard(settings)])
    app.on_response_prepare.append(_add_headers)
    app.cleanup_ctx.append(api.lifetime)
    add_sql_routes(app, settings, store)
    app[DASHBOARD] = _file("dashboard.html")

    add_probes(app, monitor.health, monitor.readiness, monitor.telemetry)
    app.router.add_get("/ui", _file("dashboard.html"))
    for name in FILES:
        app.router.add_get(f"/ui/{name}", _file(name))
    app.add_routes(api.routes())
    return app


def _guard(settings: Settings) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        # SQL at / and /ping do their own, with ClickHouse's errors; a browser's GET / is the dashboard.
        sql = request.path == "/ping" or (request.path == "/" and not _wants_page(request))
        if not sql and request.path not in OPEN and (login := check(request, settings.web)) is not Login.ACCEPTED:
            return _refused(login, bool(settings.web.password.get_secret_value()))
        if request.path.startswith("/api/") and from_elsewhere(request, settings.web):
            return answer({"error": "a page of another site may not change anything here"}, status=403)
        try:
            return await handler(request)
        except InferwatchError as error:
            return failed(error)

    return guard


def _wants_page(request: web.Request) -> bool:
    return request.method == "GET" and "query" not in request.query and "text/html" in request.headers.get("Accept", "")


def _refused(login: Login, password: bool) -> web.Response:
    if not password:
        text = "without web.password the service answers only to its own host name: use web.host, or set web.public_url"
        return answer({"error": text}, status=403)
    what = "a user and a password are required" if login is Login.MISSING else "the user or the password is wrong"
    refused = answer({"error": f"{what}: web.user and web.password"}, status=401)
    refused.headers["WWW-Authenticate"] = 'Basic realm="inferwatch", charset="UTF-8"'
    return refused


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


def _file(name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    body = resources.files("inferwatch.infra.web").joinpath(name).read_bytes()

    async def serve(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=FILES[name], charset="utf-8")

    return serve
