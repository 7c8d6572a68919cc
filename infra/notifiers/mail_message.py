"""A notification as mail, in text and HTML.

References:
    RFC 5322 (3.6.4: Message-ID, In-Reply-To, References), RFC 3834 (Auto-Submitted).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from urllib.parse import urlsplit

from inferwatch.infra.notifiers.lines import left_out, measured, word, worst_first
from inferwatch.schemas.alerts import AlertLine, Notification, State
from inferwatch.schemas.rules import Severity
from inferwatch.streams.alerting.wording import cut, interval, number, span, utc

SUBJECT, TEXT, EXAMPLES, FINDINGS, ALERTS = 150, 8000, 5, 10, 50
"""Most characters of the subject and of a text, most examples, findings and alerts of a group."""
COLOURS = {
    Severity.CRITICAL: "#b3261e",
    Severity.ERROR: "#b3261e",
    Severity.WARNING: "#8a5300",
    Severity.INFO: "#0b57d0",
}
OVER, UNKNOWN = "#146c2e", "#5f6368"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_URGENT = (Severity.CRITICAL, Severity.ERROR)
_STYLE = "font:15px/1.5 -apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif;color:#1f1f1f;max-width:680px"
_TITLE = "font-size:19px;margin:0 0 12px;padding-left:12px"
_CODE = "background:#f1f3f4;padding:12px;white-space:pre-wrap;font:13px/1.4 Menlo,Consolas,monospace"


def mail(note: Notification, sender: str, to: Sequence[str], now: datetime) -> EmailMessage:
    """Return the mail. Its Message-ID is the notification's, so that a repetition can be recognised by a mail server.

    All mails of one alert refer to one that never was sent, and so form a thread, in whatever order they come.

    Args:
        note: what it tells.
        sender: address it comes from; its domain is that of the Message-ID.
        to: addresses.
        now: for the header Date.
    """
    domain = sender.partition("@")[2]
    thread = f"<{_digest(note.dedup_key)}.thread.inferwatch@{domain}>"
    found = EmailMessage(policy=SMTP)
    found["Subject"] = cut(f"[{word(note.status, note.severity)}] {one_line(note.title)}", SUBJECT)
    found["From"] = f"inferwatch <{sender}>"
    found["To"] = ", ".join(to)
    found["Date"] = format_datetime(now)
    found["Message-ID"] = f"<{_digest(note.id)}.inferwatch@{domain}>"
    found["In-Reply-To"] = thread
    found["References"] = thread
    found["Auto-Submitted"] = "auto-generated"
    found["X-Inferwatch-Alert"] = cut(one_line(note.alert_id), SUBJECT)
    if note.severity in _URGENT and note.status is not State.RESOLVED:
        found["X-Priority"] = "1"
        found["Importance"] = "high"
    found.set_content(text(note), cte="quoted-printable")
    found.add_alternative(html(note), subtype="html", cte="quoted-printable")
    return found


def text(note: Notification) -> str:
    """Return the mail for those who read it as text."""
    parts = [f"{word(note.status, note.severity)}: {one_line(note.title)}", _said(note)]
    if note.alerts:
        alerts = worst_first(note.alerts)[:ALERTS]
        parts += [f"{word(one.status, one.severity)}: {_shown(one)}\n  {measured(one)}\n  {one.url}" for one in alerts]
        parts.append(left_out(ALERTS, note.alerts))
    else:
        parts.append("\n".join(f"{name}: {value}" for name, value in _facts(note)))
    parts += [f"{title}\n\n{body}" for title, body in _sections(note)]
    if note.url:
        parts.append(f"Open: {note.url}")
    parts.append(f"alert {note.alert_id}, metric {note.metric}, window end {utc(note.at)}")
    return _clean("\n\n".join(part for part in parts if part)) + "\n"


def html(note: Notification) -> str:
    """Return the mail as HTML: no script, no picture from elsewhere, every text escaped, styles in place."""
    colour = _colour(note.status, note.severity)
    title = f"{word(note.status, note.severity)}: {one_line(note.title)}"
    parts = [
        f'<h1 style="{_TITLE};border-left:5px solid {colour}">{_html(title)}</h1>',
        f"<p>{_html(_said(note))}</p>",
    ]
    if note.alerts:
        parts += [_item(one) for one in worst_first(note.alerts)[:ALERTS]]
        parts.append(f"<p>{_html(left_out(ALERTS, note.alerts))}</p>")
    else:
        rows = "".join(
            f'<tr><th style="text-align:left;vertical-align:top;padding:2px 16px 2px 0;font-weight:600">{_html(name)}'
            f'</th><td style="padding:2px 0">{_html(value)}</td></tr>'
            for name, value in _facts(note)
        )
        parts.append(f'<table style="border-collapse:collapse;margin:12px 0">{rows}</table>')
    if _is_web(note.url):
        button = f"background:{colour};color:#fff;padding:9px 18px;border-radius:4px;text-decoration:none"
        parts.append(
            f'<p style="margin:18px 0"><a href="{escape(note.url)}" style="{button}">Open in inferwatch</a></p>'
        )
    for name, body in _sections(note):
        look = f' style="{_CODE}"' if name == SQL else ' style="white-space:pre-wrap;margin:0 0 12px"'
        parts.append(f'<h2 style="font-size:16px;margin:18px 0 4px">{_html(name)}</h2><div{look}>{_html(body)}</div>')
    foot = f"alert {note.alert_id}, metric {note.metric}, window end {utc(note.at)}"
    parts.append(f'<p style="color:{UNKNOWN};font-size:12px">{_html(foot)}</p>')
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"></head><body><div style="{_STYLE}">\n'
        f"{body}\n</div></body></html>\n"
    )


SQL = "Compute the number again"


def one_line(said: str) -> str:
    """Return ``said`` without line breaks, control characters and direction overrides: it can begin no header."""
    return " ".join(_CONTROL.sub(" ", said).split())


def _said(note: Notification) -> str:
    return cut(note.summary, TEXT)


def _shown(alert: AlertLine) -> str:
    return cut(one_line(alert.title), SUBJECT)


def _facts(note: Notification) -> Iterator[tuple[str, str]]:
    yield "Where", cut(", ".join(f"{name} {value}" for name, value in sorted(note.labels.items())), TEXT)
    yield "Since", f"{utc(note.since)} ({span(note.at - note.since)})"
    sure = interval(note.ci_low, note.ci_high, note.metric)
    yield "Value", f"{number(note.value, note.metric)}{f' ({sure})' if sure else ''} from {note.n:,} inferences"
    yield "Fires at", note.threshold
    if note.reference:
        yield "Compare", cut(note.reference, TEXT)


def _sections(note: Notification) -> Iterator[tuple[str, str]]:
    if note.status is not State.RESOLVED:
        if note.description:
            yield "What to do", cut(note.description, TEXT)
        if note.findings:
            yield "What changed", "\n".join(f"- {cut(one, TEXT)}" for one in note.findings[:FINDINGS])
        if note.picture:
            yield "Picture of the change", cut(note.picture, TEXT)
        if note.examples:
            yield (
                "Examples of the first" if note.alerts else "Examples",
                "\n".join(cut(one, TEXT) for one in note.examples[:EXAMPLES]),
            )
    if note.sql:
        yield SQL, f'inferwatch sql "{cut(note.sql, TEXT)}"'


def _item(alert: AlertLine) -> str:
    title = _html(f"{word(alert.status, alert.severity)}: {_shown(alert)}")
    linked = f'<a href="{escape(alert.url)}" style="color:#1f1f1f">{title}</a>' if _is_web(alert.url) else title
    look = f"border-left:5px solid {_colour(alert.status, alert.severity)};padding:2px 0 2px 12px;margin:0 0 10px"
    return f'<div style="{look}"><b>{linked}</b><br>{_html(measured(alert))}</div>'


def _is_web(url: str) -> bool:
    return len(url) <= TEXT and urlsplit(url).scheme in ("http", "https")


def _colour(status: State, severity: Severity) -> str:
    if status is State.RESOLVED:
        return OVER
    return COLOURS[severity] if status is State.FIRING else UNKNOWN


def _html(said: str) -> str:
    return escape(_clean(said))


def _clean(said: str) -> str:
    return _CONTROL.sub(" ", said.encode("utf-8", "replace").decode())


def _digest(said: str) -> str:
    return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:32]
