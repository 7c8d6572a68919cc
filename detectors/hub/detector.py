"""A hub model as a detector: what it says about a text, or about a pair of texts, as a score."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from inferwatch.detectors.base import F32, Batch, Item, Scores
from inferwatch.detectors.configured import ConfiguredDetector, no
from inferwatch.detectors.hub.folder import digest, hub_folder
from inferwatch.detectors.hub.model import HubModel, Reading
from inferwatch.detectors.hub.windows import Window, clean, sentences, windows
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.hub import HubModelSettings
from inferwatch.schemas.scores import Evidence

TOO_LONG = "too long"
_MOST_SHOWN = 3


class Work(NamedTuple):
    """What is to be read of one text: ``readings[i]`` are those about ``units[i]`` of it; none, and ``reason`` why."""

    text: str
    units: Sequence[Window]
    readings: Sequence[Sequence[Reading]]
    reason: str


class HubDetector(ConfiguredDetector):
    """Scores with a cross-encoder or a text classifier from a folder or the hub's cache.

    A text is judged by units: windows as long as the model reads, or sentences. The worst unit counts, and is the
    evidence where it reaches the threshold. A cross-encoder reads each unit beside every window of the first text (of
    each context); the one that speaks best for the unit counts. A row that needs more than ``most_readings`` abstains.

    Args:
        name: what the detector and its scores are called.
        settings: the model, what it reads and what its answers mean.

    Raises:
        Misconfigured: the model is missing or unfit, or has no such label. Nothing is ever downloaded.
    """

    def __init__(self, name: str, settings: HubModelSettings) -> None:
        place = f"detectors.models.{name}"
        folder = hub_folder(settings, place)
        self._settings = settings
        self._model = HubModel(folder, settings, place)
        self._badness = _badness(self._model, settings, place)
        self._room = self._model.window - self._model.special
        decides = settings.model_dump_json(exclude={"path", "cache_dir", "threshold", "batch_size"})
        version = hashlib.sha256(f"{digest(folder)}\0{decides}".encode()).hexdigest()[:16]
        super().__init__(name=name, version=f"hub-{version}", reads=settings.fields, emits=settings.emits(name))

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        judged = self._settings.fields[-1:] if self._settings.kind == "cross-encoder" else self._settings.fields
        work = {field: [self._work(item, field) for item in batch.items] for field in judged}
        readings = [reading for own in work.values() for one in own for of_unit in one.readings for reading in of_unit]
        known = self._read(list(dict.fromkeys(readings)))
        return tuple(
            self._scores(name, field, work[field], known) for name, field in zip(self.emits, judged, strict=True)
        )

    def _work(self, item: Item, field: str) -> Work:
        given: str = getattr(item, field)
        text = clean(given)
        most = self._settings.most_readings
        pair = self._settings.kind == "cross-encoder"
        room = self._room // 2 if pair else self._room
        if self._settings.by == "sentence":
            units = sentences(self._model.tokenizer, text, room, most + 1)
        else:
            units = windows(self._model.tokenizer, text, room)
        if not units:
            return Work(given, (), (), no(field))
        beside: Sequence[Reading] = [()]
        if pair:
            other = self._settings.fields[0]
            beside = self._beside(item, other, self._room - max(unit.tokens for unit in units))
            if not beside:
                return Work(given, (), (), no(other))
        if len(beside) * len(units) > most:
            return Work(given, (), (), TOO_LONG)
        readings = [[(*first, text[unit.start : unit.end]) for first in beside] for unit in units]
        return Work(given, units, readings, "")

    def _beside(self, item: Item, field: str, room: int) -> list[tuple[str]]:
        """Return the windows of the first texts of the pairs."""
        given = getattr(item, field)
        found: list[tuple[str]] = []
        for text in map(clean, [given] if isinstance(given, str) else given):
            found += [(text[one.start : one.end],) for one in windows(self._model.tokenizer, text, room)]
        return found

    def _read(self, readings: Sequence[Reading]) -> Mapping[Reading, tuple[float, int]]:
        """Return reading -> how bad it is in [0, 1] (NaN where the model says no number), and its worst label."""
        if not readings:
            return {}
        said = probabilities(self._model.numbers(readings), self._settings.activation, several=self._model.several)
        bad = said * self._badness
        if self._settings.high_is == "better":
            bad = 1 - said
        worst = bad.argmax(axis=1).tolist()
        together = bad.max(axis=1) if self._model.several else bad.sum(axis=1)
        return dict(zip(readings, zip(np.clip(together, 0, 1).tolist(), worst, strict=True), strict=True))

    def _scores(
        self, name: str, field: str, work: Sequence[Work], known: Mapping[Reading, tuple[float, int]]
    ) -> Scores:
        values = np.full(len(work), np.nan, np.float32)
        reasons = [one.reason for one in work]
        evidence: list[tuple[Evidence, ...]] = [()] * len(work)
        for row, one in enumerate(work):
            if one.reason:
                continue
            said = [[known[reading] for reading in own] for own in one.readings]
            if not all(np.isfinite(bad) for own in said for bad, _ in own):
                reasons[row] = "model gave no number"
                continue
            units = [min(own) for own in said]
            values[row] = max(bad for bad, _ in units)
            evidence[row] = tuple(self._evidence(name, field, one, units))
        return Scores(name, values, tuple(reasons), tuple(evidence))

    def _evidence(self, name: str, field: str, work: Work, units: Sequence[tuple[float, int]]) -> list[Evidence]:
        hit = [place for place, (bad, _) in enumerate(units) if bad >= max(self.emits[name], 1e-4)]
        found = []
        for place in sorted(hit, key=lambda place: -units[place][0])[:_MOST_SHOWN]:
            bad, label = units[place]
            start, end, _ = work.units[place]
            reason = self._model.labels[label] if self._settings.labels else self.name
            found.append(
                Evidence(field=field, text=work.text[start:end], score=bad, start=start, end=end, reason=reason)
            )
        return found


def probabilities(numbers: F32, activation: str, *, several: bool) -> F32:
    """Return (n, labels) in [0, 1] from what a model says.

    ``auto`` is the sigmoid for one number and for ``several`` labels that may hold at once, else the softmax. ``none``
    takes the numbers as they are, cut to [0, 1].
    """
    if activation == "none":
        return np.clip(numbers, 0, 1)
    if activation == "sigmoid" or (activation == "auto" and (several or numbers.shape[1] == 1)):
        return np.asarray(1 / (1 + np.exp(-np.clip(numbers, -60, 60))), np.float32)
    raised = np.exp(numbers - numbers.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)


def _badness(model: HubModel, settings: HubModelSettings, place: str) -> F32:
    """Return (labels,) how bad each label is."""
    known = ", ".join(model.labels)
    if settings.high_is is not None:
        if len(model.labels) != 1:
            raise Misconfigured(
                f"{place}.high_is is for a model that says one number; this one has the labels {known}: "
                "set labels, such as {" + model.labels[0] + ": 1}"
            )
        if settings.activation == "softmax":
            raise Misconfigured(f"{place}.activation: the softmax of one number is always 1; set auto, sigmoid or none")
        return np.ones(1, np.float32)
    if len(model.labels) == 1:
        raise Misconfigured(
            f"{place}.labels: this model says one number ({known}); set high_is to worse or better instead"
        )
    for label in settings.labels:
        if label not in model.labels:
            raise Misconfigured(f"{place}.labels: the model has no label {label!r}; it has {known}")
    return np.array([settings.labels.get(label, 0.0) for label in model.labels], np.float32)
