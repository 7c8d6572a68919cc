"""Everything that is said of one score on one set of labelled rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.evaluation.bootstrap import DRAWS, Estimate, bootstrap
from inferwatch.detectors.evaluation.calibration import calibration
from inferwatch.detectors.evaluation.ranking import F64, Labels, Ranked, Values

MEASURES = ("auc", "average_precision", "tpr_at_1fpr", "tpr_at_5fpr", "ece")


@dataclass(frozen=True, slots=True)
class Quality:
    """Measures of (n,) rows, each with a bootstrap 95 % interval.

    The interval of ``ece`` is the basic one (reflected at the estimate, not below 0, and widened to hold it): the error
    of a drawn set is higher on average than that of its source, so percentiles would lie too high.
    """

    n: int
    bad: int
    auc: Estimate
    average_precision: Estimate
    tpr_at_1fpr: Estimate
    tpr_at_5fpr: Estimate
    ece: Estimate

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers; null where a measure is not defined."""
        found = asdict(self)
        for name in MEASURES:
            found[name] = {part: None if np.isnan(x) else round(x, 4) for part, x in found[name].items()}
        return found


def quality(
    labels: Labels,
    values: Values,
    weights: F64 | None = None,
    groups: npt.NDArray[np.int64] | None = None,
    *,
    draws: int = DRAWS,
) -> Quality:
    """Measure a score.

    Args:
        labels: (n,) bool, whether a row is bad.
        values: (n,) in [0, 1], higher is worse, no NaN.
        weights: (n,) how many rows each stands for; default 1.
        groups: (n,) rows that belong together (see ``bootstrap``).
        draws: of the bootstrap.
    """
    counts = np.ones(len(labels)) if weights is None else weights
    ranked = Ranked(labels, values)

    def measure(own: F64) -> F64:
        curve = ranked.curve(own)
        error = calibration(labels, values, own).error if own.sum() else np.nan
        return np.array([curve.area, curve.average_precision, curve.hits_at(0.01), curve.hits_at(0.05), error])

    (area, precision, strict, loose, error), _ = bootstrap(measure, counts, groups, draws=draws)
    low, high = (max(0.0, 2 * error.value - end) for end in (error.high, error.low))
    reflected = Estimate(error.value, low, max(error.value, high))
    return Quality(len(labels), int(labels.sum()), area, precision, strict, loose, reflected)
