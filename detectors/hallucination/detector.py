"""Hallucination as unsupported content: what the answer claims and the logged contexts do not hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np

from inferwatch.detectors.base import F32, Batch, Detector, Field, Item, Scores
from inferwatch.detectors.hallucination.grounding import Grounding, Reading, ground, read
from inferwatch.detectors.hallucination.model import GroundingModel
from inferwatch.schemas.scores import Evidence

_SHOWN = 0.5
_MOST_SHOWN = 5


class Hallucination(Detector):
    """Scores ``hallucination``: the probability that some claim of the output is not supported by the contexts.

    Each claim (sentences that are no greeting, question, offer, or statement of not knowing) is compared with the
    context sentences by vectors, by words and pairs of words, and by its numbers, names and negation; the least
    supported claim decides. Evidence holds each claim over 0.5 with its offsets and reasons.

    Abstains with ``no output``, ``no contexts``, or ``no claims`` (a greeting, a question, a refusal). It cannot
    see a wrong statement made of the right words; MODEL_CARD.md has the numbers.

    Raises:
        Misconfigured: the packaged model is missing.
    """

    name: ClassVar[str] = "hallucination"
    version: ClassVar[str] = "1"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.INPUT, Field.OUTPUT, Field.CONTEXTS})
    emits: ClassVar[Mapping[str, float]] = {"hallucination": 0.6}

    def __init__(self, model: GroundingModel | None = None) -> None:
        self._model = model or GroundingModel.load()
        self.families = frozenset({str(self._model.metadata["encoder_revision"])})

    def texts(self, item: Item) -> Iterable[str]:
        if not _abstains(item):
            reading = read(item)
            yield from reading.claims
            yield from reading.sentences

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        reasons = tuple(_abstains(item) for item in batch.items)
        readings = [None if reason else read(item) for item, reason in zip(batch.items, reasons, strict=True)]
        flat = [text for found in readings if found for text in (*found.claims, *found.sentences)]
        vectors = batch.embed(flat) if flat else np.empty((0, 0), np.float32)
        grounded: list[Grounding] = []
        first = 0
        for item, found in zip(batch.items, readings, strict=True):
            if found:
                middle = first + len(found.claims)
                last = middle + len(found.sentences)
                grounded.append(ground(item, found, vectors[first:middle], vectors[middle:last]))
                first = last
        probabilities: F32 = np.empty(0, np.float32)
        if grounded:
            probabilities = self._model(np.concatenate([one.features for one in grounded]))
        values = np.full(len(batch.items), np.nan, np.float32)
        evidence: list[tuple[Evidence, ...]] = [()] * len(batch.items)
        scored = iter(grounded)
        first = 0
        for row, found in enumerate(readings):
            if found:
                own = probabilities[first : first + len(found.claims)]
                first += len(found.claims)
                values[row] = own.max()
                evidence[row] = _evidence(found, next(scored), own)
        return (Scores("hallucination", values, reasons, tuple(evidence)),)


def _abstains(item: Item) -> str:
    """Return the reason not to score ``item``, or an empty string."""
    if not item.output.strip():
        return "no output"
    if not any(context.strip() for context in item.contexts):
        return "no contexts"
    return "" if read(item).claims else "no claims"


def _evidence(reading: Reading, grounding: Grounding, scored: F32) -> tuple[Evidence, ...]:
    worst = sorted(np.flatnonzero(scored >= _SHOWN).tolist(), key=lambda place: -scored[place])
    return tuple(
        Evidence(
            field=str(Field.OUTPUT),
            text=reading.claims[place],
            score=round(float(scored[place]), 4),
            start=reading.spans[place][0],
            end=reading.spans[place][1],
            reason="; ".join(grounding.reasons[place]),
        )
        for place in worst[:_MOST_SHOWN]
    )
