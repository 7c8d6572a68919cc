"""Who may ask: the one user of ``settings.web``, named in any of the ways ClickHouse's HTTP interface takes."""

from __future__ import annotations

import hmac
from enum import Enum
from urllib.parse import urlsplit

from aiohttp import BasicAuth, web

from inferwatch.schemas.settings import WebSettings

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Login(Enum):
    """What became of a request's credentials."""

    ACCEPTED = "accepted"
    MISSING = "missing"
    WRONG = "wrong"


def check(request: web.Request, settings: WebSettings) -> Login:
    """Compare the request's credentials with the settings, in a time that does not depend on them.

    Taken from ``X-ClickHouse-User``/``X-ClickHouse-Key``, Basic authentication, or the query arguments ``user`` and
    ``password``, the first that is there. Without a password in the settings, the user needs none; then the request
    must name this machine as its host, so that a web page cannot reach the endpoint under a name of its own.
    """
    password = settings.password.get_secret_value()
    given = _credentials(request, settings.user)
    if given is None:
        return Login.MISSING if password or not _addressed_here(request, settings) else Login.ACCEPTED
    right_user = hmac.compare_digest(given[0].encode(), settings.user.encode())
    right_password = hmac.compare_digest(given[1].encode(), password.encode())
    if not (right_user and right_password) or not (password or _addressed_here(request, settings)):
        return Login.WRONG
    return Login.ACCEPTED


def _credentials(request: web.Request, default_user: str) -> tuple[str, str] | None:
    headers, query = request.headers, request.query
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", default_user), headers.get("X-ClickHouse-Key", "")
    if "Authorization" in headers:
        try:
            basic = BasicAuth.decode(headers["Authorization"], encoding="utf-8")
        except ValueError:
            return "", ""
        return basic.login or default_user, basic.password
    if "user" in query or "password" in query:
        return query.get("user", default_user), query.get("password", "")
    return None


def _addressed_here(request: web.Request, settings: WebSettings) -> bool:
    try:
        host = urlsplit(f"//{request.host}").hostname
    except ValueError:
        return False
    return host in LOOPBACK or host in (settings.host, urlsplit(settings.public_url).hostname)
