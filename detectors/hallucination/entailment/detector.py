"""Hallucination once more, by a cross-encoder beside the features: dearer and better, for a share of the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np

from inferwatch.detectors.base import F32, Batch, Detector, Field, Item, Scores
from inferwatch.detectors.hallucination.detector import ground_all
from inferwatch.detectors.hallucination.entailment.calibration import Calibration
from inferwatch.detectors.hallucination.entailment.cross_encoder import CrossEncoder
from inferwatch.detectors.hallucination.entailment.premise import premises
from inferwatch.detectors.hallucination.grounding import Grounding, read
from inferwatch.detectors.hallucination.model import GroundingModel
from inferwatch.detectors.sentences import Span
from inferwatch.schemas.scores import Evidence

SCORE = "hallucination.entailment"
_SHOWN = 0.5
_MOST_SHOWN = 5


class Entailment(Detector):
    """Scores ``hallucination.entailment``: the probability that some claim of the output is not supported.

    A cross-encoder reads each claim beside the context sentences that say most about it, a few and some more; its log
    odds and those of ``hallucination`` count the same. The least supported claim decides. Evidence holds each claim
    over 0.5 with its offsets, the reasons of ``hallucination``, and the word that the cross-encoder holds for the
    least supported.

    A claim costs one or two runs of a transformer of six layers, in int8: give it a budget (docs/sampling.md) with
    ``hallucination`` as guide. Abstains with ``no output``, ``no contexts``, or ``no claims``. MODEL_CARD.md says what
    it does not see.

    Raises:
        Misconfigured: a packaged model or the bundled encoder is missing.
    """

    name: ClassVar[str] = "entailment"
    version: ClassVar[str] = "3"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.INPUT, Field.OUTPUT, Field.CONTEXTS})
    emits: ClassVar[Mapping[str, float]] = {SCORE: 0.6}

    def __init__(self, cross: CrossEncoder | None = None) -> None:
        self._cheap = GroundingModel.load()
        self._cross = cross or CrossEncoder.load()
        self._calibration = Calibration.load()
        self.families = frozenset({str(self._cheap.metadata["encoder_revision"])})

    def texts(self, item: Item) -> Iterable[str]:
        if not _abstains(item):
            yield from read(item).claims
            yield from read(item).sentences

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        reasons = tuple(_abstains(item) for item in batch.items)
        rows = [row for row, reason in enumerate(reasons) if not reason]
        values: F32 = np.full(len(batch.items), np.nan, np.float32)
        evidence: list[tuple[Evidence, ...]] = [()] * len(batch.items)
        for row, grounding in zip(rows, ground_all(batch, [batch.items[row] for row in rows]), strict=True):
            values[row], evidence[row] = self._judge(batch, batch.items[row], grounding)
        return (Scores(SCORE, values, reasons, tuple(evidence)),)

    def _judge(self, batch: Batch, item: Item, grounding: Grounding) -> tuple[float, tuple[Evidence, ...]]:
        reading = read(item)
        claims, sentences = batch.embed(list(reading.claims)), batch.embed(list(reading.sentences))
        found = [
            self._read(claim, premises(claim, reading.sentences, sentences @ vector))
            for claim, vector in zip(reading.claims, claims, strict=True)
        ]
        logits = np.array([logit for logit, _ in found], np.float32)
        values = self._calibration(self._cheap.regression(grounding.features), logits)
        worst = sorted(np.flatnonzero(values >= _SHOWN).tolist(), key=lambda place: -values[place])[:_MOST_SHOWN]
        return float(values.max()), tuple(
            Evidence(
                field=str(Field.OUTPUT),
                text=reading.claims[place],
                score=round(float(values[place]), 4),
                start=reading.spans[place][0],
                end=reading.spans[place][1],
                reason="; ".join((*grounding.reasons[place], _least(reading.claims[place], *found[place][1]))),
            )
            for place in worst
        )

    def _read(self, claim: str, given: Sequence[str]) -> tuple[float, Span]:
        """Return the mean log odds beside each premise, and what speaks most for them beside the narrowest."""
        found = [self._cross.read(premise, claim) for premise in given]
        return float(np.mean([logit for logit, _ in found])), found[0][1]


def _least(claim: str, start: int, end: int) -> str:
    """Name the word around the characters [start, end)."""
    while start > 0 and not claim[start - 1].isspace():
        start -= 1
    while end < len(claim) and not claim[end].isspace():
        end += 1
    return f"least supported at {claim[start:end].strip('.,;:!?')[:40]!r}"


def _abstains(item: Item) -> str:
    """Return the reason not to score ``item``, or an empty string."""
    if not item.output.strip():
        return "no output"
    if not any(context.strip() for context in item.contexts):
        return "no contexts"
    return "" if read(item).claims else "no claims"
