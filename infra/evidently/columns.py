"""The drift of all columns as one Evidently metric: what changed, and from what to what."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from evidently.core.datasets import Dataset
from evidently.core.metric_types import SingleValue, SingleValueCalculation, SingleValueMetric
from evidently.core.report import Context
from evidently.legacy.renderers.html_widgets import CounterData, WidgetSize, counter, table_data

from inferwatch.detectors.drift.categorical import compare_mix
from inferwatch.detectors.drift.scalar import compare_numbers
from inferwatch.infra.evidently.stattests import LEVEL
from inferwatch.infra.evidently.verdict import verdict
from inferwatch.schemas.columns import is_mix

HEAD = ["column", "p-value", "effect", "change", "rows"]


class ColumnDrift(SingleValueMetric):  # type: ignore[misc]
    """How many of ``columns`` have drifted.

    Args:
        columns: of numbers, and of mixes as ``schemas.columns`` has them.
        about: what is compared with what, as a title.
        level: a p-value at or below it is drift.
    """

    columns: list[str]
    about: str = ""
    level: float = LEVEL


class ColumnDriftCalculation(SingleValueCalculation[ColumnDrift]):  # type: ignore[misc]
    """Runs the tests that the service runs, on the rows of the report."""

    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset | None) -> SingleValue:
        """Return the number of columns with drift.

        Raises:
            ValueError: there is no reference data.
        """
        if reference_data is None:
            raise ValueError("ColumnDrift needs reference data")
        now, then = current_data.as_dataframe(), reference_data.as_dataframe()
        rows = sorted(_row(column, then[column].dropna(), now[column].dropna()) for column in self.metric.columns)
        drifted = [name for p_value, name, *_ in rows if p_value <= self.metric.level]
        result = self.result(len(drifted))
        said = [
            CounterData("columns that changed", f"{len(drifted)} of {len(rows)}"),
            CounterData("current rows", f"{len(now):,}"),
            CounterData("reference rows", f"{len(then):,}"),
        ]
        table = [[name, f"{p_value:.2g}", f"{effect:.3f}", change, n] for p_value, name, effect, change, n in rows]
        result.widget = [
            counter(counters=said, title=self.metric.about, size=WidgetSize.FULL),
            table_data(column_names=HEAD, data=table, title="What changed, the least likely by chance first"),
        ]
        result.set_tests(
            [
                verdict(self, f"Drift of {name}", p_value, self.metric.level, change)
                for p_value, name, _, change, _ in rows
            ]
        )
        return result

    def display_name(self) -> str:
        return "Columns that changed"


def _row(column: str, then: pd.Series[Any], now: pd.Series[Any]) -> tuple[float, str, float, str, str]:
    rows = f"{len(then):,} → {len(now):,}"
    if is_mix(column):
        mix = compare_mix(Counter(then.astype(str)), Counter(now.astype(str)), min_rows=2)
        change = ", ".join(f"{value} {before:.1%} → {after:.1%}" for value, before, after in mix.changes)
        return mix.p_value, column, mix.effect, change, rows
    numbers = compare_numbers(then.to_numpy(np.float64), now.to_numpy(np.float64), min_rows=2)
    (median, median_now), (p95, p95_now) = numbers.median, numbers.p95
    change = f"median {median:,.4g} → {median_now:,.4g}, 95 % at most {p95:,.4g} → {p95_now:,.4g}"
    return numbers.p_value, column, numbers.effect, change, rows
