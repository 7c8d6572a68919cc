"""One channel of Slack, as its Web API documents it: messages, threads, updates, metadata, pages, rate limits."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from inferwatch.infra.demo.vendors import slack_faults

TOKEN, CHANNEL = "xoxb-0123456789", "C0123456789"
_CONTENT = ("text", "blocks", "unfurl_links", "unfurl_media")


@dataclass
class SlackChannel:
    """What is in the channel, oldest first; ``errors`` are answers by method instead of doing it, once each."""

    url: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    lose_answers: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    clock: float = 1_772_374_500.0

    def heads(self) -> list[dict[str, Any]]:
        """Return what is seen in the channel itself."""
        return [
            one for one in self.messages if one.get("thread_ts", one["ts"]) == one["ts"] or one.get("reply_broadcast")
        ]

    def replies(self, head: dict[str, Any]) -> list[dict[str, Any]]:
        return [one for one in self.messages if one.get("thread_ts") == head["ts"] and one is not head]

    def post(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.faults += slack_faults(json.dumps({name: asked[name] for name in _CONTENT if name in asked}).encode())
        self.clock += 1
        made = {name: value for name, value in asked.items() if name != "channel"} | {"ts": f"{self.clock:.6f}"}
        self.messages.append(made)
        if "thread_ts" in asked:
            head = self._find(asked["thread_ts"])
            if head is None:
                return {"ok": False, "error": "thread_not_found"}
            head["thread_ts"] = head["ts"]
            head["reply_count"] = len(self.replies(head))
        return {"ok": True, "ts": made["ts"], "channel": CHANNEL}

    def update(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.faults += slack_faults(json.dumps({name: asked[name] for name in _CONTENT if name in asked}).encode())
        found = self._find(asked["ts"])
        if found is None:
            return {"ok": False, "error": "message_not_found"}
        found.update({name: asked[name] for name in ("text", "blocks", "metadata") if name in asked})
        return {"ok": True, "ts": asked["ts"]}

    def history(self, asked: dict[str, Any]) -> dict[str, Any]:
        newest_first = [one for one in reversed(self.heads()) if float(one["ts"]) > float(asked.get("oldest", 0))]
        start, size = int(asked.get("cursor", 0)), int(asked.get("limit", 100))
        more = start + size < len(newest_first)
        return {
            "ok": True,
            "messages": [self._shown(one, asked) for one in newest_first[start : start + size]],
            "has_more": more,
            "response_metadata": {"next_cursor": str(start + size) if more else ""},
        }

    def thread(self, asked: dict[str, Any]) -> dict[str, Any]:
        head = self._find(asked["ts"])
        assert head is not None
        return {"ok": True, "messages": [self._shown(one, asked) for one in (head, *self.replies(head))]}

    def _find(self, ts: str) -> dict[str, Any] | None:
        return next((one for one in self.messages if one["ts"] == ts), None)

    def _shown(self, message: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        hidden = () if asked.get("include_all_metadata") else ("metadata",)
        return {name: value for name, value in message.items() if name not in hidden}


@asynccontextmanager
async def slack_channel() -> AsyncIterator[SlackChannel]:
    """Yield a channel behind a Web API on this machine."""
    channel = SlackChannel()
    methods = {
        "chat.postMessage": channel.post,
        "chat.update": channel.update,
        "conversations.history": channel.history,
        "conversations.replies": channel.thread,
    }

    async def call(request: web.Request) -> web.Response:
        method = request.match_info["method"]
        channel.calls.append(method)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        if (error := channel.errors.pop(method, None)) is not None:
            if error == "ratelimited":
                return web.json_response({"ok": False, "error": error}, status=429, headers={"Retry-After": "30"})
            return web.json_response({"ok": False, "error": error})
        asked = await request.json()
        if asked.get("channel") != CHANNEL:
            return web.json_response({"ok": False, "error": "channel_not_found"})
        done = methods[method](asked)
        if method in channel.lose_answers:
            channel.lose_answers.discard(method)
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(done)

    app = web.Application()
    app.router.add_post("/api/{method}", call)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    channel.url = f"{site.name}/api"
    yield channel
    await runner.cleanup()
