"""Circuit breakers: a receiver that does not take messages is left alone for a while, longer each time."""

from __future__ import annotations

from math import inf

from inferwatch.schemas.clock import Clock
from inferwatch.streams.alerting import outbox

DEAD_AFTER = 10
"""Refusals of a message, or in a row by a receiver, about half an hour of them, before old messages are given up."""


class Breakers:
    """One for each receiver, by its name: closed while it takes messages, open for a wait after it did not.

    The wait doubles with every refusal in a row, from 2 s to 15 min, with jitter, and is never shorter than the
    receiver asks for. After it one message is tried: taken, it closes the breaker; refused, the next wait begins.
    Kept in memory: a new process tries at once.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._refusals: dict[str, int] = {}
        self._open_until: dict[str, float] = {}

    def is_open(self, receiver: str) -> bool:
        """Return whether nothing may be sent to it now."""
        return self._open_until.get(receiver, -inf) > self._clock.monotonic()

    def is_dead(self, receiver: str) -> bool:
        """Return whether it has refused so often in a row that what is old need not wait for it."""
        return self._refusals.get(receiver, 0) >= DEAD_AFTER

    def taken(self, receiver: str) -> None:
        """It has taken a message."""
        self._refusals.pop(receiver, None)

    def refused(self, receiver: str, retry_after: float | None) -> None:
        """It has refused one for now, or not answered; ``retry_after`` is in seconds."""
        refusals = self._refusals[receiver] = self._refusals.get(receiver, 0) + 1
        wait = outbox.delay(receiver, refusals, retry_after)
        self._open_until[receiver] = self._clock.monotonic() + wait.total_seconds()
