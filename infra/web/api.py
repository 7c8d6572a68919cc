"""The JSON API under ``/api/v1``: what the dashboard shows, and references and explanations for the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any, TypeVar

import orjson
from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from inferwatch.infra.explanations import render
from inferwatch.infra.picture import TYPES
from inferwatch.infra.web import queries
from inferwatch.infra.web.status import Status
from inferwatch.schemas.errors import InferwatchError, Misconfigured, NotFound, Retryable
from inferwatch.schemas.settings import Settings
from inferwatch.streams.ports import Store
from inferwatch.streams.references import References

T = TypeVar("T")
THREADS = 2
LONGEST = timedelta(days=31)


class BuildReference(BaseModel):
    """Body of ``POST /api/v1/references``."""

    model_config = ConfigDict(extra="forbid")

    application: str
    field: str
    start: AwareDatetime
    end: AwareDatetime
    name: str = "baseline"
    rows: Annotated[int, Field(ge=50)] = 1000


class PromoteReference(BaseModel):
    """Body of ``POST /api/v1/references/promote``."""

    model_config = ConfigDict(extra="forbid")

    application: str
    field: str
    name: str
    version: int


class Api:
    """The handlers, and the threads their queries run in. Every answer is JSON; an error is ``{"error": …}``."""

    def __init__(self, settings: Settings, store: Store, references: References, status: Callable[[], Status]) -> None:
        self._settings = settings
        self._store = store
        self._references = references
        self._status = status
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="api")
        # Of its own: what takes seconds must not keep the others waiting.
        self._drawing = ThreadPoolExecutor(1, thread_name_prefix="api-drawing")

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/overview", self.overview),
            web.get("/api/v1/series", self.series),
            web.get("/api/v1/windows", self.windows),
            web.get("/api/v1/alerts", self.alerts),
            web.get("/api/v1/alerts/{id}", self.alert),
            web.get("/api/v1/alerts/{id}/explanation", self.explanation),
            web.get("/api/v1/alerts/{id}/explanation.{form:svg|png}", self.explanation),
            web.get("/api/v1/dead_letters", self.dead_letters),
            web.get("/api/v1/references", self.list_references),
            web.post("/api/v1/references", self.build_reference),
            web.post("/api/v1/references/promote", self.promote_reference),
        ]

    async def lifetime(self, app: web.Application) -> AsyncIterator[None]:
        yield
        for threads in (self._threads, self._drawing):
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
            for rule in self._settings.active_rules
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

    async def alerts(self, request: web.Request) -> web.Response:
        """The latest alert episodes, firing ones first: ``?limit=``."""
        limit = int(_number(request.query.get("limit", "50"), "limit", 1, 500))
        return answer(await self._in_thread(lambda: queries.alerts(self._store, limit)))

    async def alert(self, request: web.Request) -> web.Response:
        """One episode with its transitions, notifications and deliveries."""
        found = await self._in_thread(lambda: queries.alert(self._store, request.match_info["id"]))
        if found is None:
            return answer({"error": f"there is no alert {request.match_info['id']!r}"}, status=404)
        return answer(found)

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

    async def list_references(self, request: web.Request) -> web.Response:
        """Every version of every drift reference."""
        found = await self._in_thread(self._references.list)
        return answer([asdict(one) for one in found])

    async def build_reference(self, request: web.Request) -> web.Response:
        """Freeze a new version of a reference."""
        wanted = await _body(request, BuildReference)
        made = await self._in_thread(
            lambda: self._references.build(
                wanted.application, wanted.field, wanted.start, wanted.end, name=wanted.name, rows=wanted.rows
            )
        )
        return answer({"name": made.name, "version": made.version, "rows": len(made.ids)}, status=201)

    async def promote_reference(self, request: web.Request) -> web.Response:
        """Compare windows with this version from now on."""
        wanted = await _body(request, PromoteReference)
        await self._in_thread(lambda: self._references.promote(**wanted.model_dump()))
        return answer(wanted.model_dump())

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


Body = TypeVar("Body", bound=BaseModel)


async def _body(request: web.Request, model: type[Body]) -> Body:
    # A page elsewhere can make a browser post a form here, but not JSON.
    if request.content_type != "application/json":
        raise Misconfigured(f"Content-Type must be application/json, got {request.content_type!r}")
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "body"
        raise Misconfigured(f"{name}: {first['msg']}") from error


def _number(text: str, name: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise Misconfigured(f"{name} must be a number from {low:g} to {high:g}, got {text!r:.40}") from error
    if not low <= value <= high:
        raise Misconfigured(f"{name} must be a number from {low:g} to {high:g}, got {text!r:.40}")
    return value
