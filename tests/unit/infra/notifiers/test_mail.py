"""Mail: what a server is told, encrypted or not at all; threads; and that no text of a log becomes a header."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.infra.notifiers.mail import Mail
from inferwatch.infra.notifiers.mail_message import mail
from inferwatch.schemas.alerts import Notification, State
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import DeliveryError
from inferwatch.schemas.receivers import EmailReceiver
from tests.support.certificate import contexts
from tests.support.notes import DRIFT, GROUP, HOSTILE, HOSTILE_GROUP, NOTE, NOW, RESOLVED, STORM
from tests.support.receiving import MailServer, mail_server

SENDER, TO = "alerts@example.com", ("oncall@example.com", "team@example.com")
TEXT = st.text(st.characters(), max_size=200)


def made(server: MailServer, *, context: Any = None, timeout: float = 5, **settings: Any) -> Mail:
    own = {"type": "email", "name": "mail", "host": "127.0.0.1", "port": server.port, "from": SENDER, "to": TO}
    return Mail(EmailReceiver.model_validate(own | settings), ManualClock(NOW), context=context, timeout=timeout)


async def refused(notifier: Mail, note: Notification = NOTE) -> DeliveryError:
    with pytest.raises(DeliveryError) as error:
        await notifier.notify(note)
    return error.value


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_it_is_sent_encrypted_and_after_login(security: str, tmp_path: Path) -> None:
    ours, theirs = contexts(tmp_path)
    async with mail_server(ours, implicit=security == "tls") as server:
        server.login = ("inferwatch", "s3cret-word")
        await made(server, context=theirs, security=security, user="inferwatch", password="s3cret-word").notify(NOTE)
        assert server.encrypted == [True]
        assert server.recipients == [f"TO:<{one}>" for one in TO]
        error = await refused(
            made(server, context=theirs, security=security, user="inferwatch", password="wrong-word-here")
        )
    assert not error.retryable
    assert "535" in str(error)
    assert "wrong-word-here" not in str(error)


async def test_without_encryption_it_is_not_sent() -> None:
    async with mail_server() as server:
        error = await refused(made(server))
        assert error.retryable
        assert "STARTTLS" in str(error)
        assert server.mails == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_an_untrusted_certificate_ends_it(security: str, tmp_path: Path) -> None:
    ours, _ = contexts(tmp_path)
    async with mail_server(ours, implicit=security == "tls") as server:
        error = await refused(made(server, security=security))
        assert error.retryable
        assert "SSLCertVerificationError" in str(error)
        assert server.mails == []


async def test_a_certificate_of_another_name_ends_it(tmp_path: Path) -> None:
    ours, theirs = contexts(tmp_path, "127.0.0.2")
    async with mail_server(ours) as server:
        assert "SSLCertVerificationError" in str(await refused(made(server, context=theirs)))


@pytest.mark.parametrize(
    ("command", "said", "retryable"),
    [
        ("EHLO", "421 4.3.2 closing", True),
        ("MAIL", "452 4.3.1 full", True),
        ("MAIL", "550 5.7.1 no", False),
        ("RCPT", "450 4.2.1 greylisted", True),
        ("RCPT", "550 5.1.1 unknown", False),
        ("DATA", "554 5.7.1 spam", False),
        ("DATA", "451 4.3.0 later", True),
    ],
)
async def test_the_answer_decides_about_a_retry(command: str, said: str, retryable: bool) -> None:
    async with mail_server() as server:
        server.says[command] = said
        if command == "EHLO":
            server.says["HELO"] = said
        error = await refused(made(server, security="none"))
    assert error.retryable is retryable
    assert said[:3] in str(error)


async def test_no_thread_goes_on_after_the_time_is_up() -> None:
    before = threading.active_count()
    async with mail_server() as server:
        server.hang = True
        notifier = made(server, security="none", timeout=0.2)
        for _ in range(3):
            assert (await refused(notifier)).retryable
    # The default executor keeps idle threads; what it must not keep is one for each broken conversation.
    assert threading.active_count() - before <= 2


async def test_the_mails_of_an_alert_form_a_thread_and_a_repeated_one_is_the_same_mail() -> None:
    async with mail_server() as server:
        notifier = made(server, security="none")
        for note in (NOTE, NOTE, replace(RESOLVED, id="over"), replace(DRIFT, id="x", dedup_key="another")):
            await notifier.notify(note)
    first, again, over, other = server.mails
    assert first["Message-ID"] == again["Message-ID"] != over["Message-ID"]
    assert first["References"] == over["References"] == over["In-Reply-To"] != other["References"]
    assert part(first, "plain") == part(again, "plain")


@given(TEXT, TEXT, TEXT)
def test_no_text_becomes_a_header_or_markup(title: str, summary: str, alert_id: str) -> None:
    texts = {
        "title": f"x\r\nBcc: evil@example.com\r\n\r\n{title}",
        "alert_id": alert_id,
        "summary": f"<script>{summary}",
    }
    message = mail(replace(NOTE, **texts, dedup_key=alert_id), SENDER, TO, NOW)
    wire = message.as_bytes()
    head = wire.split(b"\r\n\r\n", 1)[0].decode("ascii")
    names = [line.partition(":")[0] for line in head.split("\r\n") if line[:1] not in (" ", "\t")]
    assert "Bcc" not in names
    assert len(names) == len(set(names))
    assert message["To"] == ", ".join(TO)
    assert "<script" not in part(message, "html")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("note", [NOTE, RESOLVED, DRIFT, GROUP, STORM, HOSTILE, HOSTILE_GROUP])
def test_html_loads_nothing_and_runs_nothing(note: Notification) -> None:
    message = mail(note, SENDER, TO, NOW)
    tags = _Tags()
    tags.feed(part(message, "html"))
    allowed = {"html", "head", "meta", "body", "div", "h1", "h2", "p", "table", "tr", "th", "td", "a", "b", "br"}
    assert {tag for tag, _ in tags.found} <= allowed
    assert all(attrs.get("href", "http:").startswith("http") for _, attrs in tags.found)  # type: ignore[union-attr]
    assert max(map(len, message.as_bytes().split(b"\r\n"))) <= 998


@pytest.mark.parametrize("read", [lambda one: part(one, "plain"), lambda one: part(one, "html")], ids=["text", "html"])
def test_both_forms_say_the_same(read: Callable[[EmailMessage], str]) -> None:
    told = read(mail(NOTE, SENDER, TO, NOW))
    for said in (
        "CRITICAL",
        NOTE.title,
        "12.3 %",
        "204 inferences",
        "2026-03-01 14:00 UTC",
        "Roll back",
        "Get lost",
        NOTE.url,
    ):
        assert said in told
    many = read(mail(STORM, SENDER, TO, NOW))
    assert "5,000 firing" in many
    assert "and 4,950 more: 4,950 critical" in many
    assert "RESOLVED" in read(mail(replace(NOTE, status=State.RESOLVED), SENDER, TO, NOW))
