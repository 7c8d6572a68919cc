"""What a running service says about itself to whoever looks at its page; Prometheus is told more (``/metrics``)."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict


class Status(TypedDict, total=False):
    """Counts are since the start of the process. A missing key is not shown."""

    ready: bool
    state: str
    received: int
    stored: int
    dead_letters: dict[str, int]
    watermark: datetime | None
    windows_closed: int
    deliveries: dict[str, int]
    rules: str
    """Whether the rules of the file are in force, or why not."""
