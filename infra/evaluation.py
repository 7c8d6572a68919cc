"""What ``inferwatch evaluate`` says of one score: as numbers, as text, and as lines of the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from math import isnan
from typing import Any

from inferwatch.detectors.calibrated import Platt
from inferwatch.detectors.evaluation.bootstrap import Estimate
from inferwatch.detectors.evaluation.quality import MEASURES, Quality, quality
from inferwatch.detectors.evaluation.recalibration import LEAST_OF_A_KIND, enough, fit, left_out
from inferwatch.detectors.evaluation.thresholds import Operating, Proposal, operating, propose
from inferwatch.schemas.settings import Settings
from inferwatch.streams.judged import Judged

NAMES = {
    "auc": "ROC-AUC",
    "average_precision": "average precision",
    "tpr_at_1fpr": "found at 1 % false flags",
    "tpr_at_5fpr": "found at 5 % false flags",
    "ece": "calibration error",
}


@dataclass(frozen=True, slots=True)
class Calibrating:
    """A calibration: ``fitted`` to the scores as they are, which is ``whole`` with the one there was before it.

    ``before`` is the calibration error without it. ``Evaluation.quality`` has that of rows left out of the fit.
    """

    fitted: Platt
    whole: Platt
    before: Estimate


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One score on the labelled rows that have it; with ``calibrating`` all thresholds are on the new scale."""

    name: str
    abstained: dict[str, int]
    sampled: bool
    quality: Quality
    now: Operating | None
    proposal: Proposal
    calibrating: Calibrating | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers; null for what is not defined."""
        proposal = asdict(self.proposal)
        return {
            "score": self.name,
            "abstained": self.abstained,
            "weighted": self.sampled,
            **self.quality.as_json(),
            "now": _plain(asdict(self.now)) if self.now else None,
            "proposal": _plain(proposal),
            "calibration": _plain(asdict(self.calibrating.whole)) if self.calibrating else None,
            "ece_before": _plain(asdict(self.calibrating.before)) if self.calibrating else None,
        }


def evaluate(name: str, judged: Judged, threshold: float | None, precision: float) -> Evaluation:
    """Measure a score on its labelled rows.

    Args:
        name: of the score.
        judged: the rows.
        threshold: from which value on a row counts as a hit now; None: nobody knows.
        precision: what thresholds are proposed for.
    """
    rows = judged.labels, judged.values, judged.weights
    now = None if threshold is None else operating(*rows, threshold)
    return Evaluation(
        name, dict(judged.abstained.most_common()), judged.sampled, quality(*rows), now, propose(*rows, precision)
    )


def evaluate_calibrated(
    name: str, judged: Judged, threshold: float | None, precision: float, before: Platt | None = None
) -> Evaluation:
    """Measure a score as it will be once it is calibrated on the same labels; as it is where they are too few for that.

    The calibration error is that of rows left out of a fit by nine tenths of the labels. The order of the rows, and so
    every other measure of quality, is the same before and after.

    Args:
        name: of the score.
        judged: the rows.
        threshold: the one of now, on the scale of now.
        precision: what thresholds are proposed for.
        before: the calibration under which the rows were scored.
    """
    if not enough(judged.labels):
        return evaluate(name, judged, threshold, precision)
    rows = judged.labels, judged.values, judged.weights
    fitted = fit(*rows)
    moved = None if threshold is None else fitted.of(threshold)
    after = evaluate(name, replace(judged, values=fitted(judged.values)), moved, precision)
    raw, unseen = quality(*rows), quality(judged.labels, left_out(*rows), judged.weights)
    whole = before.then(fitted) if before else fitted
    return replace(after, quality=replace(raw, ece=unseen.ece), calibrating=Calibrating(fitted, whole, raw.ece))


def text(one: Evaluation, *, calibrate: bool = False) -> Iterator[str]:
    """Yield lines for people; with ``calibrate`` they asked for a calibration."""
    found = one.quality
    scored = f"{one.name}: {found.n} labelled rows with a score, {found.bad} of them bad"
    if one.abstained:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in one.abstained.items())
        scored += f"; {sum(one.abstained.values())} without ({reasons})"
    yield scored
    if one.sampled:
        yield "  rows are weighted by how many they stand for"
    for name in MEASURES:
        yield f"  {NAMES[name]:<26}{_estimate(getattr(found, name))}"
    if not 0 < found.bad < found.n:
        yield "  these measures need rows of both kinds"
    if one.calibrating is not None:
        by = one.calibrating.fitted
        yield f"  calibrated: {by.slope:g} times the log odds, {by.shift:+g}; thresholds are on the new scale"
        yield f"    the error is that of labels left out of the fit; before it is {_estimate(one.calibrating.before)}"
    elif calibrate:
        yield f"  not calibrated: that needs {LEAST_OF_A_KIND} labels of each kind"
    if one.now is not None:
        yield f"  now, {_at(one.now)}"
    yield from _proposed(one.proposal)


def settings_lines(evaluations: Iterable[Evaluation]) -> Iterator[str]:
    """Yield what to paste into the configuration; nothing where there is nothing to propose."""
    evaluations = list(evaluations)
    sections = {
        "calibration": [line for one in evaluations for line in _calibration(one)],
        "thresholds": [line for one in evaluations for line in _threshold(one)],
    }
    if any(sections.values()):
        yield "detectors:"
    for name, lines in sections.items():
        if lines:
            yield f"  {name}:"
            yield from lines


def left_behind(evaluations: Iterable[Evaluation], settings: Settings) -> Iterator[str]:
    """Yield what ``settings`` say on the scale that a calibration leaves, and where it lies on the new one."""
    for one in evaluations:
        if one.calibrating is None:
            continue
        for event in settings.event_rules:
            if event.event == one.name:
                now = one.calibrating.fitted.of(event.when.threshold)
                yield f"event_rules: {event.name} asks for {one.name} {event.when}, which is {now:.4g} once calibrated"
        for rule in settings.rules:
            if rule.metric == f"{one.name}.mean":
                yield f"rules: {rule.name} is on {rule.metric}, whose numbers change once calibrated: look at its limit"


def _calibration(one: Evaluation) -> Iterator[str]:
    if one.calibrating is not None:
        whole = one.calibrating.whole
        yield f"    {one.name}: {{slope: {whole.slope:g}, shift: {whole.shift:g}}}"


def _threshold(one: Evaluation) -> Iterator[str]:
    proposal = one.proposal
    if proposal.reached is None:
        if one.calibrating is not None and one.now is not None:
            yield f"    {one.name}: {one.now.threshold:g}  # flags what is flagged now"
        return
    if proposal.assured is None:
        said = "an estimate: these labels are too few for the whole interval"
    elif proposal.assured.threshold > proposal.reached.threshold:
        said = f"an estimate; {proposal.assured.threshold:g} for the whole interval"
    else:
        said = "with the whole interval"
    yield f"    {one.name}: {proposal.reached.threshold:g}  # precision {proposal.wanted:g}, {said}"


def _proposed(proposal: Proposal) -> Iterator[str]:
    wanted = f"precision {proposal.wanted:g}"
    if proposal.reached is None:
        if proposal.best is None:
            yield f"  {wanted}: too few labels to say anything of a threshold"
            return
        best = f"the most is {_estimate(proposal.best.precision)} at {proposal.best.threshold:g}"
        yield f"  {wanted} cannot be reached with the labels there are: {best}"
        return
    yield f"  {wanted}, {_at(proposal.reached)}"
    if not isnan(proposal.unseen):
        yield f"    chosen and measured on the same labels; on others, expect a precision of {proposal.unseen:.2f}"
    if proposal.assured is None:
        yield "    no threshold has the whole interval above it: more labels may find one"
    elif proposal.assured.threshold > proposal.reached.threshold:
        yield f"  with the whole interval above it, {_at(proposal.assured)}"


def _at(one: Operating) -> str:
    return (
        f"threshold {one.threshold:g}: {one.flagged} flagged, precision {_estimate(one.precision)}, "
        f"recall {_estimate(one.recall)}, false flags {_estimate(one.false_flags)}"
    )


def _estimate(one: Estimate) -> str:
    return "-" if isnan(one.value) else f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, float):
        return None if isnan(value) else round(value, 6)
    return value
