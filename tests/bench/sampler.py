"""Where a running process spends its time: the stacks of all its threads, looked at every few milliseconds.

Unlike cProfile it sees every thread and slows nothing down by a factor, so that the shares are those of the undisturbed
run. A thread that waits for work is idle; one that waits for the interpreter's lock counts as busy.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

WAITING = ("threading.py", "selectors.py", "queue.py", "concurrent/futures/thread.py")
PART = ("/schemas/", "/detectors/", "/streams/", "/infra/")
ROOT = str(Path(__file__).parents[2])
TOP = 25


class Sampler:
    """Samples between ``with`` and its end.

    Args:
        pause: seconds between two looks.
    """

    def __init__(self, pause: float = 0.004) -> None:
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="sampler", daemon=True)
        self._busy: Counter[str] = Counter()
        self._within: Counter[tuple[str, str]] = Counter()
        self._libraries: Counter[tuple[str, str]] = Counter()
        self.samples = 0

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def summary(self) -> dict[str, Any]:
        """Return how busy each kind of thread was, and within what functions and libraries, as shares of the time."""

        def share(found: int) -> float:
            return round(found / max(1, self.samples), 4)

        return {
            "samples": self.samples,
            "busy": {name: share(found) for name, found in self._busy.most_common()},
            "within": [
                {"thread": thread, "function": function, "share": share(found)}
                for (thread, function), found in self._within.most_common(TOP)
            ],
            "code": [
                {"thread": thread, "library": library, "share": share(found)}
                for (thread, library), found in self._libraries.most_common(TOP)
            ],
        }

    def _look(self) -> None:
        own = threading.get_ident()
        while not self._stop.wait(self._pause):
            self.samples += 1
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            for ident, frame in sys._current_frames().items():
                if ident != own and not frame.f_code.co_filename.endswith(WAITING):
                    self._note(_kind(names.get(ident, "other")), frame)

    def _note(self, thread: str, frame: FrameType) -> None:
        self._busy[thread] += 1
        self._libraries[thread, _library(frame.f_code.co_filename)] += 1
        seen: set[str] = set()
        at: FrameType | None = frame
        while at is not None:
            file = at.f_code.co_filename
            if file.startswith(ROOT) and any(part in file for part in PART) and "/tests/" not in file:
                seen.add(f"{file.removeprefix(ROOT).lstrip('/')}: {at.f_code.co_qualname}")
            at = at.f_back
        for function in seen:
            self._within[thread, function] += 1


def _kind(thread: str) -> str:
    """Return a thread's name without its number."""
    return "event loop" if thread == "MainThread" else thread.rstrip("0123456789_")


def _library(file: str) -> str:
    if file.startswith(ROOT) and "site-packages" not in file:
        return file.removeprefix(ROOT).lstrip("/")
    return file.rpartition("site-packages/")[2].partition("/")[0] if "site-packages/" in file else Path(file).name
