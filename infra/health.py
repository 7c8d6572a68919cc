"""Is this process alive, and is it ready? What an orchestrator asks before it restarts or counts on a worker.

``Health`` says no when a loop hangs: it has work and nothing of it has moved for ``monitoring.hung_after``. A store or
a broker that is away is no reason to restart a worker, and none to fail it here. ``Readiness`` says no until the
consumer group has taken this process in, and while the store does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from datetime import timedelta

from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import InferwatchError
from inferwatch.streams.ports import Store

ANSWER_SECONDS = 3.0
"""Longest wait of a probe for the store; Kubernetes' own limit is set a little higher."""
OK = "ok"

Signs = Callable[[], Hashable]
"""What moves while a loop works; None while it has nothing to do."""


class Health:
    """Watches loops by what they move. ``look`` must be called now and then, from one thread.

    Args:
        limit: how long nothing may move while there is work.
        clock: its monotonic timer.
    """

    def __init__(self, limit: timedelta, clock: Clock) -> None:
        self._limit = limit.total_seconds()
        self._clock = clock
        self._loops: dict[str, Signs] = {}
        self._seen: dict[str, tuple[Hashable, float]] = {}
        self._notes: dict[str, Callable[[], str]] = {}

    def watch(self, loop: str, signs: Signs) -> None:
        """Watch ``loop`` from now on. ``signs`` must not block."""
        self._loops[loop] = signs
        self._seen[loop] = (signs(), self._clock.monotonic())

    def note(self, about: str, read: Callable[[], str]) -> None:
        """Show what ``read`` says beside the loops; it is no reason to restart the process, and must not block."""
        self._notes[about] = read

    def notes(self) -> dict[str, str]:
        """Return what it is about -> ``ok`` or what somebody should know."""
        return {about: read() for about, read in self._notes.items()}

    def look(self) -> dict[str, float]:
        """Return loop -> seconds since something moved; 0 for one without work."""
        now = self._clock.monotonic()
        found = {}
        for loop, signs in self._loops.items():
            sign = signs()
            before, since = self._seen[loop]
            if sign is None or sign != before:
                since = now
            self._seen[loop] = (sign, since)
            found[loop] = now - since
        return found

    def report(self) -> dict[str, str]:
        """Return loop -> ``ok`` or what is wrong with it."""
        return {
            loop: OK if idle < self._limit else f"no sign of life for {idle:.0f} s (limit {self._limit:.0f} s)"
            for loop, idle in self.look().items()
        }


class Readiness:
    """Asks the group and the store. Probes that come while the store is being asked share its answer.

    Args:
        store: what must answer.
        joined: whether the consumer group has told this process its partitions; None where there is no group.
    """

    def __init__(self, store: Store, joined: Callable[[], bool] | None = None) -> None:
        self._store = store
        self._joined = joined
        self._asking: asyncio.Task[str] | None = None

    async def report(self) -> dict[str, str]:
        """Return part -> ``ok`` or what it waits for."""
        found = {}
        if self._joined is not None:
            found["group"] = OK if self._joined() else "not a member of the consumer group (yet)"
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        done, _ = await asyncio.wait({self._asking}, timeout=ANSWER_SECONDS)
        found["store"] = self._asking.result() if done else f"no answer within {ANSWER_SECONDS:.0f} s"
        return found

    async def _ask(self) -> str:
        try:
            await asyncio.to_thread(self._store.query, "SELECT 1 FROM windows LIMIT 1")
        except InferwatchError as error:
            # The type only: its text may hold an address, and this answer needs no login.
            return f"does not answer ({type(error).__name__})"
        return OK


def healthy(report: Mapping[str, str]) -> bool:
    """Return whether every part is well."""
    return all(text == OK for text in report.values())
