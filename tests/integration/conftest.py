"""A real broker for the tests of this folder, and topics of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from kafka import KafkaProducer

from inferwatch.infra.local.broker import LocalKafka
from inferwatch.infra.topics import ensure_topics
from inferwatch.schemas.settings import MAX_RECORD_BYTES, KafkaSettings

Produce = Callable[[KafkaSettings, Iterable[tuple[bytes | None, bytes | None]]], None]


@pytest.fixture(scope="session")
def kafka_address() -> Iterator[str]:
    """The address of one broker for the whole session."""
    with LocalKafka() as running:
        yield running.bootstrap_servers


@pytest.fixture
def source(kafka_address: str, request: pytest.FixtureRequest) -> KafkaSettings:
    """Settings of a topic that exists, is empty, and is this test's own."""
    name = request.node.name.replace("[", ".").replace("]", "")[:200]
    settings = KafkaSettings(
        bootstrap_servers=kafka_address,
        topic=name,
        feedback_topic=f"{name}.feedback",
        dead_letter_topic=f"{name}.dead",
        group_id=name,
        batch_wait=timedelta(milliseconds=100),
    )
    ensure_topics(settings)
    return settings


@pytest.fixture
def produce() -> Produce:
    """Send (key, value) pairs and return when all are acknowledged."""

    def send(settings: KafkaSettings, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        new: Any = KafkaProducer
        producer = new(bootstrap_servers=settings.bootstrap_servers, linger_ms=10, max_request_size=MAX_RECORD_BYTES)
        try:
            futures = [producer.send(settings.topic, key=key, value=value) for key, value in records]
            for future in futures:
                future.get(30)
        finally:
            producer.close()

    return send
