"""Toxicity of what people write and of what the model answers: a linear head on the shared vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np

from inferwatch.detectors.base import F32, Batch, Detector, Field, Item, Scores, once_an_item
from inferwatch.detectors.sentences import Span
from inferwatch.detectors.toxicity.units import in_context, units
from inferwatch.detectors.toxicity.weights import LinearHead, probability
from inferwatch.schemas.scores import Evidence

# Below this a stretch is not worth showing to a person.
_SHOWN = 0.5
_MOST_SHOWN = 3


class Toxicity(Detector):
    """Scores ``toxicity.input`` and ``toxicity.output``: the probability that a text insults, threatens or demeans.

    A text over 300 characters is scored whole and by sentence (read with some of the whole); the worst counts.
    Evidence is the worst sentence (or
    the text, when short) with its offsets. The probability is calibrated on a balanced mix, so at the low base
    rates of production it reads high: compare it with the threshold, not with a share. MODEL_CARD.md has data,
    licences and limits (implicit hate and counter-speech are not solved).

    Raises:
        Misconfigured: the packaged head is missing.
    """

    name: ClassVar[str] = "toxicity"
    version: ClassVar[str] = "1"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.INPUT, Field.OUTPUT})
    emits: ClassVar[Mapping[str, float]] = {"toxicity.input": 0.95, "toxicity.output": 0.95}

    def __init__(self, head: LinearHead | None = None) -> None:
        self._head = head or LinearHead.load()
        self.families = frozenset({str(self._head.metadata["encoder_revision"])})

    def texts(self, item: Item) -> Iterable[str]:
        for text, spans in zip((item.input, item.output), _spans(item), strict=True):
            yield from (text[start:end] for start, end in spans)

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        inputs, outputs = [item.input for item in batch.items], [item.output for item in batch.items]
        spans = [_spans(item) for item in batch.items]
        return (
            self._score(batch, Field.INPUT, inputs, [found for found, _ in spans]),
            self._score(batch, Field.OUTPUT, outputs, [found for _, found in spans]),
        )

    def _score(self, batch: Batch, field: Field, texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> Scores:
        flat = [text[start:end] for text, found in zip(texts, spans, strict=True) for start, end in found]
        scored: F32 = np.empty(0, np.float32)
        if flat:
            logits = self._head.logits(batch.embed(flat))
            scored = probability(in_context(logits, [len(found) for found in spans if found]))
        values = np.full(len(texts), np.nan, np.float32)
        evidence: list[tuple[Evidence, ...]] = []
        first = 0
        for row, (text, found) in enumerate(zip(texts, spans, strict=True)):
            own = scored[first : first + len(found)]
            first += len(found)
            if len(own):
                values[row] = own.max()
            evidence.append(_evidence(field, text, found, own) if len(own) and values[row] >= _SHOWN else ())
        reasons = tuple("" if found else f"no {field}" for found in spans)
        return Scores(f"toxicity.{field}", values, reasons, tuple(evidence))


@once_an_item
def _spans(item: Item) -> tuple[list[Span], list[Span]]:
    """Return what is scored of the input and of the output."""
    return _units(item.input), _units(item.output)


def _units(text: str) -> list[Span]:
    return units(text) if text.strip() else []


def _evidence(field: Field, text: str, spans: Sequence[Span], scored: F32) -> tuple[Evidence, ...]:
    """Return the worst stretches; the whole text only where no sentence stands out."""
    places = range(1, len(spans)) if len(spans) > 1 and scored[1:].max() >= _SHOWN else range(1)
    worst = sorted((place for place in places if scored[place] >= _SHOWN), key=lambda place: -scored[place])
    return tuple(
        Evidence(
            field=str(field),
            text=text[spans[place][0] : spans[place][1]],
            score=round(float(scored[place]), 4),
            start=spans[place][0],
            end=spans[place][1],
            reason="toxic language",
        )
        for place in worst[:_MOST_SHOWN]
    )
