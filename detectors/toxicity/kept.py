"""Vectors kept in a file between trainings: encoding the data takes minutes, everything else seconds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inferwatch.detectors.base import F32, Encoder

_BLOCK = 8192


class KeptEncoder:
    """An encoder whose vectors are kept in ``folder``, one float16 file for each revision.

    The file is replaced in one step after every 8,192 new texts, so that a training that is stopped goes on where it
    was. float16 moves a MiniLM vector by a cosine of less than 1e-6.
    """

    def __init__(self, encoder: Encoder, folder: Path) -> None:
        self.revision, self.family, self.dim = encoder.revision, encoder.family, encoder.dim
        self._encoder = encoder
        self._file = folder / f"vectors-{encoder.revision}.npz"
        self._rows: dict[bytes, int] = {}
        self._vectors = np.empty((0, self.dim), np.float16)
        if self._file.is_file():
            with np.load(self._file) as held:
                self._rows = {bytes(key): row for row, key in enumerate(held["keys"].view("V16")[:, 0])}
                self._vectors = held["vectors"]

    def encode(self, texts: Sequence[str]) -> F32:
        """Return (n, dim) float32 vectors; only texts that were never encoded before cost a pass."""
        keys = [_key(text) for text in texts]
        missing = dict.fromkeys(i for i, key in enumerate(keys) if key not in self._rows)
        new = list({keys[i]: texts[i] for i in missing}.items())
        for first in range(0, len(new), _BLOCK):
            self._keep(new[first : first + _BLOCK])
        found: F32 = self._vectors[[self._rows[key] for key in keys]].astype(np.float32)
        return found

    def _keep(self, new: Sequence[tuple[bytes, str]]) -> None:
        vectors = self._encoder.encode([text for _, text in new]).astype(np.float16)
        self._rows.update({key: len(self._vectors) + i for i, (key, _) in enumerate(new)})
        self._vectors = np.concatenate([self._vectors, vectors])
        keys = np.frombuffer(b"".join(self._rows), np.uint8).reshape(-1, 16)
        unfinished = self._file.with_suffix(".tmp.npz")
        np.savez(unfinished, keys=keys, vectors=self._vectors)
        os.replace(unfinished, self._file)


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
