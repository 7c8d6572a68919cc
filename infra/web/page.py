"""What every page of the service is made of: head, top bar, and the page for what is not there."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from inferwatch.infra.web.markup import Child, document, el

STATE_WORDS = {
    "firing": "firing",
    "recovering": "recovering",
    "pending": "pending",
    "resolved": "resolved",
    "inactive": "cancelled",
    "no_data": "no data",
    "error": "error",
}
"""Short names of an alert's states."""


def page(title: str, *children: Child, script: bool = True) -> bytes:
    """Return a page; ``script`` adds what copies, posts and keeps it fresh."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title),
        el("link", rel="stylesheet", href="/ui/dashboard.css"),
        el("link", rel="stylesheet", href="/ui/incident.css"),
    )
    bar = el(
        "header",
        el("h1", el("a", "inferwatch", href="/ui")),
        el("nav", el("a", "Alerts", href="/alerts"), " ", el("a", "Dashboard", href="/ui")),
    )
    body = el("body", bar, el("main", *children, id="live"))
    if script:
        body.append(el("script", src="/ui/incident.js", defer="defer"))
    return document(el("html", head, body, lang="en"))


def missing(message: str) -> bytes:
    """Return the page for an alert that is not there."""
    return page(
        "No such alert",
        el(
            "section",
            el("h2", "No such alert"),
            el("p", f"{message[:1].upper()}{message[1:]}."),
            el("p", el("a", "All alerts", href="/alerts"), " · ", el("a", "Dashboard", href="/ui")),
            class_="card",
        ),
        script=False,
    )


def section(title: str, *children: Child, card: bool = True) -> Element:
    """Return a section with a heading."""
    return el("section", el("h2", title), *children, class_="card" if card else None)


def listed(items: Sequence[Child], class_: str | None = None) -> Element:
    """Return a list."""
    return el("ul", *(el("li", item) for item in items), class_=class_)


def badge(state: str, severity: str) -> Element:
    """Return the state and severity of an alert."""
    return el("span", f"{STATE_WORDS.get(state, state)} · {severity}", class_="tag")
