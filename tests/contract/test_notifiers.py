"""What every notifier promises, against real servers that accept, refuse, hang and lie; HTTP and SMTP."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest

from inferwatch.infra.demo.vendors import pagerduty_faults, slack_faults
from inferwatch.infra.notifiers import build, build_one
from inferwatch.schemas import receivers as schema
from inferwatch.schemas.alerts import Notification
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import DeliveryError, Misconfigured
from inferwatch.schemas.settings import Settings
from tests.support.notes import DRIFT, GROUP, HOSTILE, HOSTILE_GROUP, NOTE, NOW, RESOLVED, STORM
from tests.support.receiving import SECRET, HttpServer, MailServer, http_server, mail_server

KEY = "0123456789abcdef0123456789abcdef"
GOLDEN = Path(__file__).parents[1] / "golden" / "notifications"
KINDS = {get_args(one.model_fields["type"].annotation)[0]: one for one in get_args(get_args(schema.Receiver)[0])}
FAULTS = {"slack": slack_faults, "slack_app": slack_faults, "pagerduty": pagerduty_faults}
ACCEPTED = {"slack_app": '{"ok": true, "messages": [], "ts": "1.2"}'}

Server = HttpServer | MailServer


def made(kind: str, url: str, port: int = 0, allow: tuple[str, ...] = (), **options: Any) -> Any:
    own: dict[str, Any] = {
        "slack": {"webhook_url": url},
        "slack_app": {"url": url, "bot_token": KEY, "channel": "C0123456789"},
        "pagerduty": {"url": url, "routing_key": KEY},
        "webhook": {"url": url, "secret": KEY, "authorization": f"Bearer {KEY}"},
        "alertmanager": {"url": url, "authorization": f"Bearer {KEY}"},
        "email": {
            "host": url,
            "port": port,
            "security": "none",
            "from": "alerts@example.com",
            "to": ["oncall@example.com", "team@example.com"],
        },
    }[kind]
    settings = {"type": kind, "name": f"my-{kind}", "allow_networks": allow} | own
    return build_one(KINDS[kind].model_validate(settings), ManualClock(NOW), **options)


@pytest.fixture(params=sorted(KINDS))
async def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def server(kind: str) -> AsyncIterator[Server]:
    if kind == "email":
        async with mail_server() as mails:
            yield mails
    else:
        async with http_server() as found:
            found.body = ACCEPTED.get(kind, "ok")
            yield found


def at(kind: str, server: Server, **options: Any) -> Any:
    if isinstance(server, MailServer):
        return made(kind, "127.0.0.1", server.port, **options)
    return made(kind, server.url, **options)


def received(server: Server) -> list[str]:
    """Return what the server was told, as text."""
    if isinstance(server, MailServer):
        return [str(mail["X-Inferwatch-Alert"]) + str(mail.get_body(("plain",))) for mail in server.mails]
    return [body.decode() for _, _, body in server.requests]


async def refused(notifier: Any, note: Notification = NOTE) -> DeliveryError:
    with pytest.raises(DeliveryError) as error:
        await notifier.notify(note)
    await notifier.close()
    assert error.value.__cause__ is None
    text = f"{error.value} {error.value!r}"
    assert SECRET not in text
    assert KEY not in text
    assert notifier.name in text
    return error.value


NOTES = {
    "firing": NOTE,
    "resolved": RESOLVED,
    "drift": DRIFT,
    "group": GROUP,
    "storm": STORM,
    "hostile": HOSTILE,
    "hostile group": HOSTILE_GROUP,
}


@pytest.mark.parametrize("name", NOTES)
async def test_every_notification_is_taken_and_names_its_alert(kind: str, server: Server, name: str) -> None:
    notifier, note = at(kind, server), NOTES[name]
    await notifier.notify(note)
    await notifier.close()
    told = received(server)
    assert told
    named = (
        note.alert_id.partition("-")[0] if kind == "alertmanager" else note.dedup_key if note.alerts else note.alert_id
    )
    named = note.alert_id if kind == "email" else named
    assert any(named in text for text in told)
    if isinstance(server, HttpServer):
        for path, headers, body in server.requests:
            assert headers["Content-Type"].startswith("application/json")
            json.loads(body, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
            if not path.endswith("conversations.history"):
                assert FAULTS.get(kind, lambda _: [])(_message_of(kind, body)) == []


def _message_of(kind: str, body: bytes) -> bytes:
    """Return the message within a call of Slack's Web API."""
    if kind != "slack_app":
        return body
    own = ("channel", "metadata", "ts", "thread_ts", "reply_broadcast")
    return json.dumps({name: value for name, value in json.loads(body).items() if name not in own}).encode()


