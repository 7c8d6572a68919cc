"""What came of a run: which incident was alerted when, and which alerts nobody asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from inferwatch.infra.demo.incidents import Incident


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert from firing to resolved, in event time (ends of the deciding windows)."""

    rule: str
    labels: str
    fired_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one incident."""

    incident: Incident
    alerted_at: datetime | None
    resolved_at: datetime | None
    rule: str
    labels: str

    def delay(self, window: timedelta) -> float | None:
        """Return how many windows after its start the incident was alerted."""
        return None if self.alerted_at is None else (self.alerted_at - self.incident.period.start) / window


@dataclass(frozen=True, slots=True)
class Outcome:
    """Findings in the order of the incidents, and the episodes that belong to none."""

    findings: tuple[Finding, ...]
    unexpected: tuple[Episode, ...]

    @property
    def good(self) -> bool:
        """Whether every incident was alerted while it lasted and resolved after, and nothing else was alerted."""
        return not self.unexpected and all(one.alerted_at and one.resolved_at for one in self.findings)


def judge(incidents: Sequence[Incident], episodes: Iterable[Episode]) -> Outcome:
    """Match alerts with incidents.

    An alert belongs to an incident when it is of one of the incident's rules and fired on a window within the incident.
    With several (one a segment, or a flapping one) the first says when it was alerted and the last when it was
    resolved; one that is still firing says that it is not resolved.
    """
    own: dict[str, list[Episode]] = {incident.name: [] for incident in incidents}
    unexpected: list[Episode] = []
    for episode in sorted(episodes, key=lambda one: (one.fired_at, one.rule, one.labels)):
        match = next((one for one in incidents if _belongs(episode, one)), None)
        (unexpected if match is None else own[match.name]).append(episode)
    findings = [_finding(incident, own[incident.name]) for incident in incidents]
    return Outcome(tuple(findings), tuple(unexpected))


def _belongs(episode: Episode, incident: Incident) -> bool:
    return episode.rule in incident.rules and incident.period.start < episode.fired_at <= incident.period.end


def _finding(incident: Incident, episodes: Sequence[Episode]) -> Finding:
    if not episodes:
        return Finding(incident, None, None, incident.rules[0], "")
    ends = [episode.resolved_at for episode in episodes]
    resolved = None if None in ends else max(end for end in ends if end is not None)
    first = episodes[0]
    labels = ", ".join(dict.fromkeys(one.labels for one in episodes if one.rule == first.rule))
    return Finding(incident, first.fired_at, resolved, first.rule, labels)


def episodes_of(transitions: Iterable[dict[str, Any]]) -> list[Episode]:
    """Put the rows of the ``alerts`` view together: ``alert_id``, ``rule``, ``labels``, ``to_state``, ``at``."""
    fired: dict[str, dict[str, Any]] = {}
    resolved: dict[str, datetime] = {}
    for row in sorted(transitions, key=lambda row: row["at"]):
        if row["to_state"] == "firing":
            fired.setdefault(row["alert_id"], row)
        elif row["to_state"] == "resolved":
            resolved[row["alert_id"]] = row["at"]
    return [Episode(row["rule"], row["labels"], row["at"], resolved.get(alert_id)) for alert_id, row in fired.items()]


def as_json(outcome: Outcome, window: timedelta) -> list[dict[str, Any]]:
    """Return the ``alerts`` of the JSON line: one entry an incident, then one an unexpected alert."""
    found: list[dict[str, Any]] = [
        {
            "incident": one.incident.name,
            "rule": one.rule,
            "planted_at": _text(one.incident.period.start),
            "ended_at": _text(one.incident.period.end),
            "alerted_at": _text(one.alerted_at),
            "delay_windows": one.delay(window),
            "resolved_at": _text(one.resolved_at),
        }
        for one in outcome.findings
    ]
    return found + [
        {
            "incident": None,
            "rule": one.rule,
            "planted_at": None,
            "ended_at": None,
            "alerted_at": _text(one.fired_at),
            "delay_windows": None,
            "resolved_at": _text(one.resolved_at),
        }
        for one in outcome.unexpected
    ]


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")
