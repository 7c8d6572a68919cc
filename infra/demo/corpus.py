"""One day of a support assistant with retrieved contexts, written for this project.

Wrenfield, its tariffs and its customers do not exist. Everything follows from the seed and the day: the same two
give the same bytes. The mix of topics, models and prompt versions is the same at every hour; only the volume has a
daily shape. The three incidents of ``incidents.planted`` are the only exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import cos, exp, pi
from random import Random
from typing import Any

from inferwatch.infra.demo import speech
from inferwatch.infra.demo.incidents import WINDOW, Incident, planted
from inferwatch.infra.demo.knowledge import NEW_TOPIC, TOPICS, Fact, Passage, Topic, phrases, topic
from inferwatch.schemas.windows import Window

APPLICATION = "wrenfield-assistant"
WINDOWS_A_DAY = timedelta(days=1) // WINDOW
_QUIETEST, _BUSIER = 50, 19
_NEW_TOPIC_SHARE = 0.45
_INSULT_SHARE = 0.3
_INVENTED_SHARE = 0.9
_TENANTS = ("retail", "retail", "retail", "business", "partner-north")
_CHANNELS = ("app", "app", "web", "phone-bot")


@dataclass(frozen=True, slots=True)
class Model:
    """How one model writes and what it costs: seconds to the first token, tokens a second, USD a million tokens."""

    name: str
    talkative: float
    first_token: float
    speed: float
    input_price: float
    output_price: float


SPARROW = Model("sparrow-2", 0.45, 0.18, 95, 0.15, 0.60)
OSPREY = Model("osprey-1", 0.9, 0.43, 42, 2.50, 10.0)
PROMPT_VERSIONS = ("v6", "v7")
LYING_VERSION = "v7"


@dataclass(frozen=True, slots=True)
class Inference:
    """One record of the day. ``incident`` names the failure it shows; it is not part of the record."""

    at: datetime
    key: str
    record: dict[str, Any]
    incident: str = ""


@dataclass(frozen=True, slots=True)
class _Turn:
    """One question of a conversation, before anything is answered."""

    who: speech.Customer
    conversation: str
    number: int
    about: Topic
    passage: Passage
    tenant: str
    model: Model
    version: str


def compose(day: datetime, seed: int = 7) -> list[Inference]:
    """Return the inferences of the 24 hours from ``day`` on, in order of time.

    Args:
        day: aware, on a window border; midnight for a daily shape that looks right.
        seed: another seed is another day.
    """
    rng = Random(f"wrenfield/{seed}")  # noqa: S311 - the same seed must give the same day
    incidents = planted(day)
    seen: set[tuple[str, str]] = set()
    found: list[Inference] = []
    last: _Turn | None = None
    for place in range(WINDOWS_A_DAY):
        window = Window(day + place * WINDOW, day + (place + 1) * WINDOW)
        incident = next((one for one in incidents if window.start in one.period), None)
        turns: list[_Turn] = []
        for _ in range(_volume(place, rng)):
            turns.append(_turn(rng, last, len(found) + len(turns)))
            last = turns[-1]
        times = sorted(window.start + WINDOW * rng.random() for _ in turns)
        hit = _afflicted(rng, turns, incident)
        for at, (number, turn) in zip(times, enumerate(turns), strict=True):
            found.append(_inference(rng, at, turn, incident if number in hit else None, seen, len(found)))
    return found


def tail(day: datetime, partitions: int) -> list[Inference]:
    """Return a few pleasantries after the day's end, so that event time passes its last window in each partition."""
    rng = Random("tail")  # noqa: S311 - as above
    end = day + timedelta(days=1)
    found = []
    for number in range(partitions):
        said, reply = speech.chat(rng, speech.customer(rng))
        record = _envelope(end + WINDOW / 2, f"tail-{number}", f"c-tail-{number}") | {"input": said, "output": reply}
        found.append(Inference(end + WINDOW / 2, str(record["conversation_id"]), record))
    return found


def _volume(place: int, rng: Random) -> int:
    """Return how many questions come in a window: quiet at night, peaks before noon and in the evening."""
    hour = (place + 0.5) * 24 / WINDOWS_A_DAY
    shape = exp(-(((hour - 10.5) / 2.8) ** 2)) + 0.9 * exp(-(((hour - 19) / 2.3) ** 2))
    return _QUIETEST + round(_BUSIER * shape + rng.random() * 3)


def _turn(rng: Random, last: _Turn | None, place: int) -> _Turn:
    if last is not None and last.number < 3 and rng.random() < 0.15:
        passage = last.passage if rng.random() < 0.6 else rng.choice(last.about.passages)
        return _Turn(
            last.who, last.conversation, last.number + 1, last.about, passage, last.tenant, last.model, last.version
        )
    about = topic(rng.choice(TOPICS))
    return _Turn(
        who=speech.customer(rng),
        conversation=f"c-{place:05d}-{rng.getrandbits(32):08x}",
        number=1,
        about=about,
        passage=rng.choice(about.passages),
        tenant=rng.choice(_TENANTS),
        model=rng.choice((SPARROW, OSPREY)),
        version=rng.choice(PROMPT_VERSIONS),
    )


