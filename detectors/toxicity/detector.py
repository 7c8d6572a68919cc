"""Toxicity of what people write and of what the model answers, from the shared vectors and from the words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from inferwatch.detectors.base import F32, Batch, Detector, Field, Item, Scores, once_an_item
from inferwatch.detectors.sentences import Span
from inferwatch.detectors.toxicity.features import Reading
from inferwatch.detectors.toxicity.model import Blend, inputs, probability
from inferwatch.detectors.toxicity.obfuscation import clean
from inferwatch.detectors.toxicity.occlusion import driving_words
from inferwatch.detectors.toxicity.units import in_context, units
from inferwatch.schemas.scores import Evidence

# Below this a stretch is not worth showing to a person.
_SHOWN = 0.5
_MOST_SHOWN = 3


@dataclass(frozen=True)
class Plan:
    """What is scored of a text: its stretches, and how each reads once nothing in it is disguised."""

    text: str
    spans: tuple[Span, ...]
    reads: tuple[str, ...]


class Toxicity(Detector):
    """Scores ``toxicity.input`` and ``toxicity.output``: the probability that a text insults, threatens or demeans.

    A text is scored whole; of one over 300 characters, sentences whose words look suspicious are scored by themselves
    too (read with some of the whole), and the worst counts. Words in disguise (1d10t, s h i t) are read as meant.
    Evidence is the worst sentence (or the text, when short) with its kind, and, from the default threshold on, the
    words without which its score falls. The probability is calibrated on a balanced mix, so at the low base rates of
    production it reads high: compare it with the threshold, not with a share. MODEL_CARD.md has data, licences,
    figures and limits.

    Raises:
        Misconfigured: the packaged model is missing.
    """

    name: ClassVar[str] = "toxicity"
    version: ClassVar[str] = "2"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.INPUT, Field.OUTPUT})
    emits: ClassVar[Mapping[str, float]] = {"toxicity.input": 0.93, "toxicity.output": 0.93}

    def __init__(self, model: Blend | None = None) -> None:
        self.model = model or Blend.load()
        self.families = frozenset({str(self.model.metadata["encoder_family"])})
        self._plans = once_an_item(lambda item: (self._plan(item.input), self._plan(item.output)))

    def texts(self, item: Item) -> Iterable[str]:
        for plan in self._plans(item):
            yield from plan.reads

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        plans = [self._plans(item) for item in batch.items]
        return (
            self._score(batch, Field.INPUT, [given for given, _ in plans]),
            self._score(batch, Field.OUTPUT, [answered for _, answered in plans]),
        )

    def _plan(self, text: str) -> Plan:
        spans = units(text) if text.strip() else []
        reads = [clean(text[start:end]) for start, end in spans]
        if len(spans) > 1:
            kept = [0, *(np.flatnonzero(self.model.suspicious(Reading.of(reads[1:]))) + 1)]
            spans, reads = [spans[place] for place in kept], [reads[place] for place in kept]
        return Plan(text, tuple(spans), tuple(reads))

    def _score(self, batch: Batch, field: Field, plans: Sequence[Plan]) -> Scores:
        flat = [read for plan in plans for read in plan.reads]
        vectors: F32 = batch.embed(flat) if flat else np.empty((0, 0), np.float32)
        scored: F32 = np.empty(0, np.float32)
        if flat:
            counts = [len(plan.reads) for plan in plans if plan.reads]
            scored = probability(in_context(self.model.logits(vectors, Reading.of(flat)), counts))
        values = np.full(len(plans), np.nan, np.float32)
        evidence: list[tuple[Evidence, ...]] = []
        first = 0
        for row, plan in enumerate(plans):
            own = slice(first, first + len(plan.reads))
            first = own.stop
            if plan.reads:
                values[row] = scored[own].max()
            shown = plan.reads and values[row] >= _SHOWN
            evidence.append(self._evidence(field, plan, scored[own], vectors[own]) if shown else ())
        reasons = tuple("" if plan.reads else f"no {field}" for plan in plans)
        return Scores(f"toxicity.{field}", values, reasons, tuple(evidence))

    def _evidence(self, field: Field, plan: Plan, scored: F32, vectors: F32) -> tuple[Evidence, ...]:
        """Return the worst stretches, the whole text only where no sentence stands out; then the worst one's words."""
        places = range(1, len(plan.spans)) if len(plan.spans) > 1 and scored[1:].max() >= _SHOWN else range(1)
        shown = sorted((place for place in places if scored[place] >= _SHOWN), key=lambda place: -scored[place])
        shown = shown[:_MOST_SHOWN]
        kinds = self.model.kinds(inputs(vectors[shown], Reading.of([plan.reads[place] for place in shown])))
        found = [
            _at(field, plan.text, plan.spans[place], float(scored[place]), f"toxic language: {kind}")
            for place, kind in zip(shown, kinds, strict=True)
        ]
        if scored[shown[0]] < self.emits[f"toxicity.{field}"]:
            return tuple(found)
        start, end = plan.spans[shown[0]]
        for (first, last), share in driving_words(self.model, vectors[shown[0]], plan.text[start:end]):
            found.append(_at(field, plan.text, (start + first, start + last), share, "toxic word"))
        return tuple(found)


def _at(field: Field, text: str, span: Span, score: float, reason: str) -> Evidence:
    start, end = span
    return Evidence(field=str(field), text=text[start:end], score=round(score, 4), start=start, end=end, reason=reason)
