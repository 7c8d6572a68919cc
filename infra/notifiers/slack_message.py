"""A notification as a Slack message in Block Kit.

References:
    Slack, "Block Kit reference"; "Formatting text for app surfaces". That all blocks together may hold some 13,000
    characters is documented for markdown blocks only, and holds for others: slackapi/bolt-js issue 2509.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from inferwatch.infra.notifiers.lines import left_out, measured, word, worst_first
from inferwatch.schemas.alerts import AlertLine, Notification, State
from inferwatch.schemas.rules import Severity
from inferwatch.streams.alerting.wording import interval, number, span, utc

HEADER, SECTION, FIELD, URL, BLOCKS = 150, 3000, 2000, 3000, 50
"""Slack's limits: characters of a header, a section's text, one of its fields and a button's address; blocks."""
ALL_BLOCKS = 12_000
"""Characters that all blocks together may have, with what encloses the texts."""
SUMMARY, FINDING, TODO, WHERE, EXAMPLE, CODE, LINE, LINK = 1500, 250, 1000, 300, 400, 2400, 500, 500
"""What we let single parts have of them, so that every part has its place."""
EXAMPLES, FINDINGS, ALERTS = 3, 6, 12
SIGNS = {
    Severity.CRITICAL: ":red_circle:",
    Severity.ERROR: ":red_circle:",
    Severity.WARNING: ":large_orange_circle:",
    Severity.INFO: ":large_blue_circle:",
}
_OWN_SIGNS = {"resolved": ":white_check_mark:", "no_data": ":grey_question:", "error": ":warning:"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")

Block = dict[str, Any]


def message(note: Notification) -> dict[str, Any]:
    """Return the payload: what and how bad, where, since when, how much against what, examples, SQL.

    A grouped message has its worst alerts, one line each, and examples of the first.
    """
    return {
        "text": cut(f"{word(note.status, note.severity)}: {escape(note.title)}", SECTION),
        "blocks": fitted(_group(note) if note.alerts else _single(note)),
        "unfurl_links": False,
        "unfurl_media": False,
    }


def heading(note: Notification) -> list[Block]:
    """Return the first two blocks: sign, severity and title, and the sentence that sums it up."""
    said = f"{_sign(note.status, note.severity)} {word(note.status, note.severity)}: {plain(note.title)}"
    return [
        {"type": "header", "block_id": "title", "text": {"type": "plain_text", "text": cut(said, HEADER)}},
        _section(cut(escape(note.summary), SUMMARY), "summary"),
    ]


def fitted(blocks: Sequence[Block]) -> list[Block]:
    """Return ``blocks``, without the least needed ones where all together are too long for Slack, which is said."""
    kept = list(blocks)
    for droppable in ("sql", "examples", "what", "todo"):
        if len(kept) <= BLOCKS and len(orjson.dumps(kept).decode()) <= ALL_BLOCKS:
            break
        less = [block for block in kept if block.get("block_id") != droppable]
        if len(less) < len(kept):
            kept = [block for block in less if block.get("block_id") != "shortened"]
            kept.append({"type": "context", "block_id": "shortened", "elements": [_mrkdwn("Shortened for Slack.")]})
    return kept[:BLOCKS]


def _single(note: Notification) -> list[Block]:
    resolved = note.status is State.RESOLVED
    blocks = heading(note)
    if note.findings and not resolved:
        listed = "\n".join(f"• {cut(escape(' '.join(one.split())), FINDING)}" for one in note.findings[:FINDINGS])
        blocks.append(_section(f"*What changed*\n{listed}", "what"))
    if note.description and not resolved:
        blocks.append(_what_to_do(note))
    blocks.append({"type": "section", "block_id": "numbers", "fields": _fields(note)})
    if note.examples and not resolved:
        blocks.append(_examples(note, "Examples"))
    if note.sql:
        command = cut(f'inferwatch sql "{escape(note.sql)}', CODE)
        blocks.append(_section(f'*Compute the number again*\n```{command}"```', "sql"))
    # A link, not an image block: Slack would fetch an image without the login that the picture is behind.
    links = {"Open": note.url} | ({"Picture of the change": note.picture} if not resolved else {})
    blocks += _buttons(links)
    identity = f"alert `{escape(note.alert_id)}`  metric `{escape(note.metric)}`  window end {utc(note.at)}"
    return [*blocks, _context(identity)]


def _group(note: Notification) -> list[Block]:
    blocks = heading(note)
    if note.description and note.status is not State.RESOLVED:
        blocks.append(_what_to_do(note))
    blocks += [_section(_line(one)) for one in worst_first(note.alerts)[:ALERTS]]
    if more := left_out(ALERTS, note.alerts):
        blocks.append(_context(more))
    if note.examples and note.status is not State.RESOLVED:
        blocks.append(_examples(note, "Examples of the first"))
    blocks += _buttons({"Open the first": note.url})
    return [*blocks, _context(f"group `{escape(note.dedup_key)}`  window end {utc(note.at)}")]


def _line(alert: AlertLine) -> str:
    title = cut(escape(" ".join(alert.title.split())), HEADER)
    named = f"<{_address(alert.url)}|{title}>" if 0 < len(alert.url) <= LINK else title
    sign = _sign(alert.status, alert.severity)
    return f"{sign} *{named}*\n{cut(escape(measured(alert)), LINE)}"


def _sign(status: State, severity: Severity) -> str:
    return _OWN_SIGNS.get(status.value, SIGNS[severity])


def _examples(note: Notification, title: str) -> Block:
    quoted = "\n".join(f"> {cut(escape(' '.join(one.split())), EXAMPLE)}" for one in note.examples[:EXAMPLES])
    return _section(f"*{title}*\n{quoted}", "examples")


def _what_to_do(note: Notification) -> Block:
    # Written by the rule's author, not by a log: a runbook's address may become a link.
    return _section(f"*What to do*\n{cut(escape(note.description), TODO)}", "todo", verbatim=False)


def _fields(note: Notification) -> list[Block]:
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
    return [_mrkdwn(f"*{name}*\n{cut(text, WHERE)}") for name, text in rows.items()]


def _section(text: str, block_id: str = "", *, verbatim: bool = True) -> Block:
    found: Block = {"type": "section", "text": _mrkdwn(cut(text or "(no text)", SECTION), verbatim=verbatim)}
    return found | ({"block_id": block_id} if block_id else {})


def _context(text: str) -> Block:
    return {"type": "context", "elements": [_mrkdwn(cut(text, LINE))]}


def _mrkdwn(text: str, *, verbatim: bool = True) -> dict[str, Any]:
    """Return a text object; ``verbatim`` keeps Slack from making links of addresses in it."""
    return {"type": "mrkdwn", "text": text, "verbatim": verbatim}


def _buttons(links: Mapping[str, str]) -> list[Block]:
    """Return a row of buttons, without addresses that are too long: half an address leads nowhere."""
    found = [
        {"type": "button", "text": {"type": "plain_text", "text": text}, "url": url}
        for text, url in links.items()
        if 0 < len(url) <= LINK
    ]
    return [{"type": "actions", "elements": found}] if found else []


def _address(url: str) -> str:
    for sign, code in (("&", "&amp;"), ("<", "%3C"), (">", "%3E"), ("|", "%7C"), (" ", "%20")):
        url = url.replace(sign, code)
    return plain(url)


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
