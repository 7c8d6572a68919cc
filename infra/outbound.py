"""What goes out over HTTP: which addresses are allowed, what an answer means for a retry, what must show nowhere."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from inferwatch.schemas.errors import Misconfigured

SECRET_CHARS = 8
"""Pieces of an address at least this long are taken for secrets."""
LATER = frozenset({408, 425, 429})
"""Client errors that say «not now» rather than «not like this»."""


def checked_address(what: str, url: str, *, plain: bool = False) -> str:
    """Return ``url`` if texts may be sent there: https, or http to a loopback address or, with ``plain``, to any.

    Args:
        what: names the setting, for the message.
        url: may hold secrets, and shows nowhere.
        plain: whether http to another machine is wanted.

    Raises:
        Misconfigured: it is neither.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port  # raises for one that is no number
    except ValueError:
        host, parts = "", urlsplit("")
    if host and (parts.scheme == "https" or (parts.scheme == "http" and (plain or _loopback(host)))):
        return url
    raise Misconfigured(
        f"{what} must be https://…, or http:// to a loopback address; got scheme {parts.scheme or 'none'!r}"
    )


def is_retryable(status: int) -> bool:
    """Whether the same request may be accepted later."""
    return status >= 500 or status in LATER


def retry_seconds(retry_after: str | None, now: datetime) -> float | None:
    """Read Retry-After (RFC 9110): seconds, or an HTTP date; None where there is none that can be read."""
    if retry_after is None:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def secret_parts(url: str, more: Sequence[str]) -> tuple[str, ...]:
    """Return what must not show, longest first: the address, its path and query, and every long piece of them."""
    parts = urlsplit(url)
    pieces = [piece for piece in re.split(r"[/?&=]", f"{parts.path}?{parts.query}") if len(piece) >= SECRET_CHARS]
    paths = [path for path in (f"{parts.path}?{parts.query}", parts.path) if len(path) >= SECRET_CHARS]
    logins = [one for one in (parts.password, *more) if one]
    # "Bearer …" is not what leaks.
    words = [word for one in more for word in one.split() if len(word) >= SECRET_CHARS]
    return tuple(sorted({url, *paths, *pieces, *logins, *words}, key=len, reverse=True))


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
