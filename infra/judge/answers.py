"""Answers a judge has given, remembered in memory: the same question is asked once."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from inferwatch.infra.judge.verdict import Verdict


class Answers:
    """Keeps the ``most`` verdicts last used, by the question's key. Gone with the process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._known: OrderedDict[str, Verdict] = OrderedDict()

    def get(self, key: str) -> Verdict | None:
        """Return what was answered, if it is remembered."""
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
            return found

    def put(self, key: str, verdict: Verdict) -> None:
        """Remember an answer."""
        with self._lock:
            self._known[key] = verdict
            while len(self._known) > self._most:
                self._known.popitem(last=False)
