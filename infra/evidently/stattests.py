"""The tests of ``detectors.drift`` under names that Evidently's drift metrics and presets take as a method."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from evidently import ColumnType
from evidently.legacy.calculations.stattests import StatTest, register_stattest

from inferwatch.detectors.drift.categorical import compare_mix
from inferwatch.detectors.drift.scalar import compare_numbers

LEVEL = 0.001
"""A p-value at or below it is drift, unless the report says otherwise."""
NUMBERS = StatTest(
    name="inferwatch_ks",
    display_name="exact Kolmogorov-Smirnov p-value (inferwatch)",
    allowed_feature_types=[ColumnType.Numerical],
    default_threshold=LEVEL,
)
MIX = StatTest(
    name="inferwatch_mix",
    display_name="chi-square p-value, exact where rare (inferwatch)",
    allowed_feature_types=[ColumnType.Categorical],
    default_threshold=LEVEL,
)


def _numbers(reference: Any, current: Any, _: ColumnType, threshold: float) -> tuple[float, bool]:
    old, new = (side.dropna().to_numpy(np.float64) for side in (reference, current))
    found = compare_numbers(old, new, min_rows=2)
    return found.p_value, found.p_value <= threshold


def _mix(reference: Any, current: Any, _: ColumnType, threshold: float) -> tuple[float, bool]:
    found = compare_mix(*(Counter(side.dropna().astype(str)) for side in (reference, current)), min_rows=2)
    return found.p_value, found.p_value <= threshold


def register() -> None:
    """Let Evidently know both by name: ``ValueDrift(column=…, method="inferwatch_ks")``. Again changes nothing."""
    register_stattest(NUMBERS, default_impl=_numbers)
    register_stattest(MIX, default_impl=_mix)
