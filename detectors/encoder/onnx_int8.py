"""Sentence vectors from the int8 ONNX model that ``inferwatch models build`` made: no torch at run time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from threading import local
from typing import Any

import numpy as np

from inferwatch.detectors.base import Encoded
from inferwatch.detectors.encoder import samples
from inferwatch.detectors.encoder.backend import Backend
from inferwatch.detectors.encoder.built import INT8, TEXTS, Built
from inferwatch.detectors.encoder.chunks import Chunker
from inferwatch.detectors.encoder.folder import family_of, longest_sequence
from inferwatch.detectors.encoder.onnx_session import one_thread_session
from inferwatch.schemas.errors import Misconfigured

_SAME = 0.9995
_RUN_TOKENS = 512
"""Most tokens of a run of several texts: some thirty milliseconds."""
_RUNS_A_THREAD = 8
"""In how many runs, at least, a thread's share is cut: so that none waits long for the last of another."""


class OnnxInt8Encoder(Backend):
    """Encode texts with an int8 model on ONNX Runtime, ``threads`` texts at once.

    The model quantises its activations with one scale for everything that goes through it together. In a batch, a
    text's vector would depend on its neighbours and on the padding; it goes through alone, and its vector is **a
    function of the text, bit for bit**, however a stream of texts is cut into batches. That costs 10 to 15 % of the
    rate for texts of 30 tokens and gains some for long ones, which are padded nowhere.

    A run of the model takes texts of one length, one after the other: a thread needs Python's lock between two runs
    only, and another thread that computes in Python, or was put to sleep while it held the lock, stands in its way
    less often. (In a simulation with a third thread that computed for a quarter of the time, runs of one text took
    33 % longer than without it, runs of sixteen 24 %.)

    Vectors are float32 with L2 norm 1, and close to those of the model they were made from (mean cosine about 0.994):
    close enough for heads fitted on that model (``family``), too far to be compared with its vectors (``revision``).

    Args:
        source: the sentence-transformers folder the model was made from, for its tokenizer.
        models: the folder of built models.
        threads: how many texts are encoded at once, each on one core; 0 is one for each core. Waiting threads sleep.
        max_tokens: most tokens read of a text; longer ones than the model reads are cut into chunks and pooled.

    Raises:
        Misconfigured: the model was not built, was built from something else, or is damaged.
    """

    backend = "onnx-int8"

    def __init__(self, source: Path, models: Path, *, threads: int = 0, max_tokens: int = 16_384) -> None:
        self.family = family_of(source)
        self.built = Built.load(models, self.family, INT8)
        self.revision, self.dim = self.built.revision, self.built.dim
        super().__init__()
        self._chunk = Chunker(source, longest_sequence(source), max_tokens)
        self._threads = threads or os.cpu_count() or 1
        # Each thread has a session of its own, some 30 MB: two in one session are in each other's way (6 % slower).
        sessions = iter([self._load() for _ in range(self._threads)])
        self._own = local()
        self._workers = ThreadPoolExecutor(
            self._threads, "encoder", initializer=lambda: setattr(self._own, "session", next(sessions))
        )

    def _load(self) -> Any:
        try:
            return one_thread_session(str(self.built.file))
        except Exception as error:  # ONNX Runtime's errors have no common base
            raise Misconfigured(f"{self.built.file} cannot be loaded: {error}; build it again") from error

    def verify(self) -> None:
        """Compare with the machine that built the model: processors without exact int8 products compute other vectors.

        Raises:
            Misconfigured: this processor gives other vectors from the same file.
        """
        texts = samples.TEXTS[:4]
        cosine = float((self.encode(texts) * self.built.samples()[:4]).sum(axis=1).min())
        if cosine < _SAME:
            raise Misconfigured(
                f"{self.built.file}: this processor computes other vectors from it (cosine {cosine:.4f}) than the one "
                "it was built on, probably for lack of int8 instructions (VNNI): use encoder.backend: torch here"
            )

    def encode_all(self, texts: Sequence[str]) -> Encoded:
        """Return the vectors of ``texts``, and of how many chunks each was pooled."""
        with self._measure(len(texts)):
            chunked = self._chunk(texts)
            found = np.empty((len(chunked.ids), self.dim), np.float32)
            # One iterator for all threads: taking the next of a list is atomic.
            rest = iter(runs([len(ids) for ids in chunked.ids], self._threads))

            def work() -> None:
                session = self._own.session
                for rows in rest:
                    [found[rows]] = session.run(None, {TEXTS: np.array([chunked.ids[row] for row in rows], np.int64)})

            for done in [self._workers.submit(work) for _ in range(min(self._threads, len(chunked.ids)))]:
                done.result()
            found /= np.linalg.norm(found, axis=1, keepdims=True)
            return Encoded(chunked.pool(found), chunked.counts, chunked.cut)


def runs(lengths: Sequence[int], threads: int) -> list[list[int]]:
    """Return the rows of each run, longest texts first, so that no thread waits long for the last one.

    >>> runs([3, 9, 3, 3, 9, 3], threads=1)
    [[1], [4], [0], [2], [3], [5]]
    >>> [len(rows) for rows in runs([9] * 80, threads=1)]
    [10, 10, 10, 10, 10, 10, 10, 10]
    """
    tokens = min(_RUN_TOKENS, sum(lengths) // (_RUNS_A_THREAD * threads))
    found: list[list[int]] = []
    for length, rows in groupby(sorted(range(len(lengths)), key=lambda row: -lengths[row]), lambda row: lengths[row]):
        own, most = list(rows), max(1, tokens // max(1, length))
        found += [own[start : start + most] for start in range(0, len(own), most)]
    return found
