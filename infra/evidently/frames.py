"""The rows of a window and of a reference's period as data frames, for a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from inferwatch.schemas.columns import NUMBERS, is_mix
from inferwatch.streams.aggregate import IN_WINDOW, segment_expression
from inferwatch.streams.ports import Store

TEXTS = ("input", "output")


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows: at most ``limit`` of ``application`` in ``[start, end)``, one of a conversation a ``pane``."""

    application: str
    start: datetime
    end: datetime
    limit: int
    pane: timedelta


def vector_column(field: str) -> str:
    """Return the name of the frame's column that holds the vectors of ``field``."""
    return f"{field} vector"


def read(store: Store, rows: Rows, columns: Sequence[str], fields: Sequence[str], revision: str) -> pd.DataFrame:
    """Return ``id``, the texts, ``columns`` and a vector for each of ``fields``; what a row lacks is missing.

    The rows are chosen by the hash that drift chooses by, so that a report shows what the service judged.

    Args:
        store: where the rows are.
        rows: which.
        columns: numbers, mixes and scores, named as in ``drift.columns``.
        fields: ``input``, ``output``.
        revision: of the encoder whose vectors are wanted.
    """
    parameters: dict[str, Any] = {
        "application": rows.application,
        "start": rows.start,
        "end": rows.end,
        "pane": rows.pane // timedelta(milliseconds=1),
    }
    expressions = []
    for place, column in enumerate(columns):
        if is_mix(column):
            found = f"nullIf(toString({segment_expression(column)}), '')"
        elif column in NUMBERS:
            found = f"toFloat64({column})"
        else:
            parameters[f"score{place}"] = column
            name = f"{{score{place}:String}}"
            found = f"if(mapContains(scores, {name}), toFloat64(scores[{name}]), NULL)"
        expressions.append(f"{found} AS x{place}")
    table = store.query(
        f"SELECT id, {', '.join((*TEXTS, *expressions))} FROM inferences "
        f"WHERE application = {{application:String}} AND {IN_WINDOW} ORDER BY cityHash64(id), id "
        "LIMIT 1 BY if(conversation_id = '', id, conversation_id), intDiv("
        "toUnixTimestamp64Milli(timestamp) - toUnixTimestamp64Milli({start:DateTime64(3, 'UTC')}), {pane:Int64}) "
        f"LIMIT {rows.limit:d}",
        parameters,
    )
    names = ["id", *TEXTS, *columns]
    frame = pd.DataFrame({name: table.column(place).to_pylist() for place, name in enumerate(names)})
    for column in columns:
        frame[column] = frame[column].astype("object" if is_mix(column) else "float64")
    for field in fields:
        frame[vector_column(field)] = _vectors(store, rows, field, revision, frame["id"].tolist())
    return frame


def _vectors(store: Store, rows: Rows, field: str, revision: str, ids: Sequence[str]) -> list[Any]:
    found = store.query(
        "SELECT id, CAST(vector, 'Array(Float32)') AS vector FROM embeddings WHERE application = {application:String} "
        f"AND field = {{field:String}} AND encoder_revision = {{revision:String}} AND {IN_WINDOW} "
        "AND id IN {ids:Array(String)}",
        {
            "application": rows.application,
            "field": field,
            "revision": revision,
            "start": rows.start,
            "end": rows.end,
            "ids": list(ids),
        },
    )
    known = dict(zip(found["id"].to_pylist(), found["vector"].to_pylist(), strict=True))
    return [None if (vector := known.get(one)) is None else np.array(vector, np.float32).tolist() for one in ids]
