"""References over HTTP, for the command line: what ``/api/v1/references`` answers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from inferwatch.schemas.errors import Misconfigured
from inferwatch.streams.references import References
from inferwatch.streams.references.sampling import Rows

MOST_BYTES = 128 * 1024 * 1024
"""Of an import: 10,000 vectors of 1,024 numbers are 55 MB."""


class Request(BaseModel):
    """Base of the bodies: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid")

    application: str
    field: str


class BuildReference(Request):
    """Body of ``POST /api/v1/references``."""

    start: AwareDatetime
    end: AwareDatetime
    name: str = "baseline"
    rows: Annotated[int, Field(ge=50)] = 1000
    seasonal: Literal["auto", "hour-of-day", "hour-of-week", "off"] = "off"
    strict: bool = False


class ImportReference(Request):
    """Body of ``POST /api/v1/references/import``; ``vectors`` is base64 of (n, dim) little-endian float32."""

    encoder_revision: str
    ids: list[str]
    timestamps: list[AwareDatetime]
    vectors: str
    name: str = "baseline"
    strict: bool = False

    def to_rows(self) -> Rows:
        """Return the rows.

        Raises:
            Misconfigured: ids, times and vectors do not match.
        """
        try:
            flat = np.frombuffer(base64.b64decode(self.vectors, validate=True), "<f4")
            vectors = flat.reshape(len(self.ids), -1)
        except (binascii.Error, ValueError) as error:
            raise Misconfigured(f"vectors must be base64 of {len(self.ids)} rows of float32: {error}") from error
        if len(self.timestamps) != len(self.ids) or not np.isfinite(vectors).all():
            raise Misconfigured(f"{len(self.ids)} ids need as many timestamps, and vectors of finite numbers")
        return Rows(tuple(self.ids), vectors.astype(np.float32), tuple(self.timestamps), (0,) * len(self.ids))


class PromoteReference(Request):
    """Body of ``POST /api/v1/references/promote``."""

    name: str
    version: int
    effective_from: AwareDatetime | None = None


class RetireReference(Request):
    """Body of ``POST /api/v1/references/retire``."""

    effective_from: AwareDatetime | None = None


InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
Answer = Callable[..., web.Response]


class ReferenceApi:
    """The handlers. ``in_thread`` runs what blocks, ``answer`` makes JSON."""

    def __init__(self, references: References, in_thread: InThread, answer: Answer) -> None:
        self._references = references
        self._in_thread = in_thread
        self._answer = answer

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/references", self.list),
            web.post("/api/v1/references", self.build),
            web.post("/api/v1/references/import", self.take),
            web.post("/api/v1/references/promote", self.promote),
            web.post("/api/v1/references/retire", self.retire),
            web.get("/api/v1/references/verdict", self.verdict),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """Every version of every drift reference."""
        found = await self._in_thread(self._references.list)
        return self._answer([asdict(one) for one in found])

    async def build(self, request: web.Request) -> web.Response:
        """Freeze a new version of a reference from a period."""
        wanted = (await body(request, BuildReference)).model_dump()
        made = await self._in_thread(lambda: self._references.build(**wanted))
        return self._answer(asdict(made), status=201)

    async def take(self, request: web.Request) -> web.Response:
        """Freeze a new version of a reference from rows that the caller has encoded."""
        wanted = await body(request.clone(client_max_size=MOST_BYTES), ImportReference)
        made = await self._in_thread(
            lambda: self._references.build_of(
                wanted.to_rows(),
                name=wanted.name,
                application=wanted.application,
                field=wanted.field,
                revision=wanted.encoder_revision,
                strict=wanted.strict,
            )
        )
        return self._answer(asdict(made), status=201)

    async def promote(self, request: web.Request) -> web.Response:
        """Compare windows with this version, from the next one or from a time on."""
        wanted = (await body(request, PromoteReference)).model_dump()
        since = await self._in_thread(lambda: self._references.promote(**wanted))
        return self._answer(wanted | {"effective_from": since})

    async def retire(self, request: web.Request) -> web.Response:
        """Compare windows with nothing that was promoted before."""
        wanted = (await body(request, RetireReference)).model_dump()
        since = await self._in_thread(lambda: self._references.retire(**wanted))
        return self._answer(wanted | {"effective_from": since})

    async def verdict(self, request: web.Request) -> web.Response:
        """What was found of a version when it was built: ``?application=&field=&name=&version=``."""
        query = request.query
        if not query.get("version", "").isdigit():
            raise Misconfigured(f"version must be a whole number, got {query.get('version', '')!r:.40}")
        place = (query.get("application", ""), query.get("field", ""), query.get("name", ""), int(query["version"]))
        return self._answer(await self._in_thread(lambda: self._references.described(*place)))


Body = TypeVar("Body", bound=BaseModel)


async def body(request: web.Request, model: type[Body]) -> Body:
    """Read a JSON body.

    Raises:
        Misconfigured: it is not JSON, or not what ``model`` wants.
    """
    # A page elsewhere can make a browser post a form here, but not JSON.
    if request.content_type != "application/json":
        raise Misconfigured(f"Content-Type must be application/json, got {request.content_type!r}")
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "body"
        raise Misconfigured(f"{name}: {first['msg']}") from error
