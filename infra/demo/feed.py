"""Produces a scenario through Kafka, never far ahead of what the service has stored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from inferwatch.infra.demo.scenario import Message
from inferwatch.infra.topics import connection
from inferwatch.schemas.errors import Permanent
from inferwatch.schemas.settings import KafkaSettings

CHUNK = 64
LEAD = 1500
"""Records sent but not yet stored, at most: enough to keep the service busy, few enough to watch it keep up."""
FIRST = 256
"""Records sent before every partition has stored something: until then event time knows only some of them."""
_TIMEOUT_SECONDS = 30
_PAUSE = 0.2


@dataclass(slots=True)
class Stored:
    """What the service says it has: scored rows, dead letters, closed windows, event time, active partitions."""

    scored: int = 0
    dead_letters: int = 0
    windows: int = 0
    closed_until: datetime | None = None
    partitions: int = 0

    @property
    def handled(self) -> int:
        return self.scored + self.dead_letters


class Feed:
    """Sends messages in order of time.

    Args:
        kafka: where to, and how many partitions the topic has.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self.produced = 0
        self.event_time: datetime | None = None

    async def run(self, messages: Sequence[Message], stored: Stored, check: Callable[[], Awaitable[None]]) -> None:
        """Send all ``messages``; ``stored`` is kept up to date by someone else, ``check`` is awaited while waiting.

        Raises:
            Permanent: the broker did not take a record.
        """
        producer = await asyncio.to_thread(self._connect)
        try:
            for start in range(0, len(messages), CHUNK):
                while self._too_far(stored):
                    await check()
                    await asyncio.sleep(_PAUSE)
                await asyncio.to_thread(self._send, producer, messages[start : start + CHUNK])
        finally:
            await asyncio.to_thread(producer.close, timeout=_TIMEOUT_SECONDS)

    def _too_far(self, stored: Stored) -> bool:
        lead = LEAD if stored.partitions >= self._kafka.partitions else FIRST
        return self.produced - stored.handled >= lead

    def _connect(self) -> Any:
        producer: Callable[..., Any] = KafkaProducer
        return producer(**connection(self._kafka), acks="all", linger_ms=5)

    def _send(self, producer: Any, messages: Iterable[Message]) -> None:
        try:
            sent = [
                producer.send(self._kafka.topic, value=one.value, key=one.key.encode(), partition=one.partition)
                for one in messages
            ]
            for one in sent:
                one.get(timeout=_TIMEOUT_SECONDS)
        except KafkaError as error:
            raise Permanent(f"the broker did not take a record of topic {self._kafka.topic!r}: {error!r}") from error
        for message in messages:
            self.produced += 1
            self.event_time = message.at
