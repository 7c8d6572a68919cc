"""Remember the vectors of texts seen lately: prompts, contexts and stock phrases come back all the time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from inferwatch.detectors.base import F32, Encoded, Encoder, encode_all


class CachedEncoder:
    """An encoder that asks ``inner`` once for each distinct text, with the last ``capacity`` vectors at hand.

    Memory is at most ``capacity * (dim * 4 + 3)`` bytes plus about 150 bytes a text, however long the texts are: their
    128-bit hashes are the keys. Safe to call from several threads; calls take turns.

    Attributes:
        hits: texts answered without ``inner``, repeats within one call included.
        misses: texts that ``inner`` encoded.
    """

    def __init__(self, inner: Encoder, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self.inner = inner
        self.revision, self.family, self.dim, self.capacity = inner.revision, inner.family, inner.dim, capacity
        self.hits = self.misses = 0
        self._slots: OrderedDict[bytes, int] = OrderedDict()
        self._vectors = np.empty((capacity, inner.dim), np.float32)
        self._chunks = np.empty(capacity, np.uint16)
        self._cut = np.empty(capacity, np.bool_)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._slots)

    def encode(self, texts: Sequence[str]) -> F32:
        """Return (n, dim) float32 with rows of L2 norm 1, in the order of ``texts``."""
        return self.encode_all(texts).vectors

    def encode_all(self, texts: Sequence[str]) -> Encoded:
        """Return the vectors of ``texts``, and of how many chunks each was pooled."""
        keys = [blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        out = np.empty((len(texts), self.dim), np.float32)
        chunks, cut = np.empty(len(texts), np.int64), np.empty(len(texts), np.bool_)
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
            out[known], chunks[known], cut[known] = self._vectors[slots], self._chunks[slots], self._cut[slots]
            if new_texts:
                new = encode_all(self.inner, new_texts)
                rows, places = map(list, zip(*new_rows, strict=True))
                out[rows], chunks[rows], cut[rows] = new.vectors[places], new.chunks[places], new.cut[places]
                self._remember(list(missing), new)
            self.hits += len(texts) - len(new_texts)
            self.misses += len(new_texts)
        return Encoded(out, chunks, cut)

    def _remember(self, keys: list[bytes], new: Encoded) -> None:
        keys, last = keys[-self.capacity :], slice(-self.capacity, None)
        taken: list[int] = []
        for key in keys:
            slot = len(self._slots) if len(self._slots) < self.capacity else self._slots.popitem(last=False)[1]
            self._slots[key] = slot
            taken.append(slot)
        self._vectors[taken], self._chunks[taken], self._cut[taken] = new.vectors[last], new.chunks[last], new.cut[last]
