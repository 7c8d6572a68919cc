"""How often a judge may be called: so often a minute and a day, and not while it is down. Safe between threads."""

from __future__ import annotations

from datetime import UTC, datetime
from threading import Lock

from inferwatch.schemas.clock import Clock
from inferwatch.schemas.judge import JudgeSettings

_MINUTE, _DAY = "%Y-%m-%dT%H:%M", "%Y-%m-%d"


class CallBudget:
    """Counts calls of this process by minute and by day of UTC, and tokens by day.

    A call that has been allowed counts, whatever becomes of it. Tokens are known only when an answer is there, so the
    calls under way may go beyond their limit.
    """

    def __init__(self, settings: JudgeSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = Lock()
        self._minute, self._day = "", ""
        self._calls_minute = self._calls_day = self._tokens_day = 0

    def allow(self) -> bool:
        """Count one more call if it is within the budget, and say whether it is."""
        settings = self._settings
        with self._lock:
            self._turn(self._clock.now().astimezone(UTC))
            if self._calls_minute >= settings.calls_per_minute or self._calls_day >= settings.calls_per_day:
                return False
            if settings.tokens_per_day is not None and self._tokens_day >= settings.tokens_per_day:
                return False
            self._calls_minute += 1
            self._calls_day += 1
            return True

    def spent(self, tokens: int) -> None:
        """Count the tokens of an answer."""
        with self._lock:
            self._turn(self._clock.now().astimezone(UTC))
            self._tokens_day += tokens

    def _turn(self, now: datetime) -> None:
        if (minute := now.strftime(_MINUTE)) != self._minute:
            self._minute, self._calls_minute = minute, 0
        if (day := now.strftime(_DAY)) != self._day:
            self._day, self._calls_day, self._tokens_day = day, 0, 0


class Rest:
    """Leaves a judge that is down alone, for longer each time, so that an outage costs no row its time.

    Args:
        clock: its timer says when a rest is over.
        failures: so many rows in a row without an answer start a rest.
        first: seconds of the first rest.
        longest: seconds of the longest.
    """

    def __init__(self, clock: Clock, *, failures: int = 5, first: float = 15, longest: float = 300) -> None:
        self._clock = clock
        self._most, self._first, self._longest = failures, first, longest
        self._lock = Lock()
        self._failures, self._next, self._until = 0, first, 0.0

    @property
    def resting(self) -> bool:
        return self._clock.monotonic() < self._until

    def answered(self) -> None:
        """The judge is there."""
        with self._lock:
            self._failures, self._next = 0, self._first

    def failed(self, *, at_once: bool = False, seconds: float | None = None) -> float:
        """One more row got no answer; return how many seconds of rest that starts, 0 for none.

        Args:
            at_once: whether further calls cannot succeed either.
            seconds: what the judge asked to wait; it starts a rest of that length, an hour at most.
        """
        with self._lock:
            self._failures += 1
            if self.resting or not (at_once or seconds or self._failures >= self._most):
                return 0.0
            rest = min(seconds, 3600.0) if seconds else self._next
            self._next = min(2 * self._next, self._longest)
            self._until = self._clock.monotonic() + rest
            return rest
