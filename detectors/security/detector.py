"""Prompt injection: texts of users that try to take over the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np

from inferwatch.detectors.base import F32, Batch, Detector, Field, Item, Scores
from inferwatch.detectors.security.model import Head, noisy_or
from inferwatch.detectors.security.rules import Hit, hits, strength
from inferwatch.schemas.scores import Evidence

_SHOWN = 0.5
_MOST_SHOWN = 3
_MOST_CHARS = 300


class Injection(Detector):
    """Scores ``injection.input``: the probability that the user tries to override, unmask or misuse the model.

    Two views, joined as independent witnesses: patterns of tactics (override, asking for the prompt, taking limits off,
    forged conversation formats, sending data away, decode and obey), searched in the text as written and as decoded
    (base64, hexadecimal, rot13, look-alike letters, …); and a linear head on the shared vector of the whole input. It
    sees what the user wrote, not retrieved documents. Evidence is the stretch of each tactic, or the start of the
    input where only the head says so.

    Abstains with ``no input``. MODEL_CARD.md has data, licences, figures and limits.

    Raises:
        Misconfigured: the packaged head is missing.
    """

    name: ClassVar[str] = "injection"
    version: ClassVar[str] = "1"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.INPUT})
    emits: ClassVar[Mapping[str, float]] = {"injection.input": 0.8}

    def __init__(self, head: Head | None = None) -> None:
        self._head = head or Head.load()
        self.families = frozenset({str(self._head.metadata["encoder_revision"])})

    def texts(self, item: Item) -> Iterable[str]:
        return [item.input] if item.input.strip() else []

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        inputs = [item.input for item in batch.items]
        rows = [row for row, text in enumerate(inputs) if text.strip()]
        values = np.full(len(inputs), np.nan, np.float32)
        evidence: list[tuple[Evidence, ...]] = [()] * len(inputs)
        if rows:
            found = [hits(inputs[row]) for row in rows]
            head = self._head(batch.embed([inputs[row] for row in rows]))
            rules: F32 = np.array([strength(own) for own in found], np.float32)
            values[rows] = noisy_or(head, rules)
            for row, own, sure in zip(rows, found, head.tolist(), strict=True):
                if values[row] >= _SHOWN:
                    evidence[row] = _evidence(inputs[row], own, sure)
        reasons = tuple("" if text.strip() else "no input" for text in inputs)
        return (Scores("injection.input", values, reasons, tuple(evidence)),)


def _evidence(text: str, found: Sequence[Hit], head: float) -> tuple[Evidence, ...]:
    if not found:
        return (
            Evidence(
                field=str(Field.INPUT),
                text=text[:_MOST_CHARS],
                score=round(head, 4),
                start=0,
                end=min(len(text), _MOST_CHARS),
                reason="reads like attacks",
            ),
        )
    return tuple(
        Evidence(
            field=str(Field.INPUT),
            text=text[hit.start : hit.end],
            score=hit.sure,
            start=hit.start,
            end=hit.end,
            reason=f"{hit.tactic} ({hit.disguise})" if hit.disguise else hit.tactic,
        )
        for hit in found[:_MOST_SHOWN]
    )
