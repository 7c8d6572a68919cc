"""What is produced while faults happen: a seeded stream of records of two applications, with two incidents.

Four hours of event time pass in some seconds. Five records in a hundred are poison, some are sent again with the same
id on the same or another partition, and in some schedules one partition gets four records in five. The last record of
every partition belongs to an application of its own and lies past ``HORIZON``, so that event time passes it and every
window before it closes while the workers run.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.settings import KafkaSettings
from inferwatch.streams.ports import RawRecord

CLOCK = SystemClock()
START = datetime(2026, 3, 1, 8, tzinfo=UTC)
SPAN = timedelta(hours=4)
HORIZON = START + SPAN + timedelta(hours=1)
PARTITIONS = 4
HOT_SHARE = 0.8
POISON_SHARE = 0.05
DUPLICATE_SHARE = 0.03
JITTER = timedelta(seconds=60)
"""How far a record may lie behind those before it: less than the allowed lateness."""
WINDOWS = {"size": "15m", "allowed_lateness": "5m"}
RULES: list[dict[str, Any]] = [
    {"name": "curt", "metric": "terse.rate", "when": "> 0.5", "for": "15m", "severity": "critical"},
    {"name": "errors", "metric": "error.rate", "when": "> 0.3", "min_events": 10, "group_by": ["model"]},
    # Near the median of what is produced: it comes and goes from window to window, and every one counts.
    {"name": "slow", "metric": "latency_ms.p50", "when": "> 403", "severity": "info"},
]
ANSWERS = (
    "Your parcel left the depot this morning and is on its way to you.",
    "You can change the delivery day until midnight in the app.",
    "Please hold the charger's button for ten seconds; the light then blinks twice.",
    "",
)
POISON: dict[str, bytes | None] = {
    "tombstone": None,
    "not_utf8": b'{"id": "\xff"}',
    "invalid_json": b'{"id": "half',
    "missing_field": b'{"timestamp": "2026-03-01T08:00:00Z", "application": "shop", "input": "no id"}',
    "timestamp_in_future": b'{"id": "f", "timestamp": "2100-01-01T00:00:00Z", "application": "shop", "input": "x"}',
}
"""What makes it poison -> the bytes."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One record to produce. ``id`` is empty for poison."""

    partition: int
    id: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Workload:
    """Everything that will be produced, in order."""

    records: tuple[Sent, ...]
    hot: bool

    @classmethod
    def make(cls, rng: random.Random, n: int, *, hot: bool) -> Workload:
        """Return ``n`` records plus duplicates plus one for the end of each partition."""
        return cls(tuple(_records(rng, n, hot)), hot)


def _records(rng: random.Random, n: int, hot: bool) -> Iterator[Sent]:
    waiting: list[tuple[int, Sent]] = []
    for place in range(n):
        partition = 1 if hot and rng.random() < HOT_SHARE else rng.randrange(PARTITIONS)
        if rng.random() < POISON_SHARE:
            yield Sent(partition, "", rng.choice(list(POISON.values())))
            continue
        at = START + SPAN * (place / n) - rng.random() * JITTER
        sent = Sent(partition, f"r{place}", json.dumps(_log(rng, place, at)).encode())
        yield sent
        if rng.random() < DUPLICATE_SHARE:
            # A producer that was not sure: within JITTER of event time, so that the copy is not late.
            later = place + rng.randrange(1, max(2, n // 500))
            again = partition if rng.random() < 0.5 else rng.randrange(PARTITIONS)
            waiting.append((later, Sent(again, sent.id, sent.value)))
        for due in [one for one in waiting if one[0] <= place]:
            waiting.remove(due)
            yield due[1]
    for partition in range(PARTITIONS):
        end = {"id": f"end{partition}", "timestamp": (HORIZON + SPAN).isoformat(), "application": "end", "input": "."}
        yield Sent(partition, f"end{partition}", json.dumps(end).encode())


def _log(rng: random.Random, place: int, at: datetime) -> dict[str, Any]:
    application, model = rng.choice(["support", "shop"]), rng.choice(["small", "large"])
    hours = (at - START) / timedelta(hours=1)
    curt = application == "support" and 1.0 <= hours < 2.0 and rng.random() < 0.9
    failing = application == "shop" and model == "large" and 2.5 <= hours < 3.0 and rng.random() < 0.7
    return {
        "id": f"r{place}",
        "timestamp": at.isoformat(),
        "application": application,
        "model": model,
        "input": f"question {rng.randrange(500)} about order {place}",
        "output": "No." if curt else rng.choice(ANSWERS),
        "error": "timeout" if failing else None,
        "latency_ms": round(rng.lognormvariate(6, 0.5)),
        "usage": {"input_tokens": rng.randrange(20, 400), "output_tokens": rng.randrange(5, 90)},
        "cost_usd": round(rng.uniform(0.0001, 0.01), 6),
    }


@dataclass
class Producing:
    """Sends a workload at an even pace in a thread, through broker restarts; remembers what the broker took."""

    settings: KafkaSettings
    workload: Workload
    seconds: float
    acknowledged: dict[tuple[int, int], Sent] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="producer")
        thread.start()
        return thread

    def _run(self) -> None:
        new: Any = KafkaProducer
        # One request at a time keeps the order of a partition over a retry.
        options = {"acks": "all", "linger_ms": 10, "max_in_flight_requests_per_connection": 1, "retries": 1000}
        records = self.workload.records
        futures = []
        begun = CLOCK.monotonic()
        with closing(new(bootstrap_servers=self.settings.bootstrap_servers, **options)) as producer:
            for place, sent in enumerate(records):
                ahead = begun + self.seconds * place / len(records) - CLOCK.monotonic()
                if ahead > 0.01:
                    time.sleep(ahead)
                future = producer.send(self.settings.topic, key=b"k", value=sent.value, partition=sent.partition)
                futures.append((sent, future))
            for sent, future in futures:
                try:
                    told = future.get(60)
                except KafkaError as error:
                    self.refused.append(f"{sent.id}: {error}")
                else:
                    self.acknowledged[told.partition, told.offset] = sent


def read_topic(settings: KafkaSettings, topic: str) -> list[Any]:
    """Return every record of ``topic`` as kafka-python has it, by the time it was written."""
    new: Any = KafkaConsumer
    with closing(new(bootstrap_servers=settings.bootstrap_servers, enable_auto_commit=False)) as consumer:
        parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(parts)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(parts)
        found: list[Any] = []
        while any(consumer.position(part) < ends[part] for part in parts):
            for batch in consumer.poll(500).values():
                found += batch
    return sorted(found, key=lambda one: (one.timestamp, one.partition, one.offset))


def raw(record: Any) -> RawRecord:
    """Return what the pipeline is given for a record of ``read_topic``."""
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return RawRecord(record.topic, record.partition, record.offset, at, record.value, record.key)


def lag(settings: KafkaSettings) -> int:
    """Return how many records of the topic the group has not acknowledged."""
    admin_of: Any = KafkaAdminClient
    consumer_of: Any = KafkaConsumer
    parts = [TopicPartition(settings.topic, number) for number in range(settings.partitions)]
    with admin_of(bootstrap_servers=settings.bootstrap_servers) as admin:
        places = admin.list_group_offsets([settings.group_id])[settings.group_id]
    with closing(consumer_of(bootstrap_servers=settings.bootstrap_servers)) as consumer:
        ends = consumer.end_offsets(parts)
    return sum(ends[part] - max(places[part].offset if part in places else 0, 0) for part in parts)