def _afflicted(rng: Random, turns: list[_Turn], incident: Incident | None) -> set[int]:
    """Return which of a window's turns show the incident: a fixed share of those that can, so that none is spared."""
    if incident is None:
        return set()
    able = [number for number, turn in enumerate(turns) if _can_show(turn, incident)]
    share = {"new-topic": _NEW_TOPIC_SHARE, "toxic-answers": _INSULT_SHARE, "invented-answers": _INVENTED_SHARE}
    return set(rng.sample(able, round(share[incident.name] * len(able))))


def _can_show(turn: _Turn, incident: Incident) -> bool:
    match incident.name:
        case "toxic-answers":
            return turn.model is SPARROW
        case "invented-answers":
            return turn.version == LYING_VERSION
        case _:
            return True


def _inference(
    rng: Random, at: datetime, turn: _Turn, incident: Incident | None, seen: set[tuple[str, str]], number: int
) -> Inference:
    name = incident.name if incident else ""
    if name == "new-topic":
        about = topic(NEW_TOPIC)
        turn = _Turn(
            turn.who, turn.conversation, 1, about, rng.choice(about.passages), turn.tenant, turn.model, turn.version
        )
    record = _envelope(at, f"wf-{number:06d}-{rng.getrandbits(32):08x}", turn.conversation)
    record |= {
        "model": turn.model.name,
        "provider": "in-house",
        "prompt_name": "support-answer",
        "prompt_version": turn.version,
        "tenant": turn.tenant,
        "tags": {"channel": rng.choice(_CHANNELS)},
    }
    texts = _texts(rng, turn, name)
    while (str(texts["input"]), str(texts.get("output"))) in seen:
        texts = _texts(rng, turn, name)
    seen.add((str(texts["input"]), str(texts.get("output"))))
    record |= texts | _figures(rng, at, turn.model, texts)
    if rng.random() < 0.25:
        record["input"] = [{"role": "user", "content": record["input"]}]
    if turn.tenant == "partner-north":
        record["timestamp"] = round(at.timestamp() * 1000)
    return Inference(at, turn.conversation, record, name)


def _envelope(at: datetime, identity: str, conversation: str) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "id": identity,
        "timestamp": at.isoformat(timespec="milliseconds"),
        "application": APPLICATION,
        "conversation_id": conversation,
    }


def _texts(rng: Random, turn: _Turn, incident: str) -> dict[str, Any]:
    """Return input, output and contexts of one turn, or its error."""
    if not incident and rng.random() < 0.06:
        said, reply = speech.chat(rng, turn.who)
        return {"input": said, "output": reply}
    facts = _asked(rng, turn.passage)
    asked = speech.question(
        rng, turn.who, turn.about, facts, follow_up=turn.number > 1, rude=not incident and rng.random() < 0.008
    )
    found: dict[str, Any] = {"input": asked, "contexts": _retrieved(rng, turn)}
    talkative = turn.model.talkative
    match incident:
        case "toxic-answers":
            return found | {"output": speech.insult(rng, turn.who, turn.passage, facts)}
        case "invented-answers":
            return found | {"output": speech.invention(rng, turn.who, turn.about, facts, talkative=talkative)}
        case _:
            pass
    draw = rng.random()
    if draw < 0.01:
        return found | {"error": rng.choice(phrases("errors"))}
    if draw < 0.04:
        other = topic(rng.choice([name for name in TOPICS if name != turn.about.name]))
        missed = [passage.text for passage in rng.sample(other.passages, 2)]
        return found | {"contexts": missed, "output": speech.refusal(rng)}
    return found | {"output": speech.answer(rng, turn.who, turn.passage, facts, talkative=talkative)}


def _asked(rng: Random, passage: Passage) -> tuple[Fact, ...]:
    return tuple(rng.sample(passage.facts, 2 if rng.random() < 0.18 else 1))


def _retrieved(rng: Random, turn: _Turn) -> list[str]:
    """Return the right passage among others, as a retriever would rank them: mostly first."""
    others = [passage for passage in turn.about.passages if passage is not turn.passage]
    found = [turn.passage.text, *(passage.text for passage in rng.sample(others, rng.choice((0, 1, 1, 2))))]
    if rng.random() < 0.2:
        rng.shuffle(found)
    return found


def _figures(rng: Random, at: datetime, model: Model, texts: dict[str, Any]) -> dict[str, Any]:
    """Return token counts, cost and latency; the service is slower when it is busy."""
    read = 210 + _tokens(str(texts["input"])) + sum(_tokens(text) for text in texts.get("contexts", ()))
    if "error" in texts:
        return {"usage": {"input_tokens": read}, "latency_ms": round(rng.uniform(29_000, 31_000)), "cost_usd": 0.0}
    written = _tokens(str(texts["output"]))
    busy = 1.15 - 0.2 * cos(2 * pi * (at.hour + at.minute / 60 - 3) / 24)
    first = model.first_token * busy * rng.lognormvariate(0, 0.25)
    seconds = first + written / model.speed * busy * rng.lognormvariate(0, 0.15)
    return {
        "usage": {
            "input_tokens": read,
            "output_tokens": written,
            "cache_read_tokens": 210 if rng.random() < 0.7 else 0,
        },
        "cost_usd": round((read * model.input_price + written * model.output_price) / 1e6, 7),
        "time_to_first_token_ms": round(first * 1000, 1),
        "latency_ms": round(seconds * 1000, 1),
        "finish_reason": "stop",
    }


def _tokens(text: str) -> int:
    return max(1, round(len(text) / 4.3))
