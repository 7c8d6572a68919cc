"""Embedding drift as an Evidently metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from evidently.core.datasets import Dataset
from evidently.core.metric_types import SingleValue, SingleValueCalculation, SingleValueMetric
from evidently.core.report import Context
from evidently.legacy.renderers.html_widgets import CounterData, WidgetSize, counter, table_data

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.reference import Reference
from inferwatch.detectors.drift.result import Drift
from inferwatch.detectors.drift.spectral import SpectralTest
from inferwatch.infra.evidently.stattests import LEVEL
from inferwatch.infra.evidently.verdict import verdict

EXAMPLES = 5
CHARS = 300


class EmbeddingDrift(SingleValueMetric):  # type: ignore[misc]
    """The p-value of a window's vectors against a reference's, with the texts that are least like the reference.

    Args:
        column: holds a vector in each row, or nothing. Make it one of ``DataDefinition.list_columns``.
        text: the column of the texts that show a row.
        level: a p-value at or below it fails the test.
        min_rows: with fewer vectors on either side there is no number.
        compared: what the vectors are of, in words; the column of the texts where nothing is said.
    """

    column: str
    text: str
    level: float = LEVEL
    min_rows: int = 30
    compared: str = ""


class EmbeddingDriftCalculation(SingleValueCalculation[EmbeddingDrift]):  # type: ignore[misc]
    """Runs the test that the service runs, on the rows of the report."""

    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset | None) -> SingleValue:
        """Return the p-value, with what it rests on as widgets.

        Raises:
            ValueError: there is no reference data.
        """
        if reference_data is None:
            raise ValueError("EmbeddingDrift needs reference data")
        now = current_data.as_dataframe()
        old, new = _vectors(reference_data.as_dataframe()[self.metric.column]), _vectors(now[self.metric.column])
        there = [place for place, vector in enumerate(now[self.metric.column]) if vector is not None]
        reference = Reference("report", 1, "", self.metric.text, "", tuple(map(str, range(len(old)))), old)
        drift = SpectralTest(min_rows=self.metric.min_rows).compare(reference, new)
        result = self.result(drift.p_value)
        texts = now[self.metric.text].iloc[there].tolist()
        result.widget = [self._counters(drift), *self._examples(drift, texts)]
        if not drift.abstained:
            said = f"effect {drift.effect:.3f}, regularised two-sample test of sentence vectors"
            result.set_tests([verdict(self, self.display_name(), drift.p_value, self.metric.level, said)])
        return result

    def display_name(self) -> str:
        return f"Embedding drift of {self.metric.compared or self.metric.text}"

    def _counters(self, drift: Drift) -> Any:
        if drift.abstained:
            said = [CounterData("no number", drift.abstained)]
        else:
            said = [
                CounterData("drift", "detected" if drift.p_value <= self.metric.level else "not detected"),
                CounterData("p-value", f"{drift.p_value:.3g}"),
                CounterData("effect", f"{drift.effect:.3f}"),
            ]
        said += [
            CounterData("current rows", f"{drift.n_window:,}"),
            CounterData("reference rows", f"{drift.n_reference:,}"),
        ]
        return counter(counters=said, title=self.display_name(), size=WidgetSize.FULL)

    def _examples(self, drift: Drift, texts: Sequence[str]) -> list[Any]:
        if drift.abstained:
            return []
        farthest = np.argsort(-drift.witness, kind="stable")[:EXAMPLES]
        rows = [[_short(str(texts[row])), f"{drift.witness[row]:.3f}"] for row in farthest]
        title = f"{self.metric.text.capitalize()}s least like the reference"
        return [
            table_data(
                column_names=[self.metric.text, "how unlike (witness)"], data=rows, title=title, size=WidgetSize.FULL
            )
        ]


def _vectors(column: Any) -> F32:
    found = [vector for vector in column if vector is not None]
    return np.array(found, np.float32) if found else np.empty((0, 1), np.float32)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= CHARS else f"{line[: CHARS - 1]}…"
