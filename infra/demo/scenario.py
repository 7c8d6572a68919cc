"""What a demo run sends and what should come of it, whether the corpus or a user's log file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

from inferwatch.infra.demo import broken
from inferwatch.infra.demo.corpus import APPLICATION, OSPREY, PROMPT_VERSIONS, SPARROW, compose, tail
from inferwatch.infra.demo.incidents import WINDOW, Incident, planted
from inferwatch.schemas.windows import EPOCH

PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Message:
    """One record to produce. ``partition`` is None where the key decides, as for every ordinary record."""

    at: datetime
    key: str
    value: bytes | None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A run, laid out before anything starts.

    ``end`` is the end of the last window that must close. ``settings`` is the part of the configuration file that
    belongs to the data: windows, drift, segments, rules. ``notes`` are sentences people should know.
    """

    title: str
    application: str
    messages: tuple[Message, ...]
    start: datetime
    end: datetime
    window: timedelta
    incidents: tuple[Incident, ...]
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    bad: Mapping[str, int] = field(default_factory=dict)


def latest_day(now: datetime) -> datetime:
    """Return the midnight (UTC) that started the last day that is over, with room for a tail after it."""
    return EPOCH + ((now - WINDOW - EPOCH) // timedelta(days=1) - 1) * timedelta(days=1)


def corpus_scenario(now: datetime, seed: int) -> Scenario:
    """The support assistant's latest whole day, with three incidents and some bad records."""
    day = latest_day(now)
    inferences = compose(day, seed)
    damaged = broken.sprinkle(inferences, seed)
    messages: list[Message] = []
    for place, inference in enumerate(inferences):
        messages.append(Message(inference.at, inference.key, orjson.dumps(inference.record)))
        if place in damaged:
            # A key of its own would put the second of two equal ids on another partition, maybe before the first.
            messages.append(Message(inference.at, inference.key, broken.damage(damaged[place], inference)))
    for partition, inference in enumerate(tail(day, PARTITIONS)):
        messages.append(Message(inference.at, inference.key, orjson.dumps(inference.record), partition))
    return Scenario(
        title=f"one day of a support assistant, {day:%A %d %B %Y} (UTC), {len(inferences):,} inferences",
        application=APPLICATION,
        messages=tuple(messages),
        start=day,
        end=day + timedelta(days=1),
        window=WINDOW,
        incidents=planted(day),
        settings=_SETTINGS,
        notes=(
            f"Models {SPARROW.name} and {OSPREY.name}, prompt versions {' and '.join(PROMPT_VERSIONS)}; "
            "about one customer in 120 is rude, which must not raise an alert.",
            f"{len(damaged)} bad records of {len(broken.REASONS)} kinds are mixed in; each must become a dead letter.",
        ),
        bad={reason: list(damaged.values()).count(reason) for reason in broken.REASONS},
    )


_SETTINGS: dict[str, Any] = {
    "windows": {"size": "15m", "allowed_lateness": "2m"},
    "drift": {"fields": ["input", "output"], "reference_rows": 800},
    "segments": {"dimensions": ["model", "prompt_version"]},
    "rules": [
        {
            "name": "input-drift",
            "metric": "drift.input",
            "false_alarms": "1 per 30d",
            "severity": "warning",
            "receivers": ["slack-support"],
            "title": "Customers ask about something new",
            "description": "Read the new questions below. Should the assistant answer them, give it what it needs to "
            "know; is it a product that fails, tell its owner. inferwatch explain latest shows more of them.",
        },
        {
            "name": "toxic-answers",
            "metric": "toxicity.output.rate",
            "when": "> 8 %",
            "resolve_when": "< 4 %",
            "group_by": ["model"],
            "min_events": 10,
            "severity": "critical",
            "receivers": ["slack-support", "pager"],
            "title": "The assistant abuses customers",
            "description": "Read the answers below. If they are what they seem, send the traffic to the model before.",
        },
        {
            "name": "unsupported-answers",
            "metric": "hallucination.rate",
            "when": "> 35 %",
            "resolve_when": "< 20 %",
            "group_by": ["prompt_version"],
            "min_events": 10,
            "severity": "error",
            "receivers": ["slack-support", "pager"],
            "title": "Answers are not supported by their contexts",
            "description": "See whether the contexts still fit the questions. If they do and the prompt version is "
            "new, roll it back.",
        },
        {
            "name": "failing-calls",
            "metric": "error.rate",
            "when": "> 15 %",
            "severity": "error",
            "receivers": ["slack-support", "pager"],
            "title": "Calls to the model fail",
            "description": "Look at the provider's status page; send the traffic to the other model while it lasts.",
        },
    ],
}
