"""A Slack app that posts into one channel: threads, updates, and no message twice.

What was posted is looked up in Slack itself, by the metadata that each of our messages carries. So nothing has to be
kept here, any worker can go on where another stopped, and a message whose acceptance was lost is found again.

References:
    Slack, Web API methods chat.postMessage, chat.update, conversations.history, conversations.replies;
    "Using message metadata".
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson
from pydantic import SecretStr

from inferwatch.infra.notifiers.http import Sender
from inferwatch.infra.notifiers.slack_message import fitted, heading, message
from inferwatch.schemas.alerts import Notification, State
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import DeliveryError
from inferwatch.schemas.receivers import SlackAppReceiver

logger = logging.getLogger(__name__)

EVENT = "inferwatch_alert"
PAGE, PAGES = 200, 5
"""Messages asked for at once, and how often: in a channel busier than that an alert starts a new thread."""
EARLIER = timedelta(minutes=10)
"""How far before the start of an alert its first message may lie by Slack's clock."""
_LATER = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
_MOST_BYTES = 8 * 1024 * 1024


class Refused(Exception):
    """Slack's own error code of an answered call."""


class SlackApp:
    """Posts the first message of an alert, answers it in its thread afterwards, and keeps its head up to date."""

    def __init__(self, settings: SlackAppReceiver, clock: Clock, **options: Any) -> None:
        self.name = settings.name
        self._channel = settings.channel
        token = settings.bot_token.get_secret_value()
        self._sender = Sender(
            settings.name,
            SecretStr(settings.url.rstrip("/")),
            clock,
            authorization=SecretStr(f"Bearer {token}"),
            allow=settings.allow_networks,
            read_bytes=_MOST_BYTES,
            **options,
        )

    async def notify(self, note: Notification) -> None:
        """Post ``note`` unless it is there already.

        Raises:
            DeliveryError: it was not accepted; it may be tried again where Slack may accept it later.
        """
        try:
            head = await self._head(note)
            if head is None:
                await self._post(note)
            elif not _is(head, "id", note.id) and not await self._answered(note, head):
                # A repetition must be seen in the channel; that it is over is seen at the head of the thread.
                again = note.status is not State.RESOLVED
                await self._post(note, thread_ts=head["ts"], reply_broadcast=again)
                await self._update(note, head)
        except Refused as error:
            raise self._sender.failed(f"Slack refused it: {error}", retryable=False) from None

    async def close(self) -> None:
        await self._sender.close()

    async def _head(self, note: Notification) -> dict[str, Any] | None:
        """Return the first message about this alert, as Slack has it; None where none is found."""
        begun = min((note.since, *(one.since for one in note.alerts)))
        oldest = f"{(begun - EARLIER).timestamp():.6f}"
        found = None
        try:
            cursor = ""
            for _ in range(PAGES):
                page = await self._call("conversations.history", oldest=oldest, limit=PAGE, cursor=cursor)
                ours = [one for one in page.get("messages", []) if _is(one, "dedup_key", note.dedup_key)]
                # Newest first; a broadcast reply is no head.
                heads = [one for one in ours if one.get("thread_ts", one["ts"]) == one["ts"]]
                found = heads[-1] if heads else found
                cursor = (page.get("response_metadata") or {}).get("next_cursor", "")
                if not cursor:
                    break
        except Refused as error:
            logger.warning("receiver %r: alerts get no threads, Slack's history says %s", self.name, error)
        return found

    async def _answered(self, note: Notification, head: Mapping[str, Any]) -> bool:
        if not head.get("reply_count"):
            return False
        page = await self._call("conversations.replies", ts=head["ts"], limit=PAGE)
        return any(_is(one, "id", note.id) for one in page.get("messages", []))

    async def _post(self, note: Notification, **more: Any) -> None:
        await self._call("chat.postMessage", **message(note), metadata=_metadata(note), **more)

    async def _update(self, note: Notification, head: Mapping[str, Any]) -> None:
        """Make the head say what is so now. The alert is told already, so that a failure here is only logged."""
        new = message(note)
        if not note.alerts:
            rest = [block for block in head.get("blocks", []) if block.get("block_id") not in ("title", "summary")]
            new["blocks"] = fitted([*heading(note), *rest])
        told = {name: new[name] for name in ("text", "blocks")} | {"metadata": head["metadata"]}
        try:
            await self._call("chat.update", ts=head["ts"], **told)
        except (Refused, DeliveryError) as error:
            logger.warning("receiver %r: the first message of %s stays as it was: %s", self.name, note.alert_id, error)

    async def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Call one method of the Web API.

        Raises:
            DeliveryError: it got no usable answer, or one that says to come back later.
            Refused: Slack answered that it will not do this.
        """
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if method.startswith("conversations."):
            arguments["include_all_metadata"] = True
        body = orjson.dumps({"channel": self._channel} | {name: one for name, one in arguments.items() if one != ""})
        answer = await self._sender.post(body, headers, path=f"/{method}")
        try:
            found = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise self._sender.failed(f"answered {answer.status} to {method}, but no JSON object", retryable=True)
        if not found.get("ok"):
            error = str(found.get("error", "no reason given"))[:100]
            if error in _LATER:
                raise self._sender.failed(f"{method}: {error}", retryable=True, retry_after=answer.retry_after)
            raise Refused(f"{method}: {error}")
        return found


def _metadata(note: Notification) -> dict[str, Any]:
    return {
        "event_type": EVENT,
        "event_payload": {"id": note.id, "alert_id": note.alert_id, "dedup_key": note.dedup_key},
    }


def _is(posted: Mapping[str, Any], name: str, value: str) -> bool:
    """Whether a message in Slack is ours and its metadata say so."""
    metadata = posted.get("metadata") or {}
    return metadata.get("event_type") == EVENT and (metadata.get("event_payload") or {}).get(name) == value
