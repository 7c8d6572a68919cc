"""Scores and vectors of a batch: detectors without a budget on every item, then those with one on the items drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inferwatch.detectors.base import F32, Detector, Encoded, Encoder, Item, Scores
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.inference import InferenceLog
from inferwatch.schemas.settings import BudgetSettings
from inferwatch.streams.detecting import Detecting
from inferwatch.streams.encoding import Texts, drift_texts
from inferwatch.streams.plans import Plans
from inferwatch.streams.sampling import NOT_SAMPLED, bands, chance
from inferwatch.streams.telemetry import SILENT, Recorder


@dataclass(frozen=True, slots=True)
class Scored:
    """What is known of n items.

    ``inclusion`` maps each score of a detector with a budget to the (n,) probabilities with which its rows were drawn;
    ``encoded`` a drift field to what is known of its texts; the vectors are those of the field.
    """

    scores: tuple[Scores, ...]
    inclusion: dict[str, F32]
    encoded: dict[str, Encoded]


class Scoring:
    """Scores batches, each detector within its budget; every text is encoded once.

    Args:
        encoder: the one sentence encoder.
        detectors: each scores every item it is given or abstains.
        fields: whose vectors are wanted too (``drift_fields``).
        budgets: detector name -> its budget; a detector without one scores everything.
        plans: the probabilities by band of the guide.
        clock: for the time that detectors take.
        recorder: is told scores, abstentions, errors and times.

    Raises:
        Misconfigured: a budget names an unknown detector or guide.
    """

    def __init__(
        self,
        encoder: Encoder,
        detectors: Sequence[Detector],
        fields: Sequence[str],
        budgets: Mapping[str, BudgetSettings],
        plans: Plans,
        clock: Clock,
        recorder: Recorder = SILENT,
    ) -> None:
        _check(detectors, budgets)
        self._encoder = encoder
        self._fields = tuple(fields)
        self._budgets = dict(budgets)
        self._plans = plans
        self._recorder = recorder
        self._names = [detector.name for detector in detectors]
        own = [Detecting(detector, clock, recorder) for detector in detectors]
        self._always = [one for one in own if one.detector.name not in budgets]
        self._sometimes = [one for one in own if one.detector.name in budgets]

    def score(self, logs: Sequence[InferenceLog], items: Sequence[Item]) -> Scored:
        """Score ``items``, whose records are ``logs``; never raises for what an item, detector or encoder does."""
        texts = Texts(self._encoder, self._recorder)
        also = (text for field in self._fields for text in drift_texts(items, field))
        found = self._detect(self._always, texts, items, [{} for _ in self._always], also)
        inclusion: dict[str, F32] = {}
        if self._sometimes and items:
            guides = {scores.name: scores.values for own in found.values() for scores in own}
            times = [log.timestamp for log in logs]
            self._plans.refresh(min(times), max(times))
            passed_over = []
            for one in self._sometimes:
                name = one.detector.name
                chances = self._inclusion(name, logs, guides)
                inclusion |= dict.fromkeys(one.detector.emits, chances)
                limits = enumerate(zip(logs, chances.tolist(), strict=True))
                passed_over.append(
                    {row: NOT_SAMPLED for row, (log, p) in limits if chance(log.application, log.id, name) >= p}
                )
            found |= self._detect(self._sometimes, texts, items, passed_over)
        scores = tuple(score for name in self._names for score in found.get(name, ()))
        return Scored(scores, inclusion, {field: texts.of_field(items, field) for field in self._fields})

    def _detect(
        self,
        detectors: Sequence[Detecting],
        texts: Texts,
        items: Sequence[Item],
        skipped: Sequence[dict[int, str]],
        also: Iterable[str] = (),
    ) -> dict[str, tuple[Scores, ...]]:
        """Return detector name -> scores, after one encoder pass over what they need, and ``also``."""
        bare = texts.batch(items)
        needs = [one.texts(bare, skip) for one, skip in zip(detectors, skipped, strict=True)]
        texts.add([*(text for own in needs for row in own.values() for text in row), *also])
        batch = texts.batch(items)
        found = {}
        for one, own, skip in zip(detectors, needs, skipped, strict=True):
            if texts.lost:
                for row, needed in own.items():
                    if reason := next(filter(None, map(texts.lost.get, needed)), None):
                        skip[row] = reason
            found[one.detector.name] = one.score(batch, skip)
        return found

    def _inclusion(self, detector: str, logs: Sequence[InferenceLog], guides: Mapping[str, F32]) -> F32:
        """Return the (n,) probabilities as they are stored, so that what is drawn is what is written down."""
        budget = self._budgets[detector]
        found = np.full(len(logs), budget.share, np.float32)
        if budget.guide:
            for row, band in enumerate(bands(guides[budget.guide]).tolist()):
                plan = self._plans.of(logs[row].application, detector, logs[row].timestamp)
                if plan is not None:
                    found[row] = plan[band]
        return found


def _check(detectors: Sequence[Detector], budgets: Mapping[str, BudgetSettings]) -> None:
    names = [detector.name for detector in detectors]
    guides = sorted(score for detector in detectors if detector.name not in budgets for score in detector.emits)
    for name, budget in budgets.items():
        if name not in names:
            raise Misconfigured(f"detectors.budgets names {name!r}; enabled detectors: {names}")
        if budget.guide and budget.guide not in guides:
            raise Misconfigured(
                f"detectors.budgets.{name}.guide must be a score of a detector without a budget ({guides}), "
                f"got {budget.guide!r}"
            )
