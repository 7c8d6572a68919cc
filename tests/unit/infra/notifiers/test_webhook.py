"""The webhook is signed, can be recognised when it repeats, and may have a body of one's own."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from inferwatch.infra.notifiers.webhook import Webhook
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.receivers import WebhookReceiver
from tests.support.notes import GROUP, HOSTILE, NOTE, NOW
from tests.support.receiving import HttpServer, http_server


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server() as found:
        yield found


async def send(server: HttpServer, *notes: Any, **settings: Any) -> None:
    own = {"type": "webhook", "name": "ours", "url": server.url}
    webhook = Webhook(WebhookReceiver.model_validate(own | settings), ManualClock(NOW))
    for note in notes:
        await webhook.notify(note)
    await webhook.close()


async def test_it_is_signed_and_repeats_its_key(server: HttpServer) -> None:
    await send(server, NOTE, NOTE, secret="shared")
    for _, headers, body in server.requests:
        stamp = headers["X-Inferwatch-Timestamp"]
        digest = hmac.new(b"shared", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        assert headers["X-Inferwatch-Signature"] == f"sha256={digest}"
        assert (headers["Idempotency-Key"], stamp) == (NOTE.id, str(int(NOW.timestamp())))


async def test_it_may_carry_a_login(server: HttpServer) -> None:
    await send(server, NOTE, authorization="Bearer abc")
    assert server.requests[0][1]["Authorization"] == "Bearer abc"


async def test_a_body_of_ones_own_is_filled_in_and_signed(server: HttpServer) -> None:
    body = {
        "message": "[${severity}] ${title}: ${value}",
        "alias": "${dedup_key}",
        "count": "${n}",
        "tags": ["inferwatch", "${labels.application}"],
        "details": {"all": "${labels}", "none": "${labels.nothing}"},
        "on": True,
    }
    await send(server, NOTE, secret="shared", body=body)
    [(_, headers, sent)] = server.requests
    assert json.loads(sent) == {
        "message": f"[critical] {NOTE.title}: 0.123",
        "alias": NOTE.dedup_key,
        "count": 204,
        "tags": ["inferwatch", "support"],
        "details": {"all": NOTE.labels, "none": None},
        "on": True,
    }
    digest = hmac.new(b"shared", f"{headers['X-Inferwatch-Timestamp']}.".encode() + sent, hashlib.sha256).hexdigest()
    assert headers["X-Inferwatch-Signature"] == f"sha256={digest}"


async def test_no_text_of_a_log_changes_the_bodys_form(server: HttpServer) -> None:
    await send(server, HOSTILE, body={"text": "${title} ${summary} ${examples}", "fixed": "x"})
    found = json.loads(server.requests[0][2])
    assert set(found) == {"text", "fixed"}
    assert found["fixed"] == "x"


async def test_a_group_is_a_list_of_alerts(server: HttpServer) -> None:
    await send(server, GROUP)
    note = json.loads(server.requests[0][2])["notification"]
    assert [one["status"] for one in note["alerts"]] == ["firing", "firing", "firing", "resolved"]
    assert note["alerts"][2]["value"] is None
