"""Rows so severe that one is enough: noted as they are stored, for rules on single rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from inferwatch.schemas.event_rules import EventRule
from inferwatch.streams.rows import INSTANT

if TYPE_CHECKING:
    from inferwatch.streams.pipeline import Prepared


def severe_rows(rules: Sequence[EventRule], prepared: Prepared, kept: Sequence[int], now: datetime) -> pa.Table:
    """Return the rows of ``severe_rows_raw``: of the entries at positions ``kept``, those that ``rules`` ask for."""
    found: list[tuple[str, str, datetime, str, float]] = []
    for rule in rules:
        for scores in prepared.scores:
            if scores.name != rule.event:
                continue
            for row in kept:
                log, score = prepared.entries[row].log, float(scores.values[row])
                asked = not rule.applications or log.application in rule.applications
                if asked and rule.when.holds(score):
                    found.append((rule.name, log.application, log.timestamp, log.id, score))
    return pa.table(
        {
            "rule": pa.array([one[0] for one in found], pa.string()),
            "application": pa.array([one[1] for one in found], pa.string()),
            "timestamp": pa.array([one[2] for one in found], INSTANT),
            "id": pa.array([one[3] for one in found], pa.string()),
            "score": pa.array([one[4] for one in found], pa.float64()),
            "noted_at": pa.array([now] * len(found), INSTANT),
        }
    )
