"""The JSON API under ``/api/v1``: what the dashboard shows, alerts, references and explanations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

import orjson
from aiohttp import web

from inferwatch.infra.explanations import render
from inferwatch.infra.picture import TYPES
from inferwatch.infra.web import queries
from inferwatch.infra.web.incidents import IncidentApi
from inferwatch.infra.web.references import ReferenceApi
from inferwatch.infra.web.silences import SilenceApi
from inferwatch.infra.web.status import Status
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import InferwatchError, Misconfigured, NotFound, Retryable
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.settings import Settings
from inferwatch.streams.alerting.silences import Silences
from inferwatch.streams.incidents.incident import Incidents
from inferwatch.streams.ports import Store
from inferwatch.streams.references import References

T = TypeVar("T")
THREADS = 2
LONGEST = timedelta(days=31)


class Api:
    """The handlers, and the threads their queries run in. Every answer is JSON; an error is ``{"error": …}``."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        references: References,
        incidents: Incidents,
        status: Callable[[], Status],
        clock: Clock,
        rules: Callable[[], Sequence[Rule]],
    ) -> None:
        self._settings = settings
        self._store = store
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="api")
        # Of their own: what takes seconds must not keep the others waiting.
        self._looking = ThreadPoolExecutor(THREADS, thread_name_prefix="api-incidents")
        self._drawing = ThreadPoolExecutor(1, thread_name_prefix="api-drawing")
        self._references = ReferenceApi(references, self._in_thread, answer)
        self._silences = SilenceApi(Silences(store, clock), clock, self._in_thread, answer)
        self._incidents = IncidentApi(
            store, incidents, clock, url=settings.web.url, user=settings.web.user,
            in_thread=lambda call: self._in_thread(call, self._looking), answer=answer,
        )  # fmt: skip
        self._status = status
        self._rules = rules

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/overview", self.overview),
            web.get("/api/v1/series", self.series),
            web.get("/api/v1/windows", self.windows),
            web.get("/api/v1/alerts/{id}/explanation", self.explanation),
            web.get("/api/v1/alerts/{id}/explanation.{form:svg|png}", self.explanation),
            web.get("/api/v1/dead_letters", self.dead_letters),
            *self._references.routes(),
            *self._silences.routes(),
            *self._incidents.routes(),
        ]

    async def lifetime(self, app: web.Application) -> AsyncIterator[None]:
        yield
        for threads in (self._threads, self._looking, self._drawing):
            await asyncio.to_thread(threads.shutdown, cancel_futures=True)

    async def overview(self, request: web.Request) -> web.Response:
        """State of the service, its series, its rules."""
        found = await self._in_thread(lambda: queries.overview(self._store))
        rules = [
            {
                "name": rule.name,
                "metric": rule.metric,
                "when": str(rule.when),
                "threshold": rule.when.threshold,
                "severity": rule.severity,
                "applications": rule.applications,
                "group_by": rule.group_by,
            }
            for rule in self._rules()
        ]
        extra = {"service": self._status(), "rules": rules, "url": self._settings.web.url}
        return answer(found | extra | {"receivers": [one.name for one in self._settings.receivers]})

    async def series(self, request: web.Request) -> web.Response:
        """Metrics of one series: ``?application=&dimension=&value=&hours=&metric=`` (metric may repeat)."""
        query = request.query
        if not (application := query.get("application", "")):
            raise Misconfigured("application is required, such as /api/v1/series?application=support")
        span = timedelta(hours=_number(query.get("hours", "24"), "hours", 0.1, LONGEST / timedelta(hours=1)))
        names = query.getall("metric", [])
        found = await self._in_thread(
            lambda: queries.series(
                self._store,
                application,
                query.get("dimension", "__all__"),
                query.get("value", "__all__"),
                span,
                names,
            )
        )
        return answer(found)

    async def windows(self, request: web.Request) -> web.Response:
        """The latest windows: ``?limit=``."""
        limit = int(_number(request.query.get("limit", "100"), "limit", 1, 1000))
        return answer(await self._in_thread(lambda: queries.windows(self._store, limit)))

    async def explanation(self, request: web.Request) -> web.Response:
        """What a drift alert is about, as JSON or as a picture; ``latest`` is an id too."""
        form = request.match_info.get("form", "json")
        body = await self._in_thread(
            lambda: render(self._store, self._settings, request.match_info["id"], form), self._drawing
        )
        return web.Response(body=body, content_type="application/json" if form == "json" else TYPES[form])

    async def dead_letters(self, request: web.Request) -> web.Response:
        """Unreadable records by reason, and the latest of them: ``?limit=``."""
        limit = int(_number(request.query.get("limit", "20"), "limit", 0, 500))
        return answer(await self._in_thread(lambda: queries.dead_letters(self._store, limit)))

    async def _in_thread(self, call: Callable[[], T], threads: ThreadPoolExecutor | None = None) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads or self._threads, call)


def answer(data: Any, *, status: int = 200) -> web.Response:
    """Return ``data`` as JSON; NaN becomes null, times become RFC 3339."""
    body = orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z)
    return web.Response(body=body, status=status, content_type="application/json")


def failed(error: InferwatchError) -> web.Response:
    """Return an error as JSON, with the status its class asks for."""
    known = ((Misconfigured, 400), (NotFound, 404), (Retryable, 503))
    status = next((code for kind, code in known if isinstance(error, kind)), 500)
    return answer({"error": str(error)}, status=status)


def _number(text: str, name: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise Misconfigured(f"{name} must be a number from {low:g} to {high:g}, got {text!r:.40}") from error
    if not low <= value <= high:
        raise Misconfigured(f"{name} must be a number from {low:g} to {high:g}, got {text!r:.40}")
    return value
