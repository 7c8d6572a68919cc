"""The models of the service, for commands that score files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from inferwatch.detectors.base import Detector, Encoder
from inferwatch.infra.assembly import load_models, thresholds
from inferwatch.schemas.clock import Clock, SystemClock
from inferwatch.schemas.settings import Settings
from inferwatch.streams.pipeline import Prepared
from inferwatch.streams.scored import prepare

_threads: Any = threadpool_limits  # it has no types


@dataclass(frozen=True, slots=True)
class Scorer:
    """Encoder, detectors and thresholds that ``settings`` name."""

    settings: Settings
    encoder: Encoder
    detectors: list[Detector]
    thresholds: dict[str, float]
    clock: Clock

    def prepare(self, values: Iterable[tuple[int, bytes]]) -> Iterator[Prepared]:
        """Score the records of a file (``streams.scored.prepare``)."""
        return prepare(values, self.settings, self.encoder, self.detectors, self.clock)


@contextmanager
def scorer(settings: Settings) -> Iterator[Scorer]:
    """Load the models, and keep numpy from spinning beside them.

    Raises:
        Misconfigured: a model, detector or threshold is wrong.
    """
    encoder, detectors = load_models(settings)
    limits = thresholds(settings, detectors)
    with _threads(1, user_api="blas"):
        yield Scorer(settings, encoder, detectors, limits, SystemClock())
