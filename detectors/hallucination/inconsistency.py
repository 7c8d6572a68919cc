"""Disagreement between the output and other outputs to the same input: who guesses says something else each time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log
from typing import ClassVar

import numpy as np

from inferwatch.detectors.base import F32, Batch, Detector, Field, Item, Scores
from inferwatch.detectors.hallucination.meanings import clusters, cut, differences
from inferwatch.schemas.scores import Evidence

_SHOWN = 0.5
_MOST_SAMPLES = 20


class Inconsistency(Detector):
    """Scores ``hallucination.inconsistency`` and ``hallucination.entropy`` of outputs with logged samples.

    Output and samples are put into groups of one meaning: close vectors, and no number, name or negation that one has
    against the other. ``inconsistency`` is the share of samples that mean something else than the output; ``entropy``
    is the entropy of the groups over that of as many groups as texts, in [0, 1]. Both grow with disagreement; neither
    is a probability, and a model that is wrong every time in the same way agrees with itself.

    Abstains with ``no output``, ``no samples``. At most 20 samples are read.

    References:
        S. Farquhar, J. Kossen, L. Kuhn, Y. Gal (2024), Detecting hallucinations in large language models using
        semantic entropy, Nature 630. P. Manakul, A. Liusie, M. Gales (2023), SelfCheckGPT, EMNLP.
    """

    name: ClassVar[str] = "inconsistency"
    version: ClassVar[str] = "1"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.OUTPUT, Field.SAMPLES})
    emits: ClassVar[Mapping[str, float]] = {"hallucination.inconsistency": 0.5, "hallucination.entropy": 0.5}

    def texts(self, item: Item) -> Iterable[str]:
        return () if _abstains(item) else _texts(item)

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        reasons = tuple(_abstains(item) for item in batch.items)
        apart: F32 = np.full(len(reasons), np.nan, np.float32)
        entropy = apart.copy()
        evidence: list[tuple[Evidence, ...]] = []
        for row, (item, reason) in enumerate(zip(batch.items, reasons, strict=True)):
            shown: tuple[Evidence, ...] = ()
            if not reason:
                texts = _texts(item)
                groups = clusters(texts, batch.embed(texts))
                apart[row] = np.mean([group != groups[0] for group in groups[1:]])
                entropy[row] = _entropy(groups)
                if max(apart[row], entropy[row]) >= _SHOWN:
                    shown = (_evidence(item, texts, groups, float(apart[row])),)
            evidence.append(shown)
        held = tuple(evidence)
        return (
            Scores("hallucination.inconsistency", apart, reasons, held),
            Scores("hallucination.entropy", entropy, reasons, held),
        )


def _abstains(item: Item) -> str:
    if not item.output.strip():
        return "no output"
    return "" if any(sample.strip() for sample in item.samples) else "no samples"


def _texts(item: Item) -> list[str]:
    samples = [sample for sample in item.samples if sample.strip()][:_MOST_SAMPLES]
    return [cut(item.output), *map(cut, samples)]


def _entropy(groups: list[int]) -> float:
    shares = np.bincount(groups) / len(groups)
    found = -sum(float(share) * log(share) for share in shares if share)
    return min(1.0, max(0.0, found / log(len(groups))))


def _evidence(item: Item, texts: list[str], groups: list[int], score: float) -> Evidence:
    """Show the output, and the first sample that means something else."""
    other = next((text for text, group in zip(texts, groups, strict=True) if group != groups[0]), "")
    why = "; ".join(differences(texts[0], other)) if other else ""
    apart = sum(group != groups[0] for group in groups)
    reason = f"{apart} of {len(texts) - 1} samples say something else"
    reason += f", one: {other[:160]!r}" if other else ""
    start = len(item.output) - len(item.output.lstrip())
    return Evidence(
        field=str(Field.OUTPUT),
        text=item.output[start : start + len(texts[0])],
        score=round(score, 4),
        start=start,
        end=min(len(item.output), start + len(texts[0])),
        reason=f"{reason} ({why})" if why else reason,
    )
