"""What happened to an alert, in the order in which the service and people came to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from inferwatch.streams.alerting.wording import number
from inferwatch.streams.incidents.condition import comparison
from inferwatch.streams.incidents.deliveries import Message
from inferwatch.streams.incidents.episode import Step
from inferwatch.streams.incidents.incident import Incident
from inferwatch.streams.incidents.notes import Kind

STATES = {
    "pending": "Pending: the condition holds, not yet for long enough",
    "firing": "Firing",
    "recovering": "Recovering: back to normal, not yet for long enough",
    "resolved": "Resolved",
    "inactive": "Cancelled: over before anybody was told",
    "no_data": "No data: there is no number any more",
    "error": "Error: the number could not be computed",
}
"""What a state means to somebody who does not know the words."""
_SENT = {
    "sent": "was told",
    "failed": "could not be told",
    "retrying": "has not been told yet",
    "attempting": "is being told",
    "waiting": "is to be told",
    "superseded": "was told the same by another process",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """``at`` is by the service's clock, ``event`` the event time it is about, where that is another.

    ``kind`` is ``transition``, ``delivery``, ``note``, ``acknowledgement`` or ``deploy``.
    """

    at: datetime
    kind: str
    text: str
    event: datetime | None = None


def timeline(incident: Incident) -> list[Entry]:
    """Return the entries, oldest first."""
    entries = [
        Entry(step.decided_at, "transition", _step(step, incident.episode.metric), step.at)
        for step in incident.episode.steps
    ]
    entries += [Entry(one.at, "delivery", told(one)) for one in incident.messages]
    entries += [
        Entry(
            one.at,
            one.kind.value,
            f"{one.author} has it in hand" + (f": {one.text}" if one.text else "")
            if one.kind is Kind.ACKNOWLEDGEMENT
            else f"{one.author}: {one.text}",
        )
        for one in incident.notes
    ]
    entries += [
        Entry(one.noted_at, "deploy", f"{one.dimension} {one.value} took over from {one.previous}", one.at)
        for one in incident.deploys
    ]
    return sorted(entries, key=lambda one: one.at)


def told(message: Message) -> str:
    """Return what became of a message, in one sentence."""
    tries = f", {message.attempts} attempts" if message.attempts > 1 else ""
    said = f"{message.receiver} {_SENT.get(message.status, message.status)}: {message.says or 'a message'}{tries}"
    return f"{said} ({message.error})" if message.error and message.status != "sent" else said


def _step(step: Step, metric: str) -> str:
    said = STATES.get(step.to_state, step.to_state)
    reason = step.detail.get("reason")
    if reason:
        return f"{said} ({reason})"
    if step.to_state in ("no_data", "error"):
        return said
    limit = comparison(step.threshold)
    fires = step.threshold if limit is None else f"{limit[0]} {number(limit[1], metric)}"
    return f"{said} ({number(step.value, metric)}, {step.n:,} rows; the rule fires at {fires})"
