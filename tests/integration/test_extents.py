"""How far a real topic reaches."""

from __future__ import annotations

import time
from typing import Any

import pytest
from kafka import KafkaAdminClient, TopicPartition

from inferwatch.infra.extents import KafkaExtents
from inferwatch.schemas.errors import Retryable
from inferwatch.schemas.settings import KafkaSettings
from inferwatch.streams.ports import Extent

pytestmark = pytest.mark.kafka


def test_every_partition_is_there_with_what_it_holds(source: KafkaSettings, produce: Any) -> None:
    extents = KafkaExtents(source)
    try:
        empty = extents.extents()
        assert empty == dict.fromkeys(range(source.partitions), Extent(0, 0))
        produce(source, [(str(n).encode(), b"{}") for n in range(100)])
        found = extents.extents()
        assert set(found) == set(empty)
        assert sum(extent.end for extent in found.values()) == 100
        new: Any = KafkaAdminClient
        with new(bootstrap_servers=source.bootstrap_servers) as admin:
            admin.delete_records({TopicPartition(source.topic, 0): min(3, found[0].end)})
            admin.create_partitions({source.topic: source.partitions + 2})
        assert extents.extents()[0].first == min(3, found[0].end)
        patience = time.monotonic() + 30  # noqa: TID251
        while len(extents.extents()) < source.partitions + 2:
            assert time.monotonic() < patience  # noqa: TID251
            time.sleep(0.2)
    finally:
        extents.close()


def test_a_broker_that_is_away_is_a_retryable_error() -> None:
    extents = KafkaExtents(KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    with pytest.raises(Retryable, match="how far topic"):
        extents.extents()
