"""A p-value as one of the report's tests."""

from __future__ import annotations

from typing import Any

from evidently.core.metric_types import MetricTestResult, SingleValueCalculation
from evidently.legacy.tests.base_test import TestStatus
from evidently.metrics.column_statistics import ValueDriftBoundTest, ValueDriftTest


def verdict(
    calculation: SingleValueCalculation[Any], name: str, p_value: float, level: float, said: str
) -> MetricTestResult:
    """Return a test that fails where ``p_value`` is at or below ``level``; ``said`` is told beside it."""
    bound = ValueDriftBoundTest(test=ValueDriftTest(), metric_fingerprint=calculation.to_metric().metric_id)
    return MetricTestResult(
        id="drift",
        name=name,
        description=f"p-value {p_value:.2g}, level {level:g}; {said}.",
        status=TestStatus.FAIL if p_value <= level else TestStatus.SUCCESS,
        metric_config=calculation.to_metric_config(),
        test_config={},
        bound_test=bound,
    )
