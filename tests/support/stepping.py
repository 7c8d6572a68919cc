"""A clock that is wrong, and is set right."""

from __future__ import annotations

from datetime import datetime, timedelta

from inferwatch.schemas.clock import ManualClock


class Stepping(ManualClock):
    """Its time of day can be put wrong, either way; its timer goes on."""

    _off = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self._off

    def step(self, by: timedelta) -> None:
        """Put the time of day forward by ``by``."""
        self._off += by
