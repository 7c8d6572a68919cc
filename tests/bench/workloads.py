"""What is sent: records composed of the demo's sentences, the same for the same number and kind.

Every text is distinct, so that no cache of vectors helps. ``short`` has inputs and outputs of about 30 tokens, ``long``
of about 256, both without contexts; ``assistant`` is the demo's day, with retrieved contexts that come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal, get_args

import orjson

from inferwatch.infra.demo.corpus import compose
from inferwatch.infra.demo.knowledge import TOPICS, topic
from inferwatch.schemas.clock import SystemClock
from inferwatch.streams.ports import RawRecord

Kind = Literal["short", "long", "assistant"]
KINDS = get_args(Kind)
WORDS = {"short": 23, "long": 205}
"""Of the sentences used here, about 30 and 256 tokens of the bundled model's tokenizer."""
APPLICATION = "bench"


def records(kind: Kind, n: int) -> list[dict[str, Any]]:
    """Return ``n`` records without ``timestamp``; their texts do not depend on ``n``."""
    if kind == "assistant":
        found: list[dict[str, Any]] = []
        seed = 7
        while len(found) < n:
            day = compose(datetime(2026, 1, 1, tzinfo=UTC), seed)
            found += [one.record | {"id": f"{seed}-{one.record['id']}"} for one in day]
            seed += 1
        return found[:n]
    write = Writer(f"bench/{kind}", WORDS[kind])
    return [_record(place, write.text(), write.text()) for place in range(n)]


class Writer:
    """Puts distinct texts of about ``words`` words together from the demo's sentences."""

    def __init__(self, seed: str, words: int) -> None:
        self._rng = Random(seed)
        self._words = words
        self._seen: set[str] = set()
        topics = [topic(name) for name in TOPICS]
        facts = [fact for one in topics for passage in one.passages for fact in passage.facts]
        self._sentences = sorted(
            {text for fact in facts for text in (fact.says, *fact.asks, *fact.answers)}
            | {text for one in topics for text in one.situations}
        )

    def text(self) -> str:
        """Return a text that was not returned before."""
        while True:
            parts: list[str] = []
            count = 0
            while count < self._words:
                parts.append(self._rng.choice(self._sentences))
                count += len(parts[-1].split())
            if count > self._words + 4:
                continue
            text = " ".join(parts)
            if text not in self._seen:
                self._seen.add(text)
                return text


def _record(place: int, asked: str, answered: str) -> dict[str, Any]:
    return {
        "id": f"r-{place}",
        "application": APPLICATION,
        "model": ("sparrow-2", "osprey-1")[place % 2],
        "prompt_version": ("v6", "v7")[place // 2 % 2],
        "tenant": ("retail", "business", "partner")[place % 3],
        "input": asked,
        "output": answered,
        "usage": {"input_tokens": len(asked) // 4, "output_tokens": len(answered) // 4},
        "latency_ms": 400 + place % 977,
        "cost_usd": 0.0004,
    }


def stamped(found: Sequence[dict[str, Any]], rate: float) -> list[bytes]:
    """Return the records as JSON, with event times as in live traffic of ``rate`` a second that ends now."""
    start = SystemClock().now() - timedelta(seconds=len(found) / rate)
    times = (start + timedelta(seconds=place / rate) for place in range(len(found)))
    return [
        orjson.dumps(record | {"timestamp": at.isoformat(timespec="milliseconds")})
        for record, at in zip(found, times, strict=True)
    ]


def raw(values: Sequence[bytes], *, partitions: int = 4) -> list[RawRecord]:
    """Return the values as records of a source of ``partitions`` partitions, for a pipeline without Kafka."""
    now = SystemClock().now()
    return [
        RawRecord("bench", place % partitions, place // partitions, now, value) for place, value in enumerate(values)
    ]
