"""Memory of a worker that runs for weeks: what is freed goes back to the system, and what stays is not looked at again.

glibc keeps what is freed, in an arena for every few threads, and a worker seems to leak.

Measured over half an hour of steady load: with glibc as it comes, arenas grew from 281 to 318 MiB although what was in
use stayed at 255 MiB; with two arenas and a trim a minute they stay. A trim takes one to six milliseconds. Arrow comes
with an allocator of its own, mimalloc, that kept 47 MiB after six minutes and 77 after thirty, of which 14 were in use.
Elsewhere than on glibc all of this does nothing. The embedded engine has jemalloc, which keeps what merges needed, more
as the tables grow: 49 of 234 MiB after 60,000 rows; the store trims that (``ClickHouseStore.trim``).

Python looks for cycles among all objects now and then, and stops every thread for it. Models and libraries are some
600,000 objects: 0.27 s every ten seconds under load, measured, of which nothing is ever found. Among new objects it
looks after every 700, all of which a batch still needs: it is let do so after as many as a batch has.

References: mallopt(3) and malloc_trim(3) of the Linux man-pages; gc in the Python documentation.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa

EVERY = 60.0
"""Seconds between two trims."""
_M_ARENA_MAX, _ARENAS = -8, 2
_M_MMAP_THRESHOLD, _LARGE = -3, 1024 * 1024
"""What is as large has pages of its own, which go back as soon as it is freed. glibc raises the limit by itself, to
32 MiB, whenever something large is freed."""

_THRESHOLDS = (50_000, 20, 10)
"""New objects before a search among them, and such searches before one among the older. With Python's own 700 a worker
under load spent 0.6 % of its time on them, with these 0.1 %."""


def bound() -> None:
    """Let threads share two arenas, Arrow's included, and keep what is large out of them; call it before the rest."""
    if (mallopt := _of_glibc("mallopt")) is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        pa.set_memory_pool(pa.system_memory_pool())


def trim() -> None:
    """Give back what is free now."""
    if (malloc_trim := _of_glibc("malloc_trim")) is not None:
        malloc_trim(0)


@contextmanager
def settled() -> Iterator[None]:
    """Within, searches for cycles are rare and see nothing of what is there now: enter it once everything is loaded."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _of_glibc(name: str) -> Callable[..., int] | None:
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return found
