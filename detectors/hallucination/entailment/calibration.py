"""One probability from the features' and the cross-encoder's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from inferwatch.detectors.base import F32
from inferwatch.detectors.logistic import log_odds, probability
from inferwatch.schemas.errors import Misconfigured

PACKAGED = Path(__file__).with_name("calibration.json")
_EDGE = 1e-4
_RIDGE = 0.001
_minimize: Any = minimize  # scipy has no types
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of one family's answers, judged by models that were fitted without it.

    ``cheap`` are (m,) probabilities of the features, ``cross`` (m,) log odds of the cross-encoder, ``owners`` (m,)
    whose claims they are, ``labels`` (n,) whether an answer is wrong.
    """

    cheap: F32
    cross: F32
    owners: npt.NDArray[np.int64]
    labels: Bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """Log odds of both, with slope and shift for the cross-encoder's, count the same; then slope and shift of the mean.

    The slopes are never negative. The cross-encoder's is that within families: where a family lies as a whole says
    nothing about its answers. J. Platt (1999), "Probabilistic outputs for support vector machines".
    """

    cross_slope: float
    cross_shift: float
    slope: float
    shift: float

    def __call__(self, cheap: F32, cross: F32) -> F32:
        """Return (m,) float32 probabilities of m claims, see ``Claims``."""
        return probability((self.slope * self._mean(cheap, cross) + self.shift).astype(np.float32))

    def _mean(self, cheap: F32, cross: F32) -> npt.NDArray[np.float64]:
        both: npt.NDArray[np.float64] = log_odds(cheap, _EDGE) + self.cross_slope * cross + self.cross_shift
        return both / 2

    @classmethod
    def fit(cls, families: Sequence[Claims]) -> Calibration:
        """Return what fits the answers of families that were left out; families weigh the same."""
        labels = [own.labels for own in families]
        cross = _platt([worst(own, own.cross) for own in families], labels, apart=True)
        mean = cls(*cross, 1.0, 0.0)
        return cls(*cross, *_platt([worst(own, mean._mean(own.cheap, own.cross)) for own in families], labels))

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({name: round(value, 4) for name, value in asdict(self).items()}) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path = PACKAGED) -> Calibration:
        """Read a calibration.

        Raises:
            Misconfigured: the file is missing or something else.
        """
        try:
            return cls(**{name: float(value) for name, value in json.loads(path.read_text("utf-8")).items()})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise Misconfigured(
                f"{path} is no calibration: {error!r}; make one with hallucination/entailment/train.py"
            ) from error


def worst(own: Claims, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return (n,) the largest of (m,) values among the claims of each answer."""
    found = np.full(len(own.labels), -np.inf)
    np.maximum.at(found, own.owners, values.astype(np.float64))
    return found


def _platt(
    values: Sequence[npt.NDArray[np.float64]], labels: Sequence[Bool], *, apart: bool = False
) -> tuple[float, float]:
    """Return slope and shift; with ``apart`` each family has a shift of its own, and their mean is returned."""
    shares = [np.full(len(own), 1 / len(own) / len(labels)) for own in labels]
    x, share, sign = np.concatenate(values), np.concatenate(shares), np.where(np.concatenate(labels), 1.0, -1.0)
    whose = np.repeat(np.arange(len(labels)) * apart, [len(own) for own in labels])

    def loss(theta: npt.NDArray[np.float64]) -> float:
        return float(share @ np.logaddexp(0, -sign * (x * theta[0] + theta[1:][whose])) + _RIDGE * theta[0] ** 2)

    start = np.array([0.1, *np.zeros(whose.max() + 1)])
    bounds = [(0, None), *[(None, None)] * (len(start) - 1)]
    found = _minimize(loss, start, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), float(found[1:].mean())
