"""One alert as the API answers it; docs/incidents.md says what each part is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from inferwatch.streams.incidents.advice import first_steps, what_changed
from inferwatch.streams.incidents.contributors import Contributions
from inferwatch.streams.incidents.episode import Step
from inferwatch.streams.incidents.incident import Incident
from inferwatch.streams.incidents.timeline import timeline


def as_json(incident: Incident, web: str) -> dict[str, Any]:
    """Return JSON values, times as aware datetimes and NaN for numbers that do not exist.

    Args:
        incident: the alert.
        web: address of the service.
    """
    episode, opened, told = incident.episode, incident.episode.opened, incident.told
    place = quote(episode.alert_id, safe="")
    point = next((one for one in incident.numbers.points if one.end == opened.at), None)
    acknowledged = incident.acknowledgement
    return {
        "alert_id": episode.alert_id,
        "fingerprint": episode.fingerprint,
        "rule": episode.rule,
        "metric": episode.metric,
        "labels": episode.labels,
        "severity": episode.severity,
        "state": episode.state,
        "active": episode.ended is None,
        "title": incident.title,
        "summary": told.get("summary", ""),
        "description": incident.description,
        "runbook_url": incident.runbook_url,
        "url": f"{web}/alerts/{place}",
        "started": episode.since,
        "fired": episode.fired,
        "resolved": episode.ended if episode.state == "resolved" else None,
        "changed": episode.steps[-1].at,
        "value": opened.value,
        "n": opened.n,
        "ci_low": point.low if point else None,
        "ci_high": point.high if point else None,
        "condition": incident.condition,
        "threshold": incident.threshold,
        "recovery": incident.recovery,
        "what_changed": what_changed(incident),
        "first_steps": first_steps(incident),
        "numbers": asdict(incident.numbers),
        "contributions": _contributions(incident.contributions),
        "examples": [asdict(one) for one in incident.examples],
        "told_examples": list(told.get("examples") or ()),
        "findings": incident.findings,
        "picture": f"{web}/api/v1/alerts/{place}/explanation.svg" if incident.picture else "",
        "sql": incident.sql,
        "deploys": [asdict(one) for one in incident.deploys],
        "neighbours": [asdict(one) for one in incident.neighbours],
        "transitions": [_step(one) for one in episode.steps],
        "timeline": [asdict(one) for one in timeline(incident)],
        "deliveries": [asdict(one) for one in incident.messages],
        "silences": [
            asdict(one) | {"matchers": [str(matcher) for matcher in one.matchers]} for one in incident.silences
        ],
        "notes": [asdict(one) for one in incident.notes],
        "acknowledgement": asdict(acknowledged) if acknowledged else None,
        "missing": incident.gone,
    }


def _step(step: Step) -> Mapping[str, Any]:
    found = asdict(step)
    found.pop("window")
    return found


def _contributions(found: Contributions | None) -> dict[str, Any] | None:
    if found is None:
        return None
    said = asdict(found)
    period = said.pop("period")
    return {"start": period["start"], "end": period["end"], **said}
