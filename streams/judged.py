"""Labels and scores of the same inferences, joined: what thresholds and measures are worked out from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32
from inferwatch.streams.labels import Label
from inferwatch.streams.pipeline import Prepared
from inferwatch.streams.sampling import NOT_SAMPLED

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Known:
    """The scores of one inference: values, why others are missing, and with which probability it was scored."""

    application: str
    id: str
    scores: Mapping[str, float]
    abstained: Mapping[str, str]
    inclusion: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Judged:
    """The labelled rows of one score.

    Attributes:
        labels: (n,) bool, bad or not.
        values: (n,) float32.
        weights: (n,) how many rows each stands for: the label's weight, over the probability with which it was scored.
        abstained: why labelled rows have no score, how often; they are none of the n.
    """

    labels: npt.NDArray[np.bool_]
    values: F32
    weights: npt.NDArray[np.float64]
    abstained: Counter[str]

    @property
    def sampled(self) -> bool:
        """Whether the rows stand for unequal numbers of rows."""
        return len(np.unique(self.weights)) > 1


def of_prepared(batches: Iterable[Prepared]) -> list[Known]:
    """Return what scoring a file found."""
    found = []
    for prepared in batches:
        for row, entry in enumerate(prepared.entries):
            own = [(one.name, one.abstained[row], float(one.values[row])) for one in prepared.scores]
            values = {name: value for name, reason, value in own if not reason}
            reasons = {name: reason for name, reason, _ in own if reason}
            found.append(Known(entry.log.application, entry.log.id, values, reasons, {}))
    return found


def join(labels: Sequence[Label], known: Iterable[Known]) -> tuple[dict[str, Judged], int]:
    """Return score -> its labelled rows, and how many labels found no inference.

    Of two labels of one inference and score the later one counts. A row that a budget passed over is left out: it
    says nothing, and others stand for it.
    """
    latest = {(label.application, label.id, label.score): label for label in labels}
    by_id: dict[str, list[Label]] = {}
    for label in latest.values():
        by_id.setdefault(label.id, []).append(label)
    rows: dict[str, list[tuple[bool, float, float]]] = {}
    missing: dict[str, Counter[str]] = {}
    met: set[tuple[str, str, str]] = set()
    for one in known:
        own = [label for label in by_id.get(one.id, ()) if label.application in ("", one.application)]
        met.update((label.application, label.id, label.score) for label in own)
        for name in {*one.scores, *one.abstained}:
            chosen = next((found for wanted in (name, "") for found in own if found.score == wanted), None)
            if chosen is None or one.abstained.get(name) == NOT_SAMPLED:
                continue
            counted = missing.setdefault(name, Counter())
            if name in one.scores:
                weight = chosen.weight / (one.inclusion.get(name) or 1.0)
                rows.setdefault(name, []).append((chosen.bad, one.scores[name], weight))
            else:
                counted[one.abstained[name]] += 1
    judged = {}
    for name in sorted(missing):
        table = np.array(rows.get(name, []), np.float64).reshape(-1, 3)
        judged[name] = Judged(
            table[:, 0].astype(bool), table[:, 1].astype(np.float32), table[:, 2].copy(), missing[name]
        )
    return judged, len(latest) - len(met)
