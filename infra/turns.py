"""How long a thread keeps Python's lock while others wait for it.

An encoder thread needs the lock for a moment between two runs of 2 ms each. By default another thread that computes in
Python keeps it for 5 ms at a time, and the encoder's core idles: twenty milliseconds of Python cost two cores fifteen
each.

References: sys.setswitchinterval in the Python documentation.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

INTERVAL = 0.0001
"""Seconds; a thread that waits for the lock gets it after so long."""


@contextmanager
def short_turns() -> Iterator[None]:
    """Within, no thread waits longer than a tenth of a millisecond for one other that computes."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(INTERVAL)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
