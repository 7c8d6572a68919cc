"""What labels do for calibration: fitted to a hundred rows of a family left out, measured on its others."""

from __future__ import annotations

from statistics import mean

import numpy as np

from inferwatch.detectors.evaluation.calibration import calibration
from inferwatch.detectors.evaluation.ranking import Labels, Values
from inferwatch.detectors.evaluation.recalibration import enough, fit

LABELS = 100
LEAST_OTHERS = 100
DRAWS = 40


def recalibrated(labels: Labels, values: Values) -> dict[str, float] | None:
    """Return the calibration error of (n,) rows after a fit to others, means over seeded draws; None for too few rows.

    ``ideal`` is what the same scores would show if they were the very probabilities their labels are drawn with: with
    few rows in a bin the error cannot be 0.
    """
    if len(labels) < LABELS + LEAST_OTHERS:
        return None
    rng = np.random.default_rng(1)
    errors, ideal = [], []
    for _ in range(DRAWS):
        order = rng.permutation(len(labels))
        own, others = order[:LABELS], order[LABELS:]
        if not enough(labels[own]):
            continue
        found, ones = fit(labels[own], values[own])(values[others]), np.ones(len(others))
        errors.append(calibration(labels[others], found, ones).error)
        ideal.append(calibration(rng.random(len(others)) < found, found, ones).error)
    return {"ece": round(mean(errors), 4), "ideal": round(mean(ideal), 4), "draws": len(errors)} if errors else None
