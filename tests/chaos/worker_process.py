"""``inferwatch worker`` as the schedules run it: with a small encoder and detector, a clock that can be put wrong, and
short waits where the service would be patient. Everything else is the service's.

    python -m tests.chaos.worker_process SETTINGS.json CLOCK

CLOCK is a file with the seconds this worker's wall clock is wrong by.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from inferwatch.detectors.base import F32, Batch, Detector, Encoder, Field, Item, Scores
from inferwatch.infra import worker
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.settings import Settings
from inferwatch.streams import closing
from inferwatch.streams.alerting import engine, outbox

# The same order of lengths as in the service: answer < lease, first delay < longest.
engine.ANSWER_SECONDS = 3.0
outbox.LEASE = timedelta(seconds=5)
outbox.FIRST_DELAY, outbox.LONGEST_DELAY = timedelta(seconds=0.3), timedelta(seconds=1.5)
closing.REVISION_SCAN = timedelta(seconds=2)
worker.PAUSE = 0.4


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


class WrongClock(SystemClock):
    """The machine's clock, put wrong by what a file says; its monotonic timer is right, as a real one is."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=float(self._file.read_text()))


def fast_models(_: Settings) -> tuple[Encoder, list[Detector]]:
    return HashedWords(), [Terse()]


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = Settings.model_validate_json(Path(sys.argv[1]).read_text())
    asyncio.run(worker.run_worker(settings, models=fast_models, clock=WrongClock(Path(sys.argv[2]))))
