"""Slack incoming webhooks, as a Block Kit message.

References:
    Slack, "Sending messages using incoming webhooks"; "Block Kit reference"; "Formatting text for app surfaces".
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from inferwatch.infra.notifiers.http import Sender
from inferwatch.schemas.alerts import Notification, State
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.rules import Severity
from inferwatch.schemas.settings import SlackReceiver
from inferwatch.streams.alerting.wording import interval, number, span, utc

HEADER, SECTION, FIELD = 150, 3000, 2000
EXAMPLES, FINDINGS = 3, 6
SIGNS = {
    Severity.CRITICAL: ":red_circle:",
    Severity.ERROR: ":red_circle:",
    Severity.WARNING: ":large_orange_circle:",
    Severity.INFO: ":large_blue_circle:",
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")


class Slack:
    """Posts one message per notification. Posts are not idempotent; the message carries the alert id."""

    def __init__(self, settings: SlackReceiver, clock: Clock, **options: Any) -> None:
        self.name = settings.name
        self._sender = Sender(settings.name, settings.webhook_url, clock, **options)

    async def notify(self, note: Notification) -> None:
        """Post ``note``. Slack has accepted it when it answers 200 with the body ``ok``.

        Raises:
            DeliveryError: it did not; 429 carries how long to wait.
        """
        answer = await self._sender.post(orjson.dumps(message(note)))
        if answer.body.strip() != "ok":
            raise self._sender.failed(f"answered {answer.status}, but not ok: {answer.body[:100]}", retryable=False)

    async def close(self) -> None:
        await self._sender.close()


def message(note: Notification) -> dict[str, Any]:
    """Return the payload: what and how bad, where, since when, how much against what, examples, SQL."""
    resolved = note.status is State.RESOLVED
    sign = ":white_check_mark:" if resolved else SIGNS[note.severity]
    word = "RESOLVED" if resolved else note.severity.value.upper()
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(f"{sign} {word}: {plain(note.title)}", HEADER)}},
        _section(escape(note.summary)),
    ]
    if note.findings and not resolved:
        listed = "\n".join(f"• {escape(' '.join(finding.split()))}" for finding in note.findings[:FINDINGS])
        blocks.append(_section(f"*What changed*\n{listed}"))
    if note.description and not resolved:
        # Written by the rule's author, not by a log: a runbook's address may become a link.
        blocks.append(_section(f"*What to do*\n{escape(note.description)}", verbatim=False))
    blocks.append({"type": "section", "fields": _fields(note)})
    if note.examples and not resolved:
        quoted = "\n".join(f"> {escape(' '.join(example.split()))}" for example in note.examples[:EXAMPLES])
        blocks.append(_section(f"*Examples*\n{quoted}"))
    if note.sql:
        command = cut(f'inferwatch sql "{escape(note.sql)}', SECTION - 60)
        blocks.append(_section(f'*Compute the number again*\n```{command}"```'))
    if note.url:
        # A link, not an image block: Slack would fetch an image without the login that the picture is behind.
        picture = [_button("Picture of the change", note.picture)] if note.picture and not resolved else []
        blocks.append({"type": "actions", "elements": [_button("Open", note.url), *picture]})
    identity = f"alert `{escape(note.alert_id)}`  metric `{escape(note.metric)}`  window end {utc(note.at)}"
    blocks.append({"type": "context", "elements": [_mrkdwn(cut(identity, FIELD))]})
    return {
        "text": cut(f"{word}: {escape(note.title)}", SECTION),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _fields(note: Notification) -> list[dict[str, Any]]:
    where = ", ".join(f"{name} {value}" for name, value in sorted(note.labels.items()))
    sure = interval(note.ci_low, note.ci_high, note.metric)
    rows = {
        "Where": escape(where),
        "Since": f"{utc(note.since)} ({span(note.at - note.since)})",
        "Value": f"{number(note.value, note.metric)}{f' ({sure})' if sure else ''} from {note.n:,} inferences",
        "Fires at": escape(note.threshold),
    }
    if note.reference:
        rows["Compare"] = escape(note.reference)
    return [_mrkdwn(cut(f"*{name}*\n{text}", FIELD)) for name, text in rows.items()]


def _section(text: str, *, verbatim: bool = True) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(cut(text or "(no text)", SECTION), verbatim=verbatim)}


def _mrkdwn(text: str, *, verbatim: bool = True) -> dict[str, Any]:
    """Return a text object; ``verbatim`` keeps Slack from making links of addresses in it."""
    return {"type": "mrkdwn", "text": text, "verbatim": verbatim}


def _button(text: str, url: str) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": text}, "url": url[:FIELD]}


def plain(text: str) -> str:
    """Return ``text`` without control characters and direction overrides, on one line."""
    return " ".join(_CONTROL.sub(" ", text).split())


def escape(text: str) -> str:
    """Make text from logs harmless in mrkdwn: it can form no link, no mention and no formatting run."""
    text = _CONTROL.sub(" ", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("`", "'")


def cut(text: str, limit: int) -> str:
    """Return at most ``limit`` characters, the last an ellipsis when something is missing; no entity is split."""
    if len(text) <= limit:
        return text
    return re.sub(r"&[a-z]{0,3}$", "", text[: limit - 1]) + "…"
