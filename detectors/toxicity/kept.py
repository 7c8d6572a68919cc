"""Vectors kept in files between trainings: encoding the data takes minutes, everything else seconds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inferwatch.detectors.base import F32, Encoder

_BLOCK = 8192


class KeptEncoder:
    """An encoder whose vectors are kept in ``folder``, in float16, apart for each revision.

    Every 8,192 new texts are a file of their own that appears in one step, so that a training that is stopped goes on
    where it was. float16 moves a MiniLM vector by a cosine of less than 1e-6.
    """

    def __init__(self, encoder: Encoder, folder: Path) -> None:
        self.revision, self.family, self.dim = encoder.revision, encoder.family, encoder.dim
        self._encoder = encoder
        self._folder = folder / f"vectors-{encoder.revision}"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._rows: dict[bytes, int] = {}
        held = [np.empty((0, self.dim), np.float16)]
        for file in sorted(self._folder.glob("*.npz")):
            with np.load(file) as part:
                first = sum(map(len, held))
                self._rows |= {bytes(key): first + row for row, key in enumerate(part["keys"].view("V16")[:, 0])}
                held.append(part["vectors"])
        self._vectors = np.concatenate(held)

    def encode(self, texts: Sequence[str]) -> F32:
        """Return (n, dim) float32 vectors; only texts that were never encoded before cost a pass."""
        keys = [_key(text) for text in texts]
        new = list({key: text for key, text in zip(keys, texts, strict=True) if key not in self._rows}.items())
        for first in range(0, len(new), _BLOCK):
            self._keep(new[first : first + _BLOCK])
        found: F32 = self._vectors[[self._rows[key] for key in keys]].astype(np.float32)
        return found

    def _keep(self, new: Sequence[tuple[bytes, str]]) -> None:
        vectors = self._encoder.encode([text for _, text in new]).astype(np.float16)
        self._rows |= {key: len(self._vectors) + i for i, (key, _) in enumerate(new)}
        self._vectors = np.concatenate([self._vectors, vectors])
        keys = np.frombuffer(b"".join(key for key, _ in new), np.uint8).reshape(-1, 16)
        unfinished = self._folder / f".{os.getpid()}.tmp"
        with unfinished.open("wb") as handle:
            np.savez(handle, keys=keys, vectors=vectors)
        os.replace(unfinished, self._folder / f"{hashlib.blake2b(keys.tobytes(), digest_size=8).hexdigest()}.npz")


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
