"""Silences over HTTP: what ``/api/v1/silences`` answers."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from inferwatch.infra.web.references import Answer, InThread, body
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.matchers import MatcherText
from inferwatch.streams.alerting.silences import LONGEST_TEXT, Silences, as_json

Said = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]


class NewSilence(BaseModel):
    """Body of ``POST /api/v1/silences``."""

    model_config = ConfigDict(extra="forbid")

    matchers: Annotated[list[MatcherText], Field(min_length=1, max_length=50)]
    ends_at: AwareDatetime
    author: Said
    comment: Said
    starts_at: AwareDatetime | None = None


class SilenceApi:
    """The handlers. ``in_thread`` runs what blocks, ``answer`` makes JSON."""

    def __init__(self, silences: Silences, clock: Clock, in_thread: InThread, answer: Answer) -> None:
        self._silences = silences
        self._clock = clock
        self._in_thread = in_thread
        self._answer = answer

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/silences", self.list),
            web.post("/api/v1/silences", self.add),
            web.delete("/api/v1/silences/{id}", self.expire),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """Silences that are active or yet to come; with ``?expired=1`` all of them."""
        expired = request.query.get("expired", "0") == "1"
        found = await self._in_thread(lambda: self._silences.list(expired=expired))
        return self._answer([as_json(one, self._clock.now()) for one in found])

    async def add(self, request: web.Request) -> web.Response:
        """Silence what satisfies all the matchers."""
        wanted = (await body(request, NewSilence)).model_dump()
        made = await self._in_thread(lambda: self._silences.add(**wanted))
        return self._answer(as_json(made, self._clock.now()), status=201)

    async def expire(self, request: web.Request) -> web.Response:
        """End a silence now; it stays in the list of all."""
        ended = await self._in_thread(lambda: self._silences.expire(request.match_info["id"]))
        return self._answer(as_json(ended, self._clock.now()))
