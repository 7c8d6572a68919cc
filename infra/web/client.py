"""Asking the running service, which holds the embedded store and so answers for it."""

from __future__ import annotations

from typing import Any

import urllib3

from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import WebSettings

CONNECT_SECONDS = 5.0


def ask(web: WebSettings, method: str, path: str, *, seconds: float, **request: Any) -> urllib3.BaseHTTPResponse:
    """Send one request with the configured login and return the answer, whatever its status.

    Args:
        web: where the service listens, and its login.
        method: of HTTP.
        path: below ``web.url``, with its leading slash; empty for the SQL endpoint.
        seconds: how long the answer may take.
        request: ``body``, ``json`` or ``headers`` of urllib3's ``request``.

    Raises:
        Misconfigured: no service answers there.
    """
    login = {"X-ClickHouse-User": web.user, "X-ClickHouse-Key": web.password.get_secret_value()}
    headers = login | request.pop("headers", {})
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds)
    try:
        return urllib3.request(method, web.url + path, headers=headers, timeout=timeout, retries=False, **request)
    except urllib3.exceptions.HTTPError as error:
        raise Misconfigured(
            f"another process holds the store's folder and no service answers at {web.url} ({error}); "
            "start it with: inferwatch up, or correct web.host, web.port or web.public_url"
        ) from error
