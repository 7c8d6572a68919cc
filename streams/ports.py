"""What the stream needs of the outside world. Adapters live in ``infra``; tests bring recording fakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from inferwatch.schemas.alerts import Notification


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record as the source holds it. (topic, partition, offset) is its address and never changes.

    ``timestamp`` is when the record was written to the source (Kafka's record timestamp).
    """

    topic: str
    partition: int
    offset: int
    timestamp: datetime
    value: bytes | None
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be read, with the reason; the raw bytes are kept."""

    record: RawRecord
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Extent:
    """What one partition of a source holds: offsets ``[first, end)``; ``end`` is given to the next record."""

    first: int
    end: int


class Source(Protocol):
    """Where the records come from, as far as windows must know it. Files have none: they end."""

    topic: str

    def extents(self) -> Mapping[int, Extent]:
        """Return partition -> what it holds now, of every partition there is. Blocks: use it from a thread.

        Raises:
            Retryable: the source does not answer.
        """
        ...


class Store(Protocol):
    """ClickHouse behind one door. Every call blocks: use it from a thread.

    Raises:
        StoreUnavailable: the same call may succeed later.
        Permanent: it cannot.
    """

    def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        """Append ``rows``, whose columns are a subset of the table's.

        Made again it counts once in every view. ``token`` names the insert: equal tokens, equal rows.
        """
        ...

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Run one SELECT with server-side ``{name:Type}`` parameters. Tables need no database prefix."""
        ...


class DeadLetters(Protocol):
    """Where unreadable records go besides the table."""

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Return when every letter is acknowledged by the broker."""
        ...


class Notifier(Protocol):
    """Delivers one notification to one receiver."""

    name: str

    async def notify(self, note: Notification) -> None:
        """Return when the receiver accepted it.

        Raises:
            DeliveryError: it did not; the error says whether and when to retry.
        """
        ...
