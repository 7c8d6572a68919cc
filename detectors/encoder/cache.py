"""Remember the vectors of texts seen lately: prompts, contexts and stock phrases come back all the time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from inferwatch.detectors.base import F32, Encoder


class CachedEncoder:
    """An encoder that asks ``inner`` once for each distinct text, with the last ``capacity`` vectors at hand.

    Memory is at most ``capacity * dim * 4`` bytes plus about 150 bytes a text, however long the texts are: their
    128-bit hashes are the keys. Safe to call from several threads; calls take turns.

    Attributes:
        hits: texts answered without ``inner``, repeats within one call included.
        misses: texts that ``inner`` encoded.
    """

    def __init__(self, inner: Encoder, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self.inner = inner
        self.revision, self.dim, self.capacity = inner.revision, inner.dim, capacity
        self.hits = self.misses = 0
        self._slots: OrderedDict[bytes, int] = OrderedDict()
        self._vectors = np.empty((capacity, inner.dim), np.float32)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._slots)

    def encode(self, texts: Sequence[str]) -> F32:
        """Return (n, dim) float32 with rows of L2 norm 1, in the order of ``texts``."""
        keys = [blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        out = np.empty((len(texts), self.dim), np.float32)
        with self._lock:
            known: list[int] = []
            slots: list[int] = []
            missing: dict[bytes, int] = {}  # key -> its place among the new vectors
            new_texts: list[str] = []
            new_rows: list[tuple[int, int]] = []
            for row, key in enumerate(keys):
                slot = self._slots.get(key)
                if slot is not None:
                    self._slots.move_to_end(key)
                    known.append(row)
                    slots.append(slot)
                    continue
                if key not in missing:
                    missing[key] = len(new_texts)
                    new_texts.append(texts[row])
                new_rows.append((row, missing[key]))
            out[known] = self._vectors[slots]
            if new_texts:
                vectors = self.inner.encode(new_texts)
                rows, places = zip(*new_rows, strict=True)
                out[list(rows)] = vectors[list(places)]
                self._remember(list(missing), vectors)
            self.hits += len(texts) - len(new_texts)
            self.misses += len(new_texts)
        return out

    def _remember(self, keys: list[bytes], vectors: F32) -> None:
        keys, vectors = keys[-self.capacity :], vectors[-self.capacity :]
        taken: list[int] = []
        for key in keys:
            slot = len(self._slots) if len(self._slots) < self.capacity else self._slots.popitem(last=False)[1]
            self._slots[key] = slot
            taken.append(slot)
        self._vectors[taken] = vectors
