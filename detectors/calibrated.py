"""A detector's scores as probabilities on one's own traffic, by slope and shift of their log odds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from inferwatch.detectors.base import F32, Batch, Detector, Item, Scores
from inferwatch.detectors.configured import ConfiguredDetector
from inferwatch.detectors.logistic import log_odds, probability
from inferwatch.schemas.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Platt:
    """The probability with log odds ``slope`` times those of a score plus ``shift``; with a slope over 0 order stays.

    Reference: J. Platt (1999), "Probabilistic outputs for support vector machines".
    """

    slope: float
    shift: float

    def __call__(self, values: F32) -> F32:
        """Return (n,) float32 for (n,) scores in [0, 1]; NaN stays NaN."""
        return probability((self.slope * log_odds(values) + self.shift).astype(np.float32))

    def of(self, value: float) -> float:
        """Return the probability of one score, such as a threshold."""
        return float(self(np.array([value], np.float32))[0])

    def then(self, other: Platt) -> Platt:
        """Return this and then ``other`` as one."""
        return Platt(other.slope * self.slope, other.slope * self.shift + other.shift)


class Calibrated(ConfiguredDetector):
    """``inner`` with some of its scores, and their default thresholds, as probabilities.

    What is flagged by default stays as it was. Evidence keeps the detector's own scale, on which it was chosen.

    Args:
        inner: the detector.
        maps: score -> its map.

    Raises:
        ValueError: ``maps`` names a score that ``inner`` does not emit.
    """

    def __init__(self, inner: Detector, maps: Mapping[str, Platt]) -> None:
        if strange := sorted(set(maps) - set(inner.emits)):
            raise ValueError(f"{inner.name} emits {sorted(inner.emits)}, not {strange}")
        self._inner = inner
        self._maps = dict(maps)
        own = ", ".join(f"{name} {one.slope:g} {one.shift:+g}" for name, one in sorted(maps.items()))
        super().__init__(
            name=inner.name,
            version=f"{inner.version}; calibrated {own}",
            reads=inner.reads,
            emits=thresholds(inner.emits, maps),
        )
        self.families = inner.families

    def texts(self, item: Item) -> Iterable[str]:
        return self._inner.texts(item)

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        return tuple(
            replace(one, values=self._maps[one.name](one.values)) if one.name in self._maps else one
            for one in self._inner.score(batch)
        )


def thresholds(emits: Mapping[str, float], maps: Mapping[str, Platt]) -> dict[str, float]:
    """Return score -> threshold, with that of a mapped score where it lies then."""
    return {name: maps[name].of(value) if name in maps else value for name, value in emits.items()}


def calibrate(detectors: Sequence[Detector], maps: Mapping[str, Platt]) -> list[Detector]:
    """Return the detectors, those whose scores are in ``maps`` calibrated.

    Raises:
        Misconfigured: a score that none of them emits is named.
    """
    emitted = sorted(name for detector in detectors for name in detector.emits)
    for name in maps:
        if name not in emitted:
            raise Misconfigured(f"detectors.calibration names {name!r}; the enabled detectors emit: {emitted}")
    own = ((one, {name: maps[name] for name in one.emits if name in maps}) for one in detectors)
    return [Calibrated(one, mine) if mine else one for one, mine in own]
