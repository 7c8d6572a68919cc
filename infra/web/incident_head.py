"""The top of an alert's page: what broke, since when, how bad, what changed, what to do first."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import isnan
from urllib.parse import quote
from xml.etree.ElementTree import Element

from inferwatch.infra.web.markup import Child, el, moment
from inferwatch.infra.web.page import badge, listed
from inferwatch.schemas.rules import RECURRENCE
from inferwatch.streams.alerting.wording import number, place, span
from inferwatch.streams.incidents.advice import first_steps, what_changed
from inferwatch.streams.incidents.incident import Incident
from inferwatch.streams.incidents.numbers import Point


def incident_head(incident: Incident, now: datetime) -> Element:
    """Return what one must know first. ``now`` is for how long it has lasted."""
    episode = incident.episode
    where = place(episode.labels)
    return el(
        "section",
        el("p", badge(episode.state, episode.severity)),
        el("h2", incident.title, class_="title"),
        el("p", where, class_="quiet") if where not in incident.title else None,
        el("dl", *(el("div", el("dt", name), el("dd", *said)) for name, said in _facts(incident, now)), class_="facts"),
        *_answer("What changed", what_changed(incident)),
        *_answer(_first(incident), first_steps(incident), _runbook(incident)),
        _acknowledge(incident),
        class_=f"card alert head {episode.state}",
        data_active="yes" if episode.ended is None else None,
    )


def _facts(incident: Incident, now: datetime) -> list[tuple[str, list[Child]]]:
    episode, numbers, metric = incident.episode, incident.numbers, incident.episode.metric
    opened, ended = episode.opened, episode.ended
    lasting = f" – lasts {span(_rounded(now - episode.since))}" if ended is None else ""
    facts: list[tuple[str, list[Child]]] = [("Since", [moment(episode.since), lasting])]
    if ended is not None:
        facts.append(("Over", [moment(ended), f", after {span(ended - episode.since)}"]))
    if opened.n:
        fired = f"{_said(opened.value, metric)}{_interval(incident, opened.at)}"
        facts.append(("When it began", [el("b", fired), f" from {opened.n:,} rows"]))
    else:
        facts.append(("When it began", ["there was no number"]))
    facts.append(("Fires at", [incident.condition]))
    if numbers.worst is not None:
        facts.append(("At its worst", [el("b", _said(numbers.worst.value, metric)), " at ", _at(numbers.worst)]))
    if ended is None and numbers.latest is not None:
        facts.append(("Now", [el("b", _said(numbers.latest.value, metric)), " at ", _at(numbers.latest)]))
    if numbers.usual_windows and not isnan(numbers.usual) and not metric.endswith(RECURRENCE):
        windows = f"{numbers.usual_windows} windows" if numbers.usual_windows > 1 else "window"
        facts.append(("Before", [f"{number(numbers.usual, metric)} in the {windows} before"]))
    return facts


def _said(value: float, metric: str) -> str:
    """Return a number; of evidence for drift, what it means."""
    return f"by chance once in {number(value, metric)}" if metric.endswith(RECURRENCE) else number(value, metric)


def _interval(incident: Incident, end: datetime | None) -> str:
    point = next((one for one in incident.numbers.points if one.end == end), None)
    metric = incident.episode.metric
    if point is None or isnan(point.low) or isnan(point.high):
        return ""
    return f" ({number(point.low, metric)} to {number(point.high, metric)})"


def _at(point: Point) -> Element:
    return moment(point.end, day=False)


def _rounded(length: timedelta) -> timedelta:
    """Return a duration as coarse as one speaks of it."""
    unit = timedelta(minutes=1) if length < timedelta(days=2) else timedelta(hours=1)
    return max(length // unit * unit, timedelta(0))


def _answer(title: str, lines: list[str], more: Child = None) -> list[Child]:
    return (
        [el("h3", title), listed([*lines, *([more] if more is not None else [])])] if lines or more is not None else []
    )


def _first(incident: Incident) -> str:
    return "What to do first" if incident.episode.ended is None else "What to do first, should it come back"


def _runbook(incident: Incident) -> Child:
    url = incident.runbook_url
    if not url:
        return None
    if not url.startswith(("https://", "http://")):
        return f"Runbook: {url}"
    return el("a", f"Runbook: {url}", href=url, rel="noreferrer")


def _acknowledge(incident: Incident) -> Element:
    known = incident.acknowledgement
    if known is not None:
        said = f": {known.text}" if known.text else ""
        return el(
            "p", el("b", f"{known.author} has it in hand"), " since ", moment(known.at), said, class_="acknowledged"
        )
    if incident.episode.ended is not None:
        return el("p", "Nobody acknowledged it.", class_="quiet")
    return said_by(incident, "acknowledgements", el("button", "I have it in hand", type="submit", class_="main"))


def said_by(incident: Incident, what: str, *children: Child) -> Element:
    """Return a form that the script posts to ``what`` of the alert, as JSON."""
    return el(
        "form",
        el(
            "label", "Your name ", el("input", name="author", autocomplete="name", maxlength="100", required="required")
        ),
        *children,
        el("output"),
        class_="say",
        data_post=f"/api/v1/alerts/{quote(incident.episode.alert_id, safe='')}/{what}",
    )
