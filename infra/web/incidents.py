"""Alerts over HTTP: the list, one alert as page and as JSON, and what people say on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, Protocol, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from inferwatch.infra.web import queries
from inferwatch.infra.web.alert_list import alert_list
from inferwatch.infra.web.incident_json import as_json
from inferwatch.infra.web.incident_page import incident_page
from inferwatch.infra.web.page import missing
from inferwatch.infra.web.queries import Wanted
from inferwatch.infra.web.references import body
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import Misconfigured, NotFound
from inferwatch.streams.incidents.incident import Incidents
from inferwatch.streams.ports import Store

T = TypeVar("T")
MOST = 500


class InThread(Protocol):
    """Runs what blocks."""

    def __call__(self, call: Callable[[], T]) -> Awaitable[T]: ...


class Answer(Protocol):
    """Makes JSON."""

    def __call__(self, data: Any, *, status: int = 200) -> web.Response: ...


Author = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class WriteNote(BaseModel):
    """Body of ``POST /api/v1/alerts/{id}/notes``. The same ``key`` again is the same note."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
    author: Author | None = None
    key: Annotated[str, Field(max_length=100)] = ""


class Acknowledge(BaseModel):
    """Body of ``POST /api/v1/alerts/{id}/acknowledgements``."""

    model_config = ConfigDict(extra="forbid")

    author: Author | None = None
    text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)] = ""


class IncidentApi:
    """The handlers. ``user`` signs what nobody put a name to: the login knows one user only."""

    def __init__(
        self,
        store: Store,
        incidents: Incidents,
        clock: Clock,
        *,
        url: str,
        user: str,
        in_thread: InThread,
        answer: Answer,
    ) -> None:
        self._store = store
        self._incidents = incidents
        self._clock = clock
        self._url = url.rstrip("/")
        self._user = user
        self._in_thread = in_thread
        self._answer = answer

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/alerts", self.list_page),
            web.get("/alerts/{id}", self.page),
            web.get("/api/v1/alerts", self.list),
            web.get("/api/v1/alerts/{id}", self.one),
            web.post("/api/v1/alerts/{id}/notes", self.note),
            web.post("/api/v1/alerts/{id}/acknowledgements", self.acknowledge),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """The alerts, active ones first: ``?state=&severity=&application=&rule=&limit=``."""
        chosen = wanted(request)
        return self._answer(await self._in_thread(lambda: queries.alerts(self._store, chosen)))

    async def one(self, request: web.Request) -> web.Response:
        """Everything about one alert."""
        found = await self._in_thread(lambda: self._incidents.find(request.match_info["id"]))
        return self._answer(as_json(found, self._url))

    async def list_page(self, request: web.Request) -> web.Response:
        """The list as a page."""
        chosen = wanted(request)
        rows, there = await self._in_thread(
            lambda: (queries.alerts(self._store, chosen), queries.alert_facets(self._store))
        )
        return _html(alert_list(chosen, rows, there))

    async def page(self, request: web.Request) -> web.Response:
        """One alert as a page; for an id that is not there, a page that says so and leads back."""
        try:
            found = await self._in_thread(lambda: self._incidents.find(request.match_info["id"]))
        except NotFound as error:
            return _html(missing(str(error)), status=404)
        return _html(incident_page(found, self._clock.now()))

    async def note(self, request: web.Request) -> web.Response:
        """Write a note."""
        said, alert = await body(request, WriteNote), request.match_info["id"]
        author = said.author or self._user
        key = said.key or f"{author}/{self._clock.now().isoformat()}"
        made = await self._in_thread(lambda: self._incidents.notes.add(alert, author, said.text, key))
        return self._answer(asdict(made), status=201)

    async def acknowledge(self, request: web.Request) -> web.Response:
        """Write that somebody has the alert in hand."""
        said, alert = await body(request, Acknowledge), request.match_info["id"]
        author = said.author or self._user
        made = await self._in_thread(lambda: self._incidents.notes.acknowledge(alert, author, said.text))
        return self._answer(asdict(made), status=201)


def wanted(request: web.Request) -> Wanted:
    """Read the filters of a request.

    Raises:
        Misconfigured: ``limit`` is no number from 1 to 500.
    """
    query = request.query
    limit = query.get("limit", str(Wanted().limit))
    if not limit.isascii() or not limit.isdecimal() or not 1 <= int(limit[:6]) <= MOST:
        raise Misconfigured(f"limit must be a number from 1 to {MOST}, got {limit!r:.40}")
    names = ("state", "severity", "application", "rule")
    return Wanted(**{name: query.get(name, "") for name in names}, limit=int(limit))


def _html(page: bytes, *, status: int = 200) -> web.Response:
    return web.Response(body=page, status=status, content_type="text/html", charset="utf-8")
