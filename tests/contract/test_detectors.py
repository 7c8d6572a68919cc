"""Every installed detector keeps the laws, and the check finds those that do not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from inferwatch.detectors.base import F32, Batch, Detector, Encoder, Field, Item, Scores
from inferwatch.detectors.calibrated import Calibrated, Platt
from inferwatch.detectors.checks import check_detector
from inferwatch.detectors.encoder.cache import CachedEncoder
from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder
from inferwatch.detectors.registry import known_detectors, load_detectors
from inferwatch.schemas.scores import Evidence


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return CachedEncoder(SentenceTransformerEncoder(), 5000)


@pytest.mark.parametrize("name", known_detectors())
def test_every_installed_detector_keeps_the_laws(name: str, encoder: Encoder) -> None:
    (detector,) = load_detectors([name], encoder)
    check_detector(detector, encoder)


def test_a_calibrated_detector_keeps_the_laws(encoder: Encoder) -> None:
    (detector,) = load_detectors(["toxicity"], encoder)
    check_detector(Calibrated(detector, {"toxicity.output": Platt(0.6, -2.5)}), encoder)


class Length(Detector):
    """A lawful detector to break: long outputs are bad."""

    name, version = "length", "1"
    reads = frozenset({Field.OUTPUT})
    emits = {"length": 0.5}  # noqa: RUF012

    def texts(self, item: Item) -> Iterable[str]:
        return [item.output] if item.output.strip() else []

    def value(self, item: Item, batch: Batch) -> float:
        vector = batch.embed([item.output])[0]
        return float(min(1, abs(vector[0]) + len(item.output) / 1e6))

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        blank = [not item.output.strip() for item in batch.items]
        values: F32 = np.array(
            [np.nan if no else self.value(item, batch) for no, item in zip(blank, batch.items, strict=True)], np.float32
        )
        return (Scores("length", values, tuple("no output" if no else "" for no in blank), ((),) * len(blank)),)


def scored(change: Any) -> type[Detector]:
    """Return ``Length`` whose result ``change(scores, batch)`` breaks."""

    class Broken(Length):
        def score(self, batch: Batch) -> tuple[Scores, ...]:
            (scores,) = super().score(batch)
            found: tuple[Scores, ...] = change(scores, batch)
            return found

    return Broken


class Quarrel(Length):
    def value(self, item: Item, batch: Batch) -> float:
        return len(batch.items) / 100


class Position(Length):
    def value(self, item: Item, batch: Batch) -> float:
        return 0.5 if batch.items[0] is item else 0.2


class Peeks(Length):
    def value(self, item: Item, batch: Batch) -> float:
        return float(abs(batch.embed(["a text that nobody named"])[0, 0]))


class Raises(Length):
    def value(self, item: Item, batch: Batch) -> float:
        return len(item.output.encode()) / 1e6


class ReadsMore(Length):
    def value(self, item: Item, batch: Batch) -> float:
        return min(1.0, len(item.input) / 10)


class ReadsSamples(Length):
    def value(self, item: Item, batch: Batch) -> float:
        return min(1.0, len(item.samples) / 10)


class ReadsLogprobs(Length):
    def value(self, item: Item, batch: Batch) -> float:
        return min(1.0, len(item.logprobs) / 10)


class ReadsSystem(Length):
    def value(self, item: Item, batch: Batch) -> float:
        return min(1.0, len(item.system) / 10)


class NoVersion(Length):
    version = ""


class Undecided(Length):
    calls = 0

    def texts(self, item: Item) -> Iterable[str]:
        self.calls += 1
        return [*super().texts(item), str(self.calls)]


def _replace(scores: Scores, **changes: Any) -> tuple[Scores, ...]:
    fields = {name: getattr(scores, name) for name in ("name", "values", "abstained", "evidence")}
    return (Scores(**{**fields, **changes}),)


def _misplaced(scores: Scores, batch: Batch) -> tuple[Scores, ...]:
    wrong = Evidence(field="output", text="not there", score=0.5, start=0, end=9)
    held = tuple((wrong,) if not reason else () for reason in scores.abstained)
    return _replace(scores, evidence=held)


BROKEN: Sequence[tuple[type[Detector], str]] = [
    (Quarrel, "scored alone"),
    (Position, "scored in reverse order"),
    (Peeks, "looked up a text that texts"),
    (Raises, "raised on"),
    (ReadsMore, "depends on a field that length.reads does not name"),
    (ReadsSamples, "depends on a field that length.reads does not name"),
    (ReadsLogprobs, "depends on a field that length.reads does not name"),
    (ReadsSystem, "depends on a field that length.reads does not name"),
    (NoVersion, "NoVersion.version is missing"),
    (Undecided, "differs between two calls"),
    (scored(lambda scores, batch: ()), r"emits \['length'\] but gave \[\]"),
    (scored(lambda scores, batch: _replace(scores, name="other")), r"but gave \['other'\]"),
    (scored(lambda scores, batch: _replace(scores, values=scores.values * 1000)), "is not in"),
    (scored(lambda scores, batch: _replace(scores, abstained=("",) * len(scores.values))), "NaN without a reason"),
    (scored(lambda scores, batch: _replace(scores, values=np.nan_to_num(scores.values))), "and yet abstained"),
    (scored(_misplaced), "evidence is not at"),
]


def test_a_lawful_detector_passes(encoder: Encoder) -> None:
    check_detector(Length(), encoder)


@pytest.mark.parametrize(("broken", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_the_check_finds_what_is_broken(broken: type[Detector], message: str, encoder: Encoder) -> None:
    with pytest.raises(AssertionError, match=message):
        check_detector(broken(), encoder)
