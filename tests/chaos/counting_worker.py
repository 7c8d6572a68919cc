"""``inferwatch worker`` that says after each batch how many records it stored: the process the chaos tests kill.

Usage: counting_worker.py SETTINGS.json fast|real. ``fast`` has a small encoder and detector of its own, so that many
records pass in little time; everything else is the service's.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from inferwatch.detectors.base import F32, Batch, Detector, Encoder, Field, Item, Scores
from inferwatch.infra import worker
from inferwatch.schemas.settings import Settings
from inferwatch.streams.pipeline import Pipeline, Prepared
from inferwatch.streams.ports import DeadLetter


class HashedWords:
    """A bag of hashed words."""

    revision = "hashed-words"
    dim = 64

    def encode(self, texts: Sequence[str]) -> F32:
        found = np.full((len(texts), self.dim), 1e-3, np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                digest = hashlib.sha256(word.encode()).digest()
                found[row, digest[0] % self.dim] += 1 if digest[1] % 2 else -1
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


class Terse(Detector):
    """Scores how short an output is; abstains where there is none."""

    name = "terse"
    version = "1"
    reads = frozenset({Field.OUTPUT})
    emits: Mapping[str, float] = {"terse": 0.5}

    def texts(self, item: Item) -> list[str]:
        return []

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        outputs = [item.output for item in batch.items]
        values = np.array([1 / len(text.split()) if text else np.nan for text in outputs], np.float32)
        reasons = tuple("" if text else "no output" for text in outputs)
        return (Scores("terse", values, reasons, ((),) * len(outputs)),)


class Counting(Pipeline):
    """Prints the size of each batch when it is stored."""

    def commit(self, prepared: Prepared) -> tuple[DeadLetter, ...]:
        letters = super().commit(prepared)
        print(len(prepared.records), flush=True)
        return letters


def fast_models(_: Settings) -> tuple[Encoder, list[Detector]]:
    return HashedWords(), [Terse()]


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    worker.Pipeline = Counting  # type: ignore[misc]
    settings = Settings.model_validate_json(Path(sys.argv[1]).read_text())
    models = {"fast": fast_models, "real": worker.load_models}[sys.argv[2]]
    asyncio.run(worker.run_worker(settings, models=models))
