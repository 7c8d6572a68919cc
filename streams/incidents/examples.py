"""Rows that show what an alert is about, with their texts and the evidence in them. Texts are redacted, as stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from inferwatch.schemas.baselines import CANARY
from inferwatch.schemas.event_rules import EVENT
from inferwatch.schemas.rules import BLIND
from inferwatch.schemas.windows import ALL, OTHER, SeriesKey, Window
from inferwatch.streams.aggregate import IN_WINDOW, capped_segments, segment_expression
from inferwatch.streams.alerting.columns import column_of, text_of
from inferwatch.streams.alerting.examples import ordering
from inferwatch.streams.ports import Store

EXAMPLES = 6
CHARS, CONTEXT_CHARS, CONTEXTS = 1500, 600, 4
LEAD = 200
"""Characters kept before the first evidence in a text that is cut."""

_COLUMNS = (
    "id", "timestamp", "model", "prompt_name", "prompt_version", "tenant", "trace_id", "error", "latency_ms",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """One piece of evidence. ``start`` and ``end`` are characters of the whole field, half open; None: all of it."""

    field: str
    start: int | None
    end: int | None
    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Part of a text, from character ``offset`` of the whole; ``whole`` says that nothing is left out."""

    text: str
    offset: int = 0
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Example:
    """One row: where it comes from, why it is shown (``score``, ``error`` or ``unscored``), and its texts."""

    id: str
    timestamp: datetime
    origin: Mapping[str, str]
    shows: str
    input: Excerpt
    output: Excerpt
    contexts: tuple[Excerpt, ...]
    evidence: tuple[Mark, ...]
    score: float | None = None
    error: str = ""
    unscored: str = ""
    latency_ms: float | None = None
    trace_id: str = ""
    texts: bool = field(default=True)


def examples(
    store: Store,
    series: SeriesKey,
    metric: str,
    period: Window,
    *,
    down: bool,
    detail: Mapping[str, Any],
    thresholds: Mapping[str, float],
    max_values: int,
    texts: bool,
) -> list[Example]:
    """Return the worst rows of ``series`` in ``period``, worst first, no text twice.

    Args:
        store: where the rows are.
        series: whose rows.
        metric: whose number they made.
        period: where to look; for drift, the window that was compared.
        down: whether small numbers are the bad ones.
        detail: of the window's metric; of drift, and of an alert on single rows, it names the rows.
        thresholds: score name -> from which score on a row counts.
        max_values: how many values of a segment dimension have a series of their own.
        texts: whether texts may be read (``privacy.store_text``).
    """
    score, parameters = metric.rpartition(".")[0], _place(series, period)
    if metric.startswith(("drift.", CANARY)) or metric.endswith(EVENT):
        wanted = [one for one in detail.get("examples") or () if isinstance(one, str)][:EXAMPLES]
        if not wanted:
            return []
        column = score if metric.endswith(EVENT) else column_of(metric)
        shows, amount, where = text_of(column or metric.split(".")[1]), "0", "id IN {ids:Array(String)}"
        parameters |= {"ids": wanted}
        score = column
    else:
        if metric == BLIND:
            score = str(detail.get("score", ""))
            metric = f"{score}.coverage"
        found = ordering(metric, thresholds)
        if found is None:
            return []
        amount, shows, where = found
        wanted = []
    parameters["score"] = score
    kept = ""
    if series.dimension != ALL:
        column = segment_expression(series.dimension)
        segment = f"{column} = {{segment:String}}"
        if series.value == OTHER:
            kept, capped = capped_segments(series.dimension)
            segment = f"{column} != '' AND {capped} = {{segment:String}}"
            parameters["max_values"] = max_values
        where += f" AND {segment}"
    body = "input, output, contexts, evidence" if texts else "'' AS input, '' AS output, [] AS contexts, '' AS evidence"
    once = f"LIMIT 1 BY if({shows} = '', id, {shows})" if texts else ""
    rows = store.query(
        f"{kept} SELECT {', '.join(_COLUMNS)}, {body}, toFloat64({amount}) AS amount, "
        "if(mapContains(scores, {score:String}), scores[{score:String}], NULL) AS own, "
        f"abstained[{{score:String}}] AS unscored FROM inferences WHERE application = {{application:String}} "
        f"AND {IN_WINDOW} AND {where} ORDER BY amount {'ASC' if down else 'DESC'}, id {once} LIMIT {EXAMPLES}",
        parameters,
    ).to_pylist()
    if wanted:
        rows.sort(key=lambda row: wanted.index(row["id"]))
    kind = metric.rpartition(".")[2]
    return [_example(row, shows, score, missing=kind == "coverage", texts=texts) for row in rows]


def excerpt(text: str, marks: Sequence[Mark], limit: int = CHARS) -> Excerpt:
    """Return at most ``limit`` characters of ``text`` that hold the first of ``marks``.

    >>> excerpt("x" * 10, (), 4)
    Excerpt(text='xxxx', offset=0, whole=False)
    """
    if len(text) <= limit:
        return Excerpt(text)
    first = min((mark.start for mark in marks if mark.start is not None), default=0)
    offset = 0 if first < limit // 2 else min(max(0, first - LEAD), len(text) - limit)
    return Excerpt(text[offset : offset + limit], offset, whole=False)


def _example(row: Mapping[str, Any], shows: str, score: str, *, missing: bool, texts: bool) -> Example:
    marks = marks_of(row["evidence"], score)
    own = {side: [mark for mark in marks if mark.field == side] for side in ("input", "output")}
    names = ("model", "prompt_name", "prompt_version", "tenant")
    return Example(
        id=row["id"],
        timestamp=row["timestamp"],
        origin={name: row[name] for name in names if row[name]},
        shows=shows,
        input=excerpt(row["input"], own["input"]),
        output=excerpt(row["output"], own["output"]),
        contexts=tuple(excerpt(one, (), CONTEXT_CHARS) for one in row["contexts"][:CONTEXTS]),
        evidence=tuple(marks),
        score=row["own"],
        error=row["error"] if texts else "",
        unscored=(row["unscored"] or "no score") if missing else "",
        latency_ms=row["latency_ms"],
        trace_id=row["trace_id"],
        texts=texts,
    )


def marks_of(stored: str, score: str) -> list[Mark]:
    """Return the evidence kept for ``score``, strongest first."""
    try:
        pieces = orjson.loads(stored or "[]")
    except orjson.JSONDecodeError:
        return []
    own = [one for one in pieces if isinstance(one, dict) and one.get("name") == score]
    marks = [
        Mark(
            str(one.get("field", "")), one.get("start"), one.get("end"), float(one.get("score", 0)),
            str(one.get("reason", "")),
        )
        for one in own
    ]  # fmt: skip
    return sorted(marks, key=lambda mark: -mark.score)


def _place(series: SeriesKey, period: Window) -> dict[str, Any]:
    place: dict[str, Any] = {"application": series.application, "start": period.start, "end": period.end}
    return place | ({"segment": series.value} if series.dimension != ALL else {})
