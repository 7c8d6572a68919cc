"""Dead letters sent again, and the check-up of Kafka, on a real broker."""

from __future__ import annotations

from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from inferwatch.infra.checkup import Level, checkup
from inferwatch.infra.requeue import requeue
from inferwatch.infra.topics import ensure_topics
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import KafkaSettings, Settings, StoreSettings

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def kafka(kafka_address: str, request: pytest.FixtureRequest) -> KafkaSettings:
    """Topics of the test's own."""
    name = request.node.name
    return KafkaSettings(
        bootstrap_servers=kafka_address, topic=name, dead_letter_topic=f"{name}.dead", group_id=name, partitions=1
    )


def bury(kafka: KafkaSettings, letters: list[tuple[bytes | None, str]]) -> None:
    producer: Any = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    for value, reason in letters:
        producer.send(kafka.dead_letter_topic, value=value, key=b"support", headers=[("reason", reason.encode())])
    producer.flush()
    producer.close()


def values(kafka: KafkaSettings) -> list[tuple[bytes, bytes]]:
    consumer: Any = KafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, consumer_timeout_ms=2000)
    part = TopicPartition(kafka.topic, 0)
    consumer.assign([part])
    consumer.seek_to_beginning(part)
    found = [(record.key, record.value) for record in consumer]
    consumer.close()
    return found


def test_letters_of_the_reason_are_sent_again_once(kafka: KafkaSettings) -> None:
    ensure_topics(kafka)
    bury(kafka, [(b"1", "wrong_type"), (b"2", "invalid_json"), (None, "wrong_type"), (b"\xff4", "wrong_type")])
    assert requeue(kafka, "wrong_type") == (2, 2)
    assert values(kafka) == [(b"support", b"1"), (b"support", b"\xff4")]
    assert requeue(kafka, "wrong_type") == (0, 0)
    bury(kafka, [(b"5", "wrong_type")])
    assert requeue(kafka, "wrong_type") == (1, 0)
    assert requeue(kafka, "invalid_json") == (1, 4)
    assert [value for _, value in values(kafka)] == [b"1", b"\xff4", b"5", b"2"]


def test_a_missing_topic_or_broker_is_said(kafka: KafkaSettings) -> None:
    with pytest.raises(Misconfigured, match="does not exist"):
        requeue(kafka, "wrong_type")
    with pytest.raises(Misconfigured, match="bootstrap_servers"):
        requeue(KafkaSettings(), "wrong_type")


def test_the_check_up_counts_partitions_and_warns_of_missing_topics(
    kafka: KafkaSettings, store_settings: StoreSettings
) -> None:
    settings = Settings(kafka=kafka, store=store_settings)
    before = {one.what: one for one in checkup(settings, SystemClock())}
    assert before[f"kafka {kafka.bootstrap_servers}"].level is Level.OK
    assert before[f"topic {kafka.topic}"].level is Level.WARN
    assert before["store"].level is Level.WARN
    assert "inferwatch migrate" in before["store"].remedy
    ensure_topics(kafka)
    after = {one.what: one for one in checkup(settings, SystemClock())}
    assert after[f"topic {kafka.topic}"].text == "1 partitions"
    assert after["encoder"].level is Level.OK


def test_the_check_up_explains_a_broker_that_is_not_there(store_settings: StoreSettings) -> None:
    settings = Settings(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"), store=store_settings)
    found = {one.what: one for one in checkup(settings, SystemClock())}
    assert found["kafka 127.0.0.1:1"].level is Level.FAIL
    assert "nothing listens" in found["kafka 127.0.0.1:1"].text
