"""Dead letters back to the topic they came from."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from inferwatch.infra.topics import connection, unreachable
from inferwatch.schemas.errors import Misconfigured, Retryable
from inferwatch.schemas.settings import MAX_RECORD_BYTES, KafkaSettings

CONSUMER: Any = KafkaConsumer  # kafka-python has no types
PRODUCER: Any = KafkaProducer
SECONDS = 30


def requeue(settings: KafkaSettings, reason: str) -> tuple[int, int]:
    """Send every dead letter of ``reason`` that no earlier call sent to the topic it came from, unchanged.

    How far earlier calls came is kept in Kafka, as the offsets of a consumer group of this reason. A crash between
    sending and keeping it may send some twice; the second of each is then put aside as ``duplicate_id``.

    Returns:
        How many were sent, and how many were passed over: another reason, or no bytes kept.

    Raises:
        Misconfigured: no broker is configured or answers.
        Retryable: the broker stopped answering; what was not kept is sent by the next call.
    """
    if settings.bootstrap_servers is None:
        raise Misconfigured(
            "kafka.bootstrap_servers (or INFERWATCH_KAFKA) must name the broker that holds the dead letters"
        )
    try:
        consumer = CONSUMER(
            **connection(settings), group_id=f"{settings.group_id}.requeue.{reason}", enable_auto_commit=False
        )
    except (KafkaError, OSError) as error:
        raise unreachable(settings, error) from error
    with closing(consumer):
        try:
            return _requeue(settings, reason, consumer)
        except KafkaError as error:
            raise Retryable(f"kafka: {type(error).__name__}: {error}; run it again") from error


def _requeue(settings: KafkaSettings, reason: str, consumer: Any) -> tuple[int, int]:
    numbers = consumer.partitions_for_topic(settings.dead_letter_topic) or ()
    parts = [TopicPartition(settings.dead_letter_topic, number) for number in sorted(numbers)]
    if not parts:
        raise Misconfigured(f"kafka.dead_letter_topic {settings.dead_letter_topic!r} does not exist")
    consumer.assign(parts)
    # Up to where it ends now: what comes back as a new dead letter is not sent round in a circle.
    ends = consumer.end_offsets(parts)
    firsts = consumer.beginning_offsets(parts)
    for part in parts:
        consumer.seek(part, max(consumer.committed(part) or 0, firsts[part]))
    sent = skipped = 0
    with closing(PRODUCER(**connection(settings), acks="all", max_request_size=MAX_RECORD_BYTES)) as producer:
        while any(consumer.position(part) < ends[part] for part in parts):
            found = consumer.poll(timeout_ms=1000)
            futures = []
            for part, records in found.items():
                for record in records:
                    if record.offset >= ends[part]:
                        continue
                    headers = dict(record.headers)
                    if record.value is None or headers.get("reason") != reason.encode():
                        skipped += 1
                        continue
                    own = headers.get("topic") == settings.feedback_topic.encode()
                    topic = settings.feedback_topic if own else settings.topic
                    futures.append(producer.send(topic, value=record.value, key=record.key))
            for future in futures:
                future.get(timeout=SECONDS)
            sent += len(futures)
            consumer.commit(
                {part: OffsetAndMetadata(min(consumer.position(part), ends[part]), "", -1) for part in parts}
            )
    return sent, skipped
