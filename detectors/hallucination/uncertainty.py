"""How unsure the model was of its own words: the log-probabilities of the output's tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32, Batch, Detector, Field, Item, Scores
from inferwatch.schemas.scores import Evidence

_SPAN = 5
_SHOWN = 0.5
_LEAST = -1e3


class Uncertainty(Detector):
    """Scores ``hallucination.uncertainty`` and ``hallucination.worst_span`` of outputs with logged log-probabilities.

    ``uncertainty`` is 1 - exp(mean log-probability): one less the geometric mean of the tokens' probabilities, so that
    long outputs are not worse for being long. ``worst_span`` is the same of the five neighbouring tokens the model was
    least sure of. Both are in [0, 1); neither is a probability of being wrong, and what is usual differs by model, so
    compare with the model's own past.

    Abstains with ``no logprobs``. Positive and NaN values count as 0, minus infinity as -1,000.

    References:
        N. Guerreiro, E. Voita, A. Martins (2023), Looking for a needle in a haystack (Seq-Logprob), EACL.
        A. Malinin, M. Gales (2021), Uncertainty estimation in autoregressive structured prediction, ICLR.
    """

    name: ClassVar[str] = "uncertainty"
    version: ClassVar[str] = "1"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.LOGPROBS})
    emits: ClassVar[Mapping[str, float]] = {"hallucination.uncertainty": 0.5, "hallucination.worst_span": 0.9}

    def texts(self, item: Item) -> Iterable[str]:
        return ()

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        reasons = tuple("" if item.logprobs else "no logprobs" for item in batch.items)
        whole: F32 = np.full(len(reasons), np.nan, np.float32)
        worst = whole.copy()
        shown: list[tuple[Evidence, ...]] = [()] * len(reasons)
        for row, item in enumerate(batch.items):
            if item.logprobs:
                logs = np.clip(np.nan_to_num(np.array(item.logprobs, np.float64), neginf=_LEAST), _LEAST, 0)
                start, least = worst_span(logs)
                whole[row], worst[row] = unsure(float(logs.mean())), unsure(least)
                if worst[row] >= _SHOWN:
                    shown[row] = (_evidence(start, len(logs), float(worst[row])),)
        return (
            Scores("hallucination.uncertainty", whole, reasons, tuple(shown)),
            Scores("hallucination.worst_span", worst, reasons, tuple(shown)),
        )


def worst_span(logs: npt.NDArray[np.float64]) -> tuple[int, float]:
    """Return where the five neighbours with the lowest mean begin, and that mean; fewer tokens are one span."""
    length = min(_SPAN, len(logs))
    means = np.convolve(logs, np.full(length, 1 / length), mode="valid")
    start = int(means.argmin())
    return start, float(logs[start : start + length].mean())


def unsure(mean: float) -> float:
    """Return 1 - exp(mean) of a mean log-probability, in [0, 1]."""
    return float(min(1.0, max(0.0, -np.expm1(mean))))


def _evidence(start: int, n: int, score: float) -> Evidence:
    last = min(start + _SPAN, n)
    reason = f"tokens {start + 1} to {last} of {n} have a mean probability of {1 - score:.3f}"
    return Evidence(field=str(Field.OUTPUT), text="", score=round(score, 4), reason=reason)
