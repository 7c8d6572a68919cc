"""What every backend is: an encoder that says how it read a text, and counts what it did."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

from inferwatch.detectors.base import F32, Encoded


class Backend(ABC):
    """One way to compute the vectors; see ``Encoder`` for revision, family and dim. Safe to call from several threads.

    Attributes:
        backend: its name in ``encoder.backend``.
        texts: texts encoded so far, each of them work done (what a cache answers is not among them).
        seconds: time spent on them, summed over calls: two calls side by side for a second count two.
    """

    backend: ClassVar[str]
    revision: str
    family: str
    dim: int

    def __init__(self) -> None:
        self.texts = 0
        self.seconds = 0.0
        self._counting = threading.Lock()

    def encode(self, texts: Sequence[str]) -> F32:
        """Return (n, dim) float32 with rows of L2 norm 1, in the order of ``texts``."""
        return self.encode_all(texts).vectors

    @abstractmethod
    def encode_all(self, texts: Sequence[str]) -> Encoded:
        """Return the vectors of ``texts``, and of how many chunks each was pooled."""

    @contextmanager
    def _measure(self, texts: int) -> Iterator[None]:
        """Count ``texts`` and the time the block takes, unless it raises."""
        start = time.perf_counter()
        yield
        taken = time.perf_counter() - start
        with self._counting:
            self.texts += texts
            self.seconds += taken
