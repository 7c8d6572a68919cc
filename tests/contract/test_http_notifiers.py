"""What every notifier that speaks HTTP promises besides: statuses, Retry-After, redirects, proxies, addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, get_args

import pytest

from inferwatch.schemas import receivers as schema
from inferwatch.schemas.errors import Misconfigured
from tests.contract.test_notifiers import ACCEPTED, KEY, made, refused
from tests.support.notes import NOTE, NOW
from tests.support.receiving import SECRET, HttpServer, http_server

KINDS = sorted(get_args(one.model_fields["type"].annotation)[0] for one in get_args(schema.HttpReceiver))


@pytest.fixture(params=KINDS)
async def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def server(kind: str) -> AsyncIterator[HttpServer]:
    async with http_server() as found:
        found.body = ACCEPTED.get(kind, "ok")
        yield found


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (400, False),
        (401, False),
        (403, False),
        (404, False),
        (410, False),
        (408, True),
        (429, True),
        (500, True),
        (502, True),
        (503, True),
    ],
)
async def test_the_status_decides_about_a_retry(server: HttpServer, kind: str, status: int, retryable: bool) -> None:
    said = f"refused by {server.url} /hook/{SECRET} {KEY if kind != 'slack' else ''} "
    server.status, server.body = status, said + "x" * 100 + server.url
    error = await refused(made(kind, server.url))
    assert (error.retryable, error.retry_after) == (retryable, None)
    assert str(status) in str(error)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7.0), (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0), ("soon", None), ("-1", None)],
)
async def test_retry_after_is_passed_on(server: HttpServer, kind: str, said: str, seconds: float | None) -> None:
    server.status, server.headers = 429, {"Retry-After": said}
    assert (await refused(made(kind, server.url))).retry_after == seconds


async def test_redirects_are_not_followed(server: HttpServer, kind: str) -> None:
    server.status, server.headers = 302, {"Location": "/elsewhere"}
    assert not (await refused(made(kind, server.url))).retryable
    assert server.elsewhere == 0


async def test_a_proxy_of_the_environment_is_not_used(
    server: HttpServer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    notifier = made(kind, server.url)
    await notifier.notify(NOTE)
    await notifier.close()
    assert server.requests


@pytest.mark.parametrize("url", ["http://example.com/x", "ftp://example.com", "example.com/x", "", "http://[::1"])
def test_an_address_that_would_leak_is_refused(kind: str, url: str) -> None:
    with pytest.raises(Misconfigured, match="must be https"):
        made(kind, url)


async def test_a_password_in_the_address_shows_nowhere(server: HttpServer, kind: str) -> None:
    server.status, server.body = 500, "who is hunter2?"
    url = server.url.replace("http://", "http://user:hunter2@")
    if kind in ("webhook", "alertmanager", "slack_app"):
        with pytest.raises(Misconfigured, match="without user and password") as error:
            made(kind, url)
        assert "hunter2" not in str(error.value)
        return
    notifier: Any = made(kind, url)
    assert "hunter2" not in str(await refused(notifier))
