"""What every notifier promises, against a real HTTP server that accepts, refuses, hangs and lies."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from math import nan
from pathlib import Path
from typing import Any, get_args

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.infra.demo.vendors import pagerduty_faults, slack_faults
from inferwatch.infra.notifiers import build, build_one
from inferwatch.infra.notifiers.pagerduty import event
from inferwatch.infra.notifiers.slack import message
from inferwatch.schemas import settings as schema
from inferwatch.schemas.alerts import Notification, State
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import DeliveryError, Misconfigured
from inferwatch.schemas.rules import Severity
from inferwatch.schemas.settings import PagerDutyReceiver, Settings, SlackReceiver, WebhookReceiver

NOW = datetime(2026, 3, 1, 14, 15, tzinfo=UTC)
KEY = "0123456789abcdef0123456789abcdef"
SECRET = "T0PSECRET"
GOLDEN = Path(__file__).parents[1] / "golden" / "notifications"
KINDS = {"slack": SlackReceiver, "pagerduty": PagerDutyReceiver, "webhook": WebhookReceiver}

NOTE = Notification(
    id="0a1b2c3d4e5f60718293a4b5",
    alert_id="5f0c6a7788990011-20260301T140000Z",
    dedup_key="inferwatch/5f0c6a7788990011-20260301T140000Z",
    status=State.FIRING,
    severity=Severity.CRITICAL,
    title="The assistant abuses customers: support, model m-2",
    summary="12.3 % of inferences (25 of 204 scored) reached 0.9 for toxicity.output between 14:00 and 14:15 UTC "
    "on 1 March. It was 0.2 % on average in the 12 windows before. The rule fires at > 5 %.",
    labels={"application": "support", "model": "m-2"},
    metric="toxicity.output.rate",
    value=0.123,
    threshold="> 5 %",
    n=204,
    ci_low=0.085,
    ci_high=0.175,
    since=NOW - timedelta(minutes=15),
    at=NOW,
    reference="0.2 % on average in the 12 windows before",
    examples=(
        "“You are an idiot, [EMAIL].” (score 0.98; 14:03:12, id 41ac)",
        "“Get lost.” (score 0.95; 14:04:40, id 41b0)",
    ),
    sql="SELECT countIf(scores['toxicity.output'] >= 0.9) / count() AS value\nFROM inferences",
    url="http://127.0.0.1:8123/alerts/5f0c6a7788990011-20260301T140000Z",
    description="Roll back the model first.\nRunbook: https://wiki.example/abuse",
)
DRIFT = replace(
    NOTE,
    severity=Severity.WARNING,
    title="Inputs differ from the reference (solar panels, feed-in tariff): support",
    summary="New: solar panels, feed-in tariff (11 % of inputs, 95 % interval 8 to 14 %). 500 inputs between 14:00 and "
    "14:15 UTC on 1 March compared with baseline v2 (1,000 rows): p-value 0.001. The rule fires at <= 0.002.",
    labels={"application": "support"},
    metric="drift.input.p_value",
    value=0.001,
    threshold="<= 0.002",
    ci_low=nan,
    ci_high=nan,
    reference="",
    examples=(
        "“How much do you pay for the solar power I feed in?” (14:03:12, id 41ac)",
        "“Who registers the panels with the grid?” (14:04:40, id 41b0)",
        "“Is an east roof much worse than a south roof?” (14:05:01, id 41b7)",
    ),
    findings=(
        "New: solar panels, feed-in tariff, roof (11 % of inputs, 95 % interval 8 to 14 %)",
        "prompt_version 8: 62 % of its 50 inputs are new, 9 % elsewhere",
        "Gone: night storage (20 % of the reference's inputs, 95 % interval 10 to 30 %)",
    ),
    picture="http://127.0.0.1:8123/api/v1/alerts/5f0c6a7788990011-20260301T140000Z/explanation.svg",
)
HOSTILE = replace(
    NOTE,
    findings=tuple("<!channel> <http://evil|click> ``` \x07" * 2000 for _ in range(50)),
    picture="http://127.0.0.1:8123/" + "p" * 100_000,
    title="<!channel> " + "x" * 100_000,
    summary="<http://evil|click> & <@U1> ```" * 5000,
    labels={"application": "a<b>&`" * 500, "tags.x": "\x00\u202eevil" * 100},
    examples=tuple("<!here> ``` \x07 😀 " * 5000 for _ in range(50)),
    sql="SELECT '```' <!channel>" * 10_000,
    description="> quote & " * 20_000,
    reference="r" * 50_000,
    value=nan,
    ci_low=nan,
    ci_high=nan,
)


@dataclass
class Receiver:
    """A server that answers as told and keeps what it got."""

    url: str = ""
    status: int = 200
    body: str = "ok"
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    drop: bool = False
    pieces: list[str] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    elsewhere: int = 0


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    state = Receiver()
    released = asyncio.Event()

    async def take(request: web.Request) -> web.StreamResponse:
        state.requests.append((dict(request.headers), await request.read()))
        if state.hang:
            await released.wait()
        if state.drop:
            assert request.transport is not None
            request.transport.abort()
        if state.pieces:
            response = web.StreamResponse()
            await response.prepare(request)
            for piece in state.pieces:
                await response.write(piece.encode())
                await asyncio.sleep(0.05)
            return response
        return web.Response(status=state.status, text=state.body, headers=state.headers)

    async def elsewhere(request: web.Request) -> web.Response:
        state.elsewhere += 1
        return web.Response(text="ok")

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post(f"/hook/{SECRET}", take)
    app.router.add_route("*", "/elsewhere", elsewhere)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    state.url = f"{site.name}/hook/{SECRET}"
    yield state
    released.set()
    await runner.cleanup()


def made(kind: str, url: str, **options: Any) -> Any:
    values: dict[str, Any] = {"type": kind, "name": f"my-{kind}"}
    match kind:
        case "slack":
            values["webhook_url"] = url
        case "pagerduty":
            values |= {"url": url, "routing_key": KEY}
        case _:
            values |= {"url": url, "secret": "shared"}
    return build_one(KINDS[kind].model_validate(values), ManualClock(NOW), **options)


async def refused(notifier: Any, note: Notification = NOTE) -> DeliveryError:
    with pytest.raises(DeliveryError) as error:
        await notifier.notify(note)
    assert error.value.__cause__ is None
    text = f"{error.value} {error.value!r}"
    assert SECRET not in text
    assert KEY not in text
    assert notifier.name in text
    return error.value


@pytest.fixture(params=sorted(KINDS))
async def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_no_receiver_type_escapes_this_suite() -> None:
    union = get_args(schema.Receiver)[0]
    assert set(get_args(union)) == set(KINDS.values())


@pytest.mark.parametrize(
    "note", [NOTE, replace(NOTE, status=State.RESOLVED), HOSTILE], ids=["firing", "resolved", "hostile"]
)
async def test_a_notification_is_one_request_of_strict_json(receiver: Receiver, kind: str, note: Notification) -> None:
    receiver.status = 202 if kind == "pagerduty" else 200
    notifier = made(kind, receiver.url)
    await notifier.notify(note)
    await notifier.close()
    [(headers, body)] = receiver.requests
    assert headers["Content-Type"] == "application/json"
    json.loads(body, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    assert {"slack": slack_faults, "pagerduty": pagerduty_faults}.get(kind, lambda _: [])(body) == []
    assert note.alert_id in body.decode()


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
async def test_the_status_decides_about_a_retry(receiver: Receiver, kind: str, status: int, retryable: bool) -> None:
    path, own = f"/hook/{SECRET}", KEY if kind == "pagerduty" else ""
    receiver.status, receiver.body = status, f"refused by {receiver.url} {path} {own} " + "x" * 130 + receiver.url
    notifier = made(kind, receiver.url)
    error = await refused(notifier)
    await notifier.close()
    assert (error.retryable, error.retry_after) == (retryable, None)
    assert str(status) in str(error)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7.0), (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0), ("soon", None), ("-1", None)],
)
async def test_retry_after_is_passed_on(receiver: Receiver, kind: str, said: str, seconds: float | None) -> None:
    receiver.status, receiver.headers = 429, {"Retry-After": said}
    notifier = made(kind, receiver.url)
    assert (await refused(notifier)).retry_after == seconds
    await notifier.close()


async def test_a_receiver_that_hangs_drops_or_is_gone_is_retried(receiver: Receiver, kind: str) -> None:
    for trouble in ("hang", "drop"):
        setattr(receiver, trouble, True)
        notifier = made(kind, receiver.url, timeout=0.3)
        assert (await refused(notifier)).retryable
        await notifier.close()
    gone = made(kind, f"http://127.0.0.1:1/hook/{SECRET}")
    assert (await refused(gone)).retryable
    await gone.close()


async def test_redirects_are_not_followed(receiver: Receiver, kind: str) -> None:
    receiver.status, receiver.headers = 302, {"Location": "/elsewhere"}
    notifier = made(kind, receiver.url)
    assert not (await refused(notifier)).retryable
    await notifier.close()
    assert receiver.elsewhere == 0


async def test_nothing_secret_is_logged_or_shown(
    receiver: Receiver, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.status = 500
    notifier = made(kind, receiver.url)
    await refused(notifier)
    await notifier.close()
    shown = caplog.text + repr(notifier) + repr(vars(notifier))
    assert KEY not in shown
    assert SECRET not in "\n".join(record.getMessage() for record in caplog.records if "inferwatch" in record.name)


@pytest.mark.parametrize("url", ["http://example.com/x", "ftp://example.com", "example.com/x", "", "http://[::1"])
def test_an_address_that_would_leak_is_refused(kind: str, url: str) -> None:
    with pytest.raises(Misconfigured, match="must be https"):
        made(kind, url)


def test_build_names_every_receiver() -> None:
    settings = Settings.model_validate(
        {
            "receivers": [
                {"type": "slack", "name": "a", "webhook_url": "https://hooks.example/1"},
                {"type": "pagerduty", "name": "b", "routing_key": KEY},
                {"type": "webhook", "name": "c", "url": "https://x.example"},
            ]
        }
    )
    assert {name: notifier.name for name, notifier in build(settings, ManualClock(NOW)).items()} == {
        "a": "a",
        "b": "b",
        "c": "c",
    }


async def test_slack_has_accepted_only_when_it_says_ok(receiver: Receiver) -> None:
    receiver.body = "no_service"
    notifier = made("slack", receiver.url)
    assert not (await refused(notifier)).retryable
    await notifier.close()


async def test_the_webhook_is_signed_and_repeats_its_key(receiver: Receiver) -> None:
    notifier = made("webhook", receiver.url)
    await notifier.notify(NOTE)
    await notifier.notify(NOTE)
    await notifier.close()
    for headers, body in receiver.requests:
        stamp = headers["X-Inferwatch-Timestamp"]
        digest = hmac.new(b"shared", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        assert headers["X-Inferwatch-Signature"] == f"sha256={digest}"
        assert (headers["Idempotency-Key"], stamp) == (NOTE.id, str(int(NOW.timestamp())))


def test_a_resolve_has_the_key_of_its_trigger() -> None:
    trigger, resolve = (event(replace(NOTE, status=status), KEY) for status in (State.FIRING, State.RESOLVED))
    assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
    assert trigger["dedup_key"] == resolve["dedup_key"] == NOTE.dedup_key


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(TEXT, TEXT, st.lists(TEXT, max_size=3), TEXT)
def test_text_from_logs_forms_no_markup_in_slack(title: str, summary: str, examples: list[str], sql: str) -> None:
    texts = {"examples": tuple(examples), "findings": tuple(examples)}
    note = replace(NOTE, title=title, summary=summary, sql=sql, description=summary, **texts)
    body = json.dumps(message(note)).encode()
    assert slack_faults(body) == []
    for block in message(note)["blocks"]:
        for text in [block.get("text", {}), *block.get("fields", []), *block.get("elements", [])]:
            if text.get("type") == "mrkdwn":
                assert "<" not in text["text"]
                assert text["text"].count("```") in (0, 2)


async def test_slack_may_say_ok_in_two_pieces(receiver: Receiver) -> None:
    receiver.pieces = ["o", "k"]
    notifier = made("slack", receiver.url)
    await notifier.notify(NOTE)
    await notifier.close()


GOLDEN_NOTES = {
    "firing": NOTE,
    "resolved": replace(NOTE, status=State.RESOLVED),
    "drift": DRIFT,
}


@pytest.mark.parametrize("name", GOLDEN_NOTES)
async def test_payloads_are_the_golden_ones(receiver: Receiver, kind: str, name: str) -> None:
    notifier = made(kind, receiver.url)
    await notifier.notify(GOLDEN_NOTES[name])
    await notifier.close()
    [(_, body)] = receiver.requests
    path = GOLDEN / f"{kind}_{name}.json"
    if os.environ.get("INFERWATCH_WRITE_GOLDEN"):
        path.write_text(json.dumps(json.loads(body), indent=2, ensure_ascii=False) + "\n")
    assert json.loads(body) == json.loads(path.read_text())


def test_a_picture_is_a_link_that_asks_for_the_login_and_never_an_image_that_a_vendor_fetches() -> None:
    blocks = message(DRIFT)["blocks"]
    assert not [block for block in blocks if block["type"] == "image"]
    [actions] = [block for block in blocks if block["type"] == "actions"]
    assert [button["url"] for button in actions["elements"]] == [DRIFT.url, DRIFT.picture]
    sent = event(DRIFT, KEY)
    assert "images" not in sent
    assert [link["href"] for link in sent["links"]] == [DRIFT.url, DRIFT.picture]
    assert pagerduty_faults(json.dumps(sent).encode()) == []
    assert slack_faults(json.dumps(message(DRIFT)).encode()) == []
