"""The drift of a column, as people read it in a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferwatch.schemas.columns import is_mix
from inferwatch.schemas.drift_fields import FIELDS
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.streams.alerting.wording import SUBJECTS_OF_COLUMNS, number

_JUDGED = {
    "p_value": "p-value {}",
    "q_value": "q-value {}",
    "effect": "distance {}",
    "psi": "PSI {}",
    "recurrence": "a difference this sure appears without drift once in {}",
}


def column_of(metric: str) -> str:
    """Return the column that a drift metric is about; empty for the drift of texts, and for all other metrics.

    >>> column_of("drift.toxicity.output.p_value"), column_of("drift.output.p_value")
    ('toxicity.output', '')
    """
    family, _, _ = metric.rpartition(".")
    column = family.removeprefix("drift.")
    return column if family.startswith("drift.") and column not in FIELDS else ""


def text_of(column: str) -> str:
    """Return which text of a row shows what its ``column`` is about."""
    return "output" if column.startswith(("output", "hallucination")) or column.endswith(".output") else "input"


def column_drift(metric: WindowMetric, value: str, when: str) -> str:
    """Say in one sentence what changed: ``Latency of 500 calls …: median 665 ms, then 403 ms; …``."""
    column = column_of(metric.metric)
    detail = metric.detail
    rows = detail.get("n_reference")
    against = f"{detail.get('reference') or 'the reference'}" + (f" ({rows:,} rows)" if isinstance(rows, int) else "")
    what = SUBJECTS_OF_COLUMNS.get(column, column)
    judged = _JUDGED[metric.metric.rpartition(".")[2]].format(value)
    said = [*(_mix(detail) if is_mix(column) else _numbers(column, detail)), judged]
    return f"{what} of {metric.n:,} calls {when} compared with {against}: {'; '.join(said)}."


def _numbers(column: str, detail: Mapping[str, Any]) -> list[str]:
    names = {"median": "median", "p95": "95 % are at most"}
    return [
        f"{names[key]} {number(detail[key][1], f'{column}.mean')}, then {number(detail[key][0], f'{column}.mean')}"
        for key in names
        if isinstance(detail.get(key), list)
    ]


def _mix(detail: Mapping[str, Any]) -> list[str]:
    """Name each value whose share changed; a share is shown as all other shares are."""
    changes = [
        f"{value} {number(now, '.rate')}, then {number(then, '.rate')}"
        for value, then, now in detail.get("changes", ())
    ]
    usual = detail.get("psi_limit")
    return [
        *changes,
        *([f"PSI stays below {number(usual, '')} in 999 of 1,000 windows without a change"] if usual else []),
    ]
