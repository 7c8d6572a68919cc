"""Requests that another site makes a browser send: the browser adds the login, so they must not change anything."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

from inferwatch.schemas.settings import WebSettings

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN = frozenset({"same-origin", "none"})


def from_elsewhere(request: web.Request, settings: WebSettings) -> bool:
    """Return whether a request that changes something comes from a page that is not ours.

    Browsers say so themselves: in ``Sec-Fetch-Site``, or, over plain HTTP, in ``Origin``. Programs send neither, and no
    site can make a browser leave them out. A body that is JSON is asked for as well (``references.body``), which a form
    cannot send.

    References:
        https://www.w3.org/TR/fetch-metadata/; OWASP, Cross-Site Request Forgery Prevention Cheat Sheet.
    """
    if request.method in _SAFE:
        return False
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in _OWN:
        return True
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    own = {request.host, urlsplit(settings.public_url).netloc} - {""}
    return urlsplit(origin).netloc not in own
