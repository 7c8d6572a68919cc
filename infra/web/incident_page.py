"""The page of one alert: what broke, since when, how bad, what changed, what to do first; the rest below."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import isnan
from urllib.parse import quote
from xml.etree.ElementTree import Element

from inferwatch.infra.web.chart import chart, told
from inferwatch.infra.web.example_card import example_card
from inferwatch.infra.web.incident_head import incident_head, said_by
from inferwatch.infra.web.markup import Child, el, moment
from inferwatch.infra.web.page import STATE_WORDS, badge, listed, page, section
from inferwatch.infra.web.segments_table import segments_table
from inferwatch.schemas.rules import RECURRENCE
from inferwatch.streams.alerting.wording import subject
from inferwatch.streams.incidents.deliveries import Message
from inferwatch.streams.incidents.incident import Incident
from inferwatch.streams.incidents.notes import Kind
from inferwatch.streams.incidents.timeline import Entry, timeline

APART = timedelta(minutes=10)
"""An event and the moment it was seen are both named when they are further apart."""
FIRST = 3
"""Examples that are shown at once."""


def incident_page(incident: Incident, now: datetime) -> bytes:
    """Return the page. ``now`` is for how long it has lasted."""
    episode = incident.episode
    word = STATE_WORDS.get(episode.state, episode.state)
    return page(
        f"[{word.upper()}] {incident.title}",
        incident_head(incident, now),
        _gone(incident),
        _chart(incident),
        segments_table(incident.contributions),
        _examples(incident),
        _drift(incident),
        _neighbours(incident),
        _silences(incident),
        section("Timeline", _timeline(incident)),
        _notes(incident),
        _messages(incident),
        _sql(incident),
        _about(incident),
    )


def _gone(incident: Incident) -> Element | None:
    if not incident.gone:
        return None
    return el("section", el("h2", "What is missing here"), listed(list(incident.gone)), class_="card gone")


# What there is to look at -------------------------------------------------------------------------------------------


def _chart(incident: Incident) -> Element | None:
    points = incident.numbers.points
    if not points:
        return None
    metric = incident.episode.metric
    rows = [el("tr", el("td", moment(one.start)), el("td", told(one, metric).partition(": ")[2])) for one in points]
    bands = any(not isnan(one.low) for one in points)
    legend = "Line: the number of each window, at its end. Shaded: the alert. Times are UTC."
    if metric.endswith(RECURRENCE):
        legend = f"How rarely evidence this strong is there without drift: the higher, the surer. {legend}"
    return section(
        subject(metric),
        el("p", el("code", metric), class_="quiet"),
        chart(incident),
        el("p", legend + (" Band: 95 % interval." if bands else ""), class_="quiet"),
        el("details", el("summary", f"The numbers of {len(points)} windows"), el("table", el("tbody", *rows))),
    )


def _examples(incident: Incident) -> Element | None:
    cards = [example_card(one) for one in incident.examples]
    if cards:
        rest = cards[FIRST:]
        more = el("details", el("summary", f"{len(rest)} more"), *rest) if rest else None
        return section("Examples", *cards[:FIRST], more, card=False)
    lines = [str(one) for one in incident.told.get("examples") or ()]
    if not lines:
        return None
    return section("Examples, as they were told", *(el("blockquote", line) for line in lines))


def _drift(incident: Incident) -> Element | None:
    if not incident.picture:
        return None
    path = f"/api/v1/alerts/{quote(incident.episode.alert_id, safe='')}/explanation.svg"
    picture = el(
        "img", src=path, alt="The window's rows over those of the reference; what is new stands out", loading="lazy"
    )
    return section("Picture of the change", el("a", picture, href=path, class_="picture"))


def _neighbours(incident: Incident) -> Element | None:
    if not incident.neighbours:
        return None
    items: list[Child] = [
        el(
            "span", badge(one.state, one.severity), " ",
            el("a", f"{one.rule}: {' · '.join(one.labels.values())}", href=f"/alerts/{quote(one.alert_id, safe='')}"),
            " since ", moment(one.since), class_=f"alert-line {one.state}",
        )
        for one in incident.neighbours
    ]  # fmt: skip
    return section("At the same time", listed(items))


def _silences(incident: Incident) -> Element | None:
    if not incident.silences:
        return None
    items: list[Child] = [
        el(
            "span",
            el("code", ", ".join(map(str, one.matchers))),
            f" by {one.author} until ",
            moment(one.ends_at),
            f": {one.comment}",
        )
        for one in incident.silences
    ]
    return section("Silenced", listed(items))


def _timeline(incident: Incident) -> Element:
    return el(
        "ol", *(el("li", *_when(one), " ", one.text, class_=one.kind) for one in timeline(incident)), class_="timeline"
    )


def _when(entry: Entry) -> list[Child]:
    if entry.event is None:
        return [moment(entry.at)]
    if abs(entry.at - entry.event) < APART:
        return [moment(entry.event)]
    return [moment(entry.event), el("span", " (seen ", moment(entry.at), ")", class_="quiet")]


def _notes(incident: Incident) -> Element:
    written: list[Child] = [
        el("li", el("b", one.author), " ", moment(one.at), el("p", one.text))
        for one in incident.notes
        if one.kind is Kind.NOTE
    ]
    field = el("textarea", name="text", rows="3", maxlength="4000", required="required", aria_label="Note")
    return section(
        "Notes",
        el("ul", *written, class_="notes") if written else None,
        said_by(incident, "notes", field, el("button", "Add note", type="submit")),
    )


def _messages(incident: Incident) -> Element:
    if not incident.messages:
        return section("Deliveries", el("p", "Nobody was told.", class_="quiet"))
    head = el("tr", *(el("th", name) for name in ("receiver", "of", "status", "attempts", "last")))
    rows = [row for one in incident.messages for row in _message(one)]
    return section("Deliveries", el("table", el("thead", head), el("tbody", *rows)))


def _message(one: Message) -> list[Element]:
    row = el(
        "tr", el("td", one.receiver), el("td", STATE_WORDS.get(one.says, one.says)),
        el("td", one.status, class_=f"delivery {one.status}"), el("td", str(one.attempts), class_="number"),
        el("td", moment(one.at)),
    )  # fmt: skip
    if not one.error:
        return [row]
    again = el("span", "; again at ", moment(one.again_at)) if one.again_at is not None else None
    return [row, el("tr", el("td", one.error, again, colspan="5", class_="quiet error"))]


def _sql(incident: Incident) -> Element | None:
    if not incident.sql:
        return None
    return section(
        "The number again, in SQL",
        el("button", "Copy SQL", type="button", data_copy="sql"),
        el("pre", incident.sql, id="sql"),
    )


def _about(incident: Incident) -> Element:
    episode = incident.episode
    path = f"/api/v1/alerts/{quote(episode.alert_id, safe='')}"
    rule = incident.rule
    facts = [
        ("Rule", episode.rule if rule is not None else f"{episode.rule} (not in the configuration any more)"),
        ("Metric", episode.metric),
        ("Condition", incident.condition),
        ("Recovers at", "" if rule is None or rule.resolve_when is None else str(rule.resolve_when)),
        ("Alert", episode.alert_id),
        ("Instance", episode.fingerprint),
    ]
    return section(
        "About",
        el("dl", *(el("div", el("dt", name), el("dd", said)) for name, said in facts if said)),
        el("p", el("a", "All of this as JSON", href=path)),
    )
