"""Remember the vectors of texts seen lately: prompts, contexts and stock phrases come back all the time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from inferwatch.detectors.base import F32, Encoded, Encoder, encode_all


@dataclass(frozen=True, eq=False)
class _Call:
    """Texts that are encoded together: key -> place, and the vectors once they are there."""

    keys: dict[bytes, int] = field(default_factory=dict)
    done: Future[Encoded] = field(default_factory=Future)


class CachedEncoder:
    """An encoder that asks ``inner`` once for each distinct text, with the last ``capacity`` vectors at hand.

    Memory is at most ``capacity * (dim * 4 + 3)`` bytes plus about 150 bytes a text, however long the texts are: their
    128-bit hashes are the keys. Safe to call from several threads: a text that another call is encoding is waited for.

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
        self._under_way: dict[bytes, _Call] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._slots)

    def encode(self, texts: Sequence[str]) -> F32:
        """Return (n, dim) float32 with rows of L2 norm 1, in the order of ``texts``."""
        return self.encode_all(texts).vectors

    def encode_all(self, texts: Sequence[str]) -> Encoded:
        """Return the vectors of ``texts``, and of how many chunks each was pooled."""
        keys = [blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        rows: dict[bytes, list[int]] = {}
        for row, key in enumerate(keys):
            rows.setdefault(key, []).append(row)
        out = Encoded(
            np.empty((len(texts), self.dim), np.float32), np.empty(len(texts), np.int64), np.empty(len(texts), np.bool_)
        )
        own, others = self._sort(rows, out)
        if own.keys:
            self._encode(own, [texts[rows[key][0]] for key in own.keys])
            _fill(out, rows, own.keys, own)
        for other, wanted in others.items():
            _fill(out, rows, wanted, other)
        with self._lock:
            self.hits += len(texts) - len(own.keys)
        return out

    def _sort(self, rows: Mapping[bytes, list[int]], out: Encoded) -> tuple[_Call, dict[_Call, list[bytes]]]:
        """Fill in what is known; return what is to be encoded now, and what other calls encode at this moment."""
        own, others = _Call(), dict[_Call, list[bytes]]()
        known: list[int] = []
        slots: list[int] = []
        with self._lock:
            for key, places in rows.items():
                if (slot := self._slots.get(key)) is not None:
                    self._slots.move_to_end(key)
                    known += places
                    slots += [slot] * len(places)
                elif (other := self._under_way.get(key)) is not None:
                    others.setdefault(other, []).append(key)
                else:
                    self._under_way[key] = own
                    own.keys[key] = len(own.keys)
            out.vectors[known], out.chunks[known], out.cut[known] = (
                self._vectors[slots], self._chunks[slots], self._cut[slots],
            )  # fmt: skip
        return own, others

    def _encode(self, call: _Call, texts: Sequence[str]) -> None:
        try:
            found = encode_all(self.inner, texts)
            with self._lock:
                self._remember(list(call.keys), found)
                self.misses += len(texts)
            call.done.set_result(found)
        except BaseException as error:
            call.done.set_exception(error)
            raise
        finally:
            with self._lock:
                for key in call.keys:
                    del self._under_way[key]

    def _remember(self, keys: list[bytes], new: Encoded) -> None:
        keys, last = keys[-self.capacity :], slice(-self.capacity, None)
        taken: list[int] = []
        for key in keys:
            slot = len(self._slots) if len(self._slots) < self.capacity else self._slots.popitem(last=False)[1]
            self._slots[key] = slot
            taken.append(slot)
        self._vectors[taken], self._chunks[taken], self._cut[taken] = new.vectors[last], new.chunks[last], new.cut[last]


def _fill(out: Encoded, rows: Mapping[bytes, list[int]], keys: Iterable[bytes], call: _Call) -> None:
    """Copy the vectors of ``keys`` from what ``call`` encoded, once it has."""
    found = call.done.result()
    pairs = [(row, call.keys[key]) for key in keys for row in rows[key]]
    into, places = map(list, zip(*pairs, strict=True))
    out.vectors[into], out.chunks[into], out.cut[into] = found.vectors[places], found.chunks[places], found.cut[places]
