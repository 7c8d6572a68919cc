"""One row of an alert with its evidence marked in the text."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from inferwatch.infra.web.markup import Child, el, moment
from inferwatch.streams.incidents.examples import Example, Excerpt, Mark

STRONG = 0.9


def example_card(example: Example) -> Element:
    """Return the card: the text that shows it first, the other below."""
    other = "input" if example.shows == "output" else "output"
    sides = {"input": example.input, "output": example.output}
    children: list[Child] = [el("p", *_head(example), class_="quiet")]
    if example.error:
        children.append(el("p", f"Failed: {example.error}", class_="error"))
    if example.unscored:
        children.append(el("p", f"Not scored: {example.unscored}", class_="error"))
    if not example.texts:
        children.append(el("p", "No texts: privacy.store_text is false.", class_="quiet"))
    for side in ("input", "output"):
        if sides[side].text:
            marks = [mark for mark in example.evidence if mark.field == side]
            name = {"input": "Asked", "output": "Answered"}[side]
            body = el("blockquote", *marked(sides[side], marks), class_="shown" if side != other else None)
            children += [el("h3", name), body]
    reasons = list(dict.fromkeys(mark.reason for mark in example.evidence if mark.reason))
    if reasons:
        children += [el("h3", "Why"), el("ul", *(el("li", reason) for reason in reasons))]
    if example.contexts:
        quoted = [el("blockquote", *marked(one, ())) for one in example.contexts]
        children.append(el("details", el("summary", f"Contexts ({len(quoted)})"), *quoted))
    return el("article", *children, class_="card example")


def marked(excerpt: Excerpt, marks: Sequence[Mark]) -> list[Child]:
    """Return the text with its evidence in ``mark`` elements. Where pieces overlap, the strongest one shows.

    Offsets are of the whole field; what lies outside the excerpt is not shown.
    """
    strength: dict[int, float] = {}
    for mark in sorted(marks, key=lambda one: one.score):
        if mark.start is None or mark.end is None:
            continue
        first, last = max(mark.start - excerpt.offset, 0), min(mark.end - excerpt.offset, len(excerpt.text))
        strength |= dict.fromkeys(range(first, last), mark.score)
    pieces: list[Child] = ["… "] if excerpt.offset else []
    place = 0
    while place < len(excerpt.text):
        end = place + 1
        while end < len(excerpt.text) and strength.get(end) == strength.get(place):
            end += 1
        text, score = excerpt.text[place:end], strength.get(place)
        if score is None:
            pieces.append(text)
        else:
            pieces.append(el("mark", text, class_="strong" if score >= STRONG else None, title=f"score {score:.2f}"))
        place = end
    if not excerpt.whole:
        pieces.append(" …")
    return pieces


def _head(example: Example) -> list[Child]:
    said: list[Child] = [moment(example.timestamp)]
    if example.score is not None:
        said.append(f" · score {example.score:.2f}")
    said += [f" · {name} {value}" for name, value in example.origin.items()]
    if example.latency_ms is not None:
        said.append(f" · {example.latency_ms:,.0f} ms")
    said += [" · id ", el("code", example.id)]
    if example.trace_id:
        said += [" · trace ", el("code", example.trace_id)]
    return said
