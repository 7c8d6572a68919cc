"""Servers that take notifications, or do not, as they are told: over HTTP and over SMTP."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from aiohttp import web

SECRET = "T0PSECRET"


@dataclass
class HttpServer:
    """Answers as told and keeps what it got."""

    url: str = ""
    status: int = 200
    body: str = "ok"
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    drop: bool = False
    pieces: list[str] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    elsewhere: int = 0

    def refuse(self, *, for_good: bool) -> None:
        self.status, self.body = (403, "refused") if for_good else (503, "refused")


@asynccontextmanager
async def http_server() -> AsyncIterator[HttpServer]:
    """Yield a server whose address holds ``SECRET``; paths below it are taken as well."""
    state = HttpServer()
    released = asyncio.Event()

    async def take(request: web.Request) -> web.StreamResponse:
        state.requests.append((request.path, dict(request.headers), await request.read()))
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

    async def elsewhere(_: web.Request) -> web.Response:
        state.elsewhere += 1
        return web.Response(text="ok")

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post(f"/hook/{SECRET}{{below:.*}}", take)
    app.router.add_route("*", "/elsewhere", elsewhere)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    state.url = f"{site.name}/hook/{SECRET}"
    yield state
    released.set()
    await runner.cleanup()


@dataclass
class MailServer:
    """Speaks SMTP (RFC 5321) with STARTTLS and AUTH PLAIN, and keeps the mails it accepted.

    ``says`` replaces the answer to a command: ``{"RCPT": "550 no such user"}``.
    """

    port: int = 0
    says: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    drop: bool = False
    offers_tls: bool = True
    login: tuple[str, str] | None = None
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    def refuse(self, *, for_good: bool) -> None:
        self.says["MAIL"] = "550 5.7.1 refused" if for_good else "451 4.3.2 later"


@asynccontextmanager
async def mail_server(context: ssl.SSLContext | None = None, *, implicit: bool = False) -> AsyncIterator[MailServer]:
    """Yield a server on a loopback port; with ``context`` it can encrypt, with ``implicit`` it does from the start."""
    state = MailServer(offers_tls=context is not None and not implicit)
    conversations: set[asyncio.Task[None]] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations.add(task)
        try:
            await _converse(state, context, reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            conversations.discard(task)
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    server = await asyncio.start_server(take, "127.0.0.1", 0, limit=2**24, ssl=context if implicit else None)
    state.port = server.sockets[0].getsockname()[1]
    yield state
    server.close()
    for task in conversations:
        task.cancel()
    await asyncio.gather(*conversations, return_exceptions=True)
    await server.wait_closed()


async def _converse(
    state: MailServer, context: ssl.SSLContext | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    def say(text: str) -> None:
        writer.write(text.encode() + b"\r\n")

    say("220 mail.test ESMTP")
    encrypted = writer.get_extra_info("ssl_object") is not None
    while line := await reader.readline():
        command, _, rest = line.decode().strip().partition(" ")
        command = command.upper()
        if state.hang:
            await asyncio.Event().wait()
        if state.drop:
            writer.transport.abort()
            return
        if command in state.says:
            say(state.says[command])
        elif command == "EHLO":
            offers = [
                *(["STARTTLS"] if state.offers_tls and not encrypted else []),
                *(["AUTH PLAIN"] if state.login else []),
            ]
            lines = ["mail.test", *offers, "8BITMIME"]
            writer.write("".join(f"250{'-' if one != lines[-1] else ' '}{one}\r\n" for one in lines).encode())
        elif command == "STARTTLS":
            say("220 go ahead")
            assert context is not None
            await writer.start_tls(context)
            encrypted = True
        elif command == "AUTH":
            given = tuple(base64.b64decode(rest.split()[1]).decode().split("\0")[1:])
            say("235 welcome" if given == state.login else f"535 5.7.8 wrong: {given[-1]}")
        elif command == "RCPT":
            state.recipients.append(rest)
            say("250 OK")
        elif command == "DATA":
            say("354 go on")
            raw = await reader.readuntil(b"\r\n.\r\n")
            state.raw.append(raw)
            state.encrypted.append(encrypted)
            made = message_from_bytes(raw[:-3].replace(b"\r\n..", b"\r\n."), policy=default)
            assert isinstance(made, EmailMessage)
            state.mails.append(made)
            say("250 taken")
        elif command == "QUIT":
            say("221 bye")
            return
        else:
            say("250 OK")
