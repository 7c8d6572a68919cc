"""Hallucination as unsupported content: what the answer claims and the logged contexts do not hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from inferwatch.detectors.base import F32, Batch, Detector, Field, Item, Scores, once_an_item
from inferwatch.detectors.hallucination.grounding import Grounding, ground, read
from inferwatch.detectors.hallucination.model import GroundingModel
from inferwatch.schemas.scores import Evidence

_SHOWN = 0.5
_MOST_SHOWN = 5
_MOST_SAMPLES = 8


class Hallucination(Detector):
    """Scores ``hallucination``: the probability that some claim of the output is not supported by the contexts.

    Each claim (sentences that are no greeting, question, offer, refusal, or statement of not knowing) is compared with
    the context sentences by vectors, by words and pairs of words, and exactly by its numbers, names, negations and
    who-did-what; the least supported claim decides. Evidence holds each claim over 0.5 with its offsets and reasons.

    Without contexts, other logged outputs to the same input (``samples``, at most 8) take their place: a claim counts
    with the mean over the samples, as in SelfCheckGPT (Manakul et al. 2023). With contexts, samples change nothing.

    Abstains with ``no output``, ``no contexts`` (nor samples), or ``no claims`` (a greeting, a question, a refusal).
    MODEL_CARD.md says what it does not see.

    Raises:
        Misconfigured: the packaged model is missing.
    """

    name: ClassVar[str] = "hallucination"
    version: ClassVar[str] = "3"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.INPUT, Field.OUTPUT, Field.CONTEXTS, Field.SAMPLES})
    emits: ClassVar[Mapping[str, float]] = {"hallucination": 0.6}

    def __init__(self, model: GroundingModel | None = None) -> None:
        self._model = model or GroundingModel.load()
        self.families = frozenset({str(self._model.metadata["encoder_revision"])})

    def texts(self, item: Item) -> Iterable[str]:
        if not _abstains(item):
            for view in _views(item):
                yield from read(view).claims
                yield from read(view).sentences

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        reasons = tuple(_abstains(item) for item in batch.items)
        views = [() if reason else _views(item) for item, reason in zip(batch.items, reasons, strict=True)]
        flat = [view for own in views for view in own]
        grounded = ground_all(batch, flat)
        scored: Iterator[tuple[Grounding, F32]] = iter(())
        if grounded:
            probabilities = self._model(np.concatenate([one.features for one in grounded]))
            ends = np.cumsum([len(one.features) for one in grounded])[:-1]
            scored = iter(zip(grounded, np.split(probabilities, ends), strict=True))
        values: F32 = np.full(len(batch.items), np.nan, np.float32)
        evidence: list[tuple[Evidence, ...]] = [()] * len(batch.items)
        for row, own in enumerate(views):
            if own:
                found = [next(scored) for _ in own]
                claims: F32 = np.array([own_values for _, own_values in found], np.float32).mean(
                    axis=0, dtype=np.float32
                )
                values[row] = claims.max()
                evidence[row] = _evidence(own, found, claims)
        return (Scores("hallucination", values, reasons, tuple(evidence)),)


@once_an_item
def _views(item: Item) -> tuple[Item, ...]:
    """Return the item with its contexts, or, without any, once with each sample as its only context."""
    if any(context.strip() for context in item.contexts):
        return (item,)
    samples = [sample for sample in item.samples if sample.strip()][:_MOST_SAMPLES]
    return tuple(Item(item.input, item.output, (sample,)) for sample in samples)


def _abstains(item: Item) -> str:
    """Return the reason not to score ``item``, or an empty string."""
    if not item.output.strip():
        return "no output"
    views = _views(item)
    if not views:
        return "no contexts"
    return "" if read(views[0]).claims else "no claims"


def ground_all(batch: Batch, views: Sequence[Item]) -> list[Grounding]:
    """Compare the claims of each item, of which each has some, with its contexts by the vectors of ``batch``."""
    readings = [read(view) for view in views]
    flat = [text for found in readings for text in (*found.claims, *found.sentences)]
    vectors = batch.embed(flat) if flat else np.empty((0, 0), np.float32)
    grounded, first = [], 0
    for view, found in zip(views, readings, strict=True):
        middle = first + len(found.claims)
        last = middle + len(found.sentences)
        grounded.append(ground(view, found, vectors[first:middle], vectors[middle:last]))
        first = last
    return grounded


def _evidence(views: Sequence[Item], found: Sequence[tuple[Grounding, F32]], claims: F32) -> tuple[Evidence, ...]:
    """Show each claim over one half, with the reasons of the view that holds it least."""
    reading = read(views[0])
    worst = sorted(np.flatnonzero(claims >= _SHOWN).tolist(), key=lambda place: -claims[place])
    shown = []
    for place in worst[:_MOST_SHOWN]:
        grounding, _ = max(found, key=lambda pair: float(pair[1][place]))
        start, end = reading.spans[place]
        reason = "; ".join(grounding.reasons[place])
        shown.append(
            Evidence(
                field=str(Field.OUTPUT),
                text=reading.claims[place],
                score=round(float(claims[place]), 4),
                start=start,
                end=end,
                reason=reason if len(views) == 1 else reason.replace("context", "sample"),
            )
        )
    return tuple(shown)
