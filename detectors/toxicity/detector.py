"""Toxicity of what people write and of what the model answers, from the shared vectors and from the words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, NamedTuple

import numpy as np

from inferwatch.detectors.base import F32, Batch, Detector, Field, Item, Scores, once_an_item
from inferwatch.detectors.logistic import probability
from inferwatch.detectors.sentences import Span
from inferwatch.detectors.toxicity.features import MOST_WORDS, Reading
from inferwatch.detectors.toxicity.model import Blend, inputs
from inferwatch.detectors.toxicity.obfuscation import cleaned
from inferwatch.detectors.toxicity.occlusion import driving_words
from inferwatch.detectors.toxicity.units import in_context, says_something, units
from inferwatch.schemas.scores import Evidence

# Below this a stretch is not worth showing to a person.
_SHOWN = 0.5
_MOST_SHOWN = 3
# Each costs a vector. A text full of abuse shows as a whole; one insult in it is the worst or next to it.
_MOST_SENTENCES = 3


class Stretch(NamedTuple):
    """A range of a text that is scored, how it reads once nothing in it is disguised, and its words."""

    span: Span
    read: str
    words: list[str]


@dataclass(frozen=True)
class Plan:
    """What is scored of a text."""

    text: str
    stretches: tuple[Stretch, ...]


class Toxicity(Detector):
    """Scores ``toxicity.input`` and ``toxicity.output``: the probability that a text insults, threatens or demeans.

    A text is scored whole; of one over 300 characters, the three sentences whose words look most suspicious, if any do,
    are scored by themselves too (read with some of the whole), and the worst counts. Words in disguise (1d10t, s h i t)
    are read as meant. Evidence is the worst sentence (or the text, when short) with its kind, and, from the default
    threshold on, the words without which its score falls. The probability is calibrated on a balanced mix, so at the
    low base rates of production it reads high: compare it with the threshold, not with a share. MODEL_CARD.md has data,
    licences, figures and limits.

    Raises:
        Misconfigured: the packaged model is missing.
    """

    name: ClassVar[str] = "toxicity"
    version: ClassVar[str] = "3"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.INPUT, Field.OUTPUT})
    emits: ClassVar[Mapping[str, float]] = {"toxicity.input": 0.93, "toxicity.output": 0.93}

    def __init__(self, model: Blend | None = None) -> None:
        self.model = model or Blend.load()
        self.families = frozenset({str(self.model.metadata["encoder_family"])})
        self._plans = once_an_item(lambda item: (self._plan(item.input), self._plan(item.output)))

    def texts(self, item: Item) -> Iterable[str]:
        for plan in self._plans(item):
            yield from (one.read for one in plan.stretches)

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        plans = [self._plans(item) for item in batch.items]
        return (
            self._score(batch, Field.INPUT, [given for given, _ in plans]),
            self._score(batch, Field.OUTPUT, [answered for _, answered in plans]),
        )

    def _plan(self, text: str) -> Plan:
        if not text.strip():
            return Plan(text, ())
        whole, *sentences = units(text)
        parts = [Stretch((start, end), *cleaned(text[start:end])) for start, end in sentences]
        if parts and all(one.read == text[slice(*one.span)] for one in parts):
            # No word goes on from one sentence into the next, so the whole is not read again.
            found = [Stretch(whole, text, list(chain.from_iterable(one.words for one in parts)))]
        else:
            found = [Stretch(whole, *cleaned(text))]
        found += [one for one in parts if says_something(one.span)]
        found = [one if len(one.words) <= MOST_WORDS else one._replace(words=one.words[:MOST_WORDS]) for one in found]
        if len(found) > 1:
            said = Reading.of_words([one.words for one in found[1:]])
            found = [found[0], *(found[place + 1] for place in self.model.suspicious(said, _MOST_SENTENCES))]
        return Plan(text, tuple(found))

    def _score(self, batch: Batch, field: Field, plans: Sequence[Plan]) -> Scores:
        flat = [one for plan in plans for one in plan.stretches]
        vectors: F32 = batch.embed([one.read for one in flat]) if flat else np.empty((0, 0), np.float32)
        scored: F32 = np.empty(0, np.float32)
        if flat:
            counts = [len(plan.stretches) for plan in plans if plan.stretches]
            reading = Reading.of_words([one.words for one in flat])
            scored = probability(in_context(self.model.logits(vectors, reading), counts))
        values = np.full(len(plans), np.nan, np.float32)
        shown: dict[int, list[int]] = {}
        first = 0
        for row, plan in enumerate(plans):
            own = slice(first, first + len(plan.stretches))
            if plan.stretches:
                values[row] = scored[own].max()
                if values[row] >= _SHOWN:
                    shown[row] = [first + place for place in _shown(scored[own])]
            first = own.stop
        kinds = iter(self._kinds(flat, vectors, list(chain.from_iterable(shown.values()))))
        evidence: list[tuple[Evidence, ...]] = [()] * len(plans)
        for row, places in shown.items():
            text = plans[row].text
            found = [
                _at(field, text, flat[place].span, float(scored[place]), f"toxic language: {next(kinds)}")
                for place in places
            ]
            worst = places[0]
            if scored[worst] >= self.emits[f"toxicity.{field}"]:
                start, end = flat[worst].span
                for (begun, ended), share in driving_words(self.model, vectors[worst], text[start:end]):
                    found.append(_at(field, text, (start + begun, start + ended), share, "toxic word"))
            evidence[row] = tuple(found)
        reasons = tuple("" if plan.stretches else f"no {field}" for plan in plans)
        return Scores(f"toxicity.{field}", values, reasons, tuple(evidence))

    def _kinds(self, flat: Sequence[Stretch], vectors: F32, places: Sequence[int]) -> list[str]:
        """Return the kind of the stretches at ``places``."""
        if not places:
            return []
        return self.model.kinds(inputs(vectors[places], Reading.of_words([flat[place].words for place in places])))


def _shown(scored: F32) -> list[int]:
    """Return the worst stretches of a text, the worst first; the whole text only where no sentence stands out."""
    places = range(1, len(scored)) if len(scored) > 1 and scored[1:].max() >= _SHOWN else range(1)
    worst = sorted((place for place in places if scored[place] >= _SHOWN), key=lambda place: -scored[place])
    return worst[:_MOST_SHOWN]


def _at(field: Field, text: str, span: Span, score: float, reason: str) -> Evidence:
    start, end = span
    return Evidence(field=str(field), text=text[start:end], score=round(score, 4), start=start, end=end, reason=reason)
