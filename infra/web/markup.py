"""HTML as a tree: texts of strangers become text because nothing else can come of them."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree.ElementTree import Element, tostring

Child = Element | str | None


def el(tag: str, *children: Child, **attributes: str | None) -> Element:
    """Return an element; ``class_`` is class, ``aria_label`` is aria-label, and an attribute that is None is left out.

    >>> tostring(el("p", "a < b", el("b", "!"), class_="x"), encoding="unicode", method="html")
    '<p class="x">a &lt; b<b>!</b></p>'
    """
    known = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items() if value is not None}
    node = Element(tag, known)
    last: Element | None = None
    for child in children:
        if isinstance(child, str):
            if last is None:
                node.text = (node.text or "") + child
            else:
                last.tail = (last.tail or "") + child
        elif child is not None:
            node.append(child)
            last = child
    return node


def document(root: Element) -> bytes:
    """Return a whole page as UTF-8; what cannot be encoded becomes a question mark."""
    return b"<!doctype html>\n" + tostring(root, encoding="unicode", method="html").encode("utf-8", "replace")


def moment(at: datetime, *, day: bool = True) -> Element:
    """Return a time in UTC; the script adds the reader's own."""
    at = at.astimezone(UTC)
    shown = f"{at:%H:%M}" if not at.second else f"{at:%H:%M:%S}"
    said = f"{shown} UTC, {at.day} {at:%b}" if day else shown
    return el("time", said, datetime=f"{at:%Y-%m-%dT%H:%M:%SZ}")
