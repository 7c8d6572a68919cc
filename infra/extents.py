"""How far a Kafka topic reaches, for the closing of windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from inferwatch.infra.topics import connection, reach
from inferwatch.schemas.errors import Misconfigured, Retryable
from inferwatch.schemas.settings import KafkaSettings
from inferwatch.streams.ports import Extent

NEW: Any = KafkaConsumer  # kafka-python has no types
ANSWER_MS = 5_000
METADATA_MS = 10_000
"""How long a partition that was just added may go unnoticed."""


class KafkaExtents:
    """Implements ``inferwatch.streams.ports.Source`` with a connection of its own, outside the consumer group.

    The stream's consumer is busy with its group and lives in Faust's loop; asking here disturbs neither. Calls block
    and must not overlap.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.topic = settings.topic
        self._settings = settings
        self._consumer: Any = None

    def extents(self) -> Mapping[int, Extent]:
        """Return partition -> the offsets it holds.

        Raises:
            Retryable: no broker answers, or a partition has no leader at the moment.
        """
        try:
            if self._consumer is None:
                reach(self._settings)
                self._consumer = NEW(
                    **connection(self._settings),
                    request_timeout_ms=ANSWER_MS,
                    metadata_max_age_ms=METADATA_MS,
                    enable_auto_commit=False,
                )
            numbers = self._consumer.partitions_for_topic(self.topic)
            if not numbers:
                raise Retryable(f"topic {self.topic!r} has no partitions that a broker knows of")
            places = [TopicPartition(self.topic, number) for number in sorted(numbers)]
            first = self._consumer.beginning_offsets(places)
            end = self._consumer.end_offsets(places)
        except (KafkaError, OSError, Misconfigured) as error:
            self.close()
            raise Retryable(f"how far topic {self.topic!r} reaches is not known: {error}") from error
        return {place.partition: Extent(first[place], end[place]) for place in places}

    def close(self) -> None:
        """Close the connection; a later call opens it again."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close(autocommit=False)