@pytest.mark.parametrize("for_good", [False, True])
async def test_a_refusal_says_whether_it_is_for_good(kind: str, server: Server, for_good: bool) -> None:
    server.refuse(for_good=for_good)
    assert (await refused(at(kind, server))).retryable is not for_good


async def test_a_receiver_that_hangs_drops_or_is_gone_is_retried(kind: str, server: Server) -> None:
    for trouble in ("hang", "drop"):
        setattr(server, trouble, True)
        assert (await refused(at(kind, server, timeout=0.3))).retryable
    gone = made(kind, "127.0.0.1", 1) if kind == "email" else made(kind, f"http://127.0.0.1:1/hook/{SECRET}")
    assert (await refused(gone)).retryable


async def test_nothing_secret_is_logged_or_shown(
    kind: str, server: Server, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    notifier = at(kind, server)
    await notifier.notify(NOTE)
    await notifier.close()
    server.refuse(for_good=False)
    await refused(notifier)
    shown = caplog.text + repr(notifier) + repr(vars(notifier)) + "".join(capfd.readouterr())
    assert KEY not in shown
    assert SECRET not in "\n".join(record.getMessage() for record in caplog.records if "inferwatch" in record.name)


FORBIDDEN = ("169.254.169.254", "169.254.10.1", "0.0.0.0", "224.0.0.1", "[fe80::1]", "[::ffff:169.254.169.254]", "[::]")


@pytest.mark.parametrize("host", FORBIDDEN)
def test_an_address_that_only_a_mistake_would_name_is_refused_at_start(kind: str, host: str) -> None:
    where = host.strip("[]") if kind == "email" else f"https://{host}/hook/{SECRET}"
    with pytest.raises(Misconfigured, match=r"my-.*must not be reached.*allow_networks") as error:
        made(kind, where, 25)
    assert SECRET not in str(error.value)
    made(kind, where, 25, allow=("0.0.0.0/0", "::/0"))


async def test_a_name_is_looked_at_again_whenever_it_is_connected_to(
    kind: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name led elsewhere when the settings were read."""
    answers = ["127.0.0.1"]
    real = socket.getaddrinfo

    def rebound(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        return real(answers[0] if host == "rebound.test" else host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    where = "rebound.test" if kind == "email" else f"https://rebound.test/hook/{SECRET}"
    notifier = made(kind, where, 25, timeout=2)
    answers[0] = "169.254.169.254"
    error = await refused(notifier)
    assert error.retryable
    assert "169.254.169.254 is a cloud's metadata service" in str(error)


def test_no_receiver_type_escapes_this_suite(kind: str) -> None:
    url = "127.0.0.1" if kind == "email" else "https://x.example/hook"
    notifier = made(kind, url, 25)
    assert notifier.name == f"my-{kind}"
    assert "allow_networks" in KINDS[kind].model_fields


def test_build_names_every_receiver() -> None:
    declared = [
        {"type": "slack", "name": "a", "webhook_url": "https://hooks.example/1"},
        {"type": "pagerduty", "name": "b", "routing_key": KEY},
        {"type": "webhook", "name": "c", "url": "https://x.example"},
    ]
    settings = Settings.model_validate({"receivers": declared})
    assert {name: notifier.name for name, notifier in build(settings, ManualClock(NOW)).items()} == {
        "a": "a",
        "b": "b",
        "c": "c",
    }


GOLDEN_NOTES = {
    "firing": NOTE,
    "resolved": RESOLVED,
    "drift": DRIFT,
    "group": GROUP,
}


@pytest.mark.parametrize("name", GOLDEN_NOTES)
async def test_payloads_are_the_golden_ones(kind: str, server: Server, name: str) -> None:
    notifier = at(kind, server)
    await notifier.notify(GOLDEN_NOTES[name])
    await notifier.close()
    if isinstance(server, MailServer):
        [mail] = server.mails
        parts = {part: mail.get_body((part,)).get_content() for part in ("plain", "html")}  # type: ignore[union-attr]
        shown = "".join(f"{header}: {value}\n" for header, value in mail.items() if header != "Content-Type")
        told = f"{shown}\n{parts['plain']}\n{parts['html']}".replace("\r\n", "\n")
        path = GOLDEN / f"email_{name}.txt"
    else:
        bodies = [json.loads(body) for path, _, body in server.requests if not path.endswith("conversations.history")]
        told = json.dumps(bodies[0], indent=2, ensure_ascii=False) + "\n"
        path = GOLDEN / f"{kind}_{name}.json"
    if os.environ.get("INFERWATCH_WRITE_GOLDEN"):
        path.write_text(told)
    assert told == path.read_text()
