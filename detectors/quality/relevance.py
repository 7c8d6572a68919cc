"""Whether an output is about what the input asked, by the shared vectors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from inferwatch.detectors.base import F32, Batch, Detector, Field, Item, Scores
from inferwatch.detectors.logistic import probability
from inferwatch.detectors.quality.scripts import script_of
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.scores import Evidence

PACKAGED = Path(__file__).with_name("relevance.json")
_WORD = re.compile(r"[^\W\d_]{2,}")
_LEAST_ASKED, _LEAST_ANSWERED = 3, 5
_SHOWN = 0.5


@dataclass(frozen=True, slots=True)
class Curve:
    """Probability that an answer belongs to another input: ``1 / (1 + exp(slope * cosine of both + shift))``."""

    slope: float
    shift: float
    metadata: dict[str, Any]

    def __call__(self, cosines: F32) -> F32:
        """Return (n,) float32 probabilities."""
        return probability(-(self.slope * cosines + self.shift))

    @classmethod
    def load(cls, path: Path = PACKAGED) -> Curve:
        """Read a curve.

        Raises:
            Misconfigured: the file is missing or not a curve.
        """
        try:
            held = json.loads(path.read_text("utf-8"))
            return cls(float(held["slope"]), float(held["shift"]), dict(held["metadata"]))
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise Misconfigured(f"{path} is not a curve: {error}; fit one with quality/relevance_fit.py") from error


class Relevance(Detector):
    """Scores ``irrelevance``: the probability that the output answers something else than the input.

    From the cosine between the vectors of the whole input and the whole output, calibrated on answers and on
    answers dealt to other inputs, half of each: at production's rates it reads high, compare it with the threshold. A
    right answer to another question on the same matter is not seen.

    Abstains with ``no input``, ``no output``, ``too short`` (under 3 words asked or 5 answered: "thanks", "Yes.") and
    ``not in Latin letters`` (the encoder is English). Evidence is the start of the output.

    Raises:
        Misconfigured: the packaged curve is missing.
    """

    name: ClassVar[str] = "relevance"
    version: ClassVar[str] = "1"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.INPUT, Field.OUTPUT})
    emits: ClassVar[Mapping[str, float]] = {"irrelevance": 0.8}

    def __init__(self, curve: Curve | None = None) -> None:
        self._curve = curve or Curve.load()
        self.families = frozenset({str(self._curve.metadata["encoder_revision"])})

    def texts(self, item: Item) -> Iterable[str]:
        return () if abstains(item) else (item.input, item.output)

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        reasons = tuple(abstains(item) for item in batch.items)
        values = np.full(len(batch.items), np.nan, np.float32)
        evidence: list[tuple[Evidence, ...]] = [()] * len(batch.items)
        rows = [row for row, reason in enumerate(reasons) if not reason]
        if rows:
            asked = batch.embed([batch.items[row].input for row in rows])
            answered = batch.embed([batch.items[row].output for row in rows])
            cosines = np.einsum("ij,ij->i", asked, answered)
            values[rows] = self._curve(cosines)
            for row, cosine in zip(rows, cosines.tolist(), strict=True):
                if values[row] >= _SHOWN:
                    shown = batch.items[row].output[:160]
                    reason = f"cosine to the input {cosine:.2f}"
                    score = round(float(values[row]), 4)
                    evidence[row] = (
                        Evidence(field="output", text=shown, score=score, start=0, end=len(shown), reason=reason),
                    )
        return (Scores("irrelevance", values, reasons, tuple(evidence)),)


def abstains(item: Item) -> str:
    """Return the reason not to score ``item``, or an empty string."""
    if not item.input.strip():
        return "no input"
    if not item.output.strip():
        return "no output"
    for text in (item.input, item.output):
        if script_of(text[:2000])[0] not in ("", "latin"):
            return "not in Latin letters"
    asked, answered = (_WORD.findall(text[:4000]) for text in (item.input, item.output))
    return "too short" if len(asked) < _LEAST_ASKED or len(answered) < _LEAST_ANSWERED else ""
