"""A capped sample of what the columns of some rows hold, by SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from inferwatch.schemas.columns import NUMBERS, is_mix
from inferwatch.schemas.windows import ALL, SeriesKey
from inferwatch.streams.aggregate import IN_WINDOW, capped_segments, segment_expression
from inferwatch.streams.ports import Store

CHOSEN = f"{IN_WINDOW} AND application IN {{applications:Array(String)}}"


@dataclass(frozen=True, slots=True)
class Sample:
    """What one column holds: ``values`` (floats, or texts where it is a mix) of the rows ``ids``, by hash."""

    ids: tuple[str, ...]
    values: tuple[Any, ...]


Samples = Mapping[SeriesKey, Mapping[str, Sample]]
"""Series -> column -> sample."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows: those of ``applications`` in ``[start, end)``, by ``dimension``.

    Of a conversation at most one row in each ``pane`` of time is taken: the rows of one are not exchangeable. A period
    that windows are compared with has their length as its pane, so that a long conversation has the weight that it has
    in them.
    """

    start: datetime
    end: datetime
    applications: tuple[str, ...]
    pane: timedelta
    dimension: str = ALL


def samples(store: Store, scope: Scope, columns: Sequence[str], *, rows: int, max_values: int) -> Samples:
    """Return at most ``rows`` values of each column of each series, of rows chosen by a hash of the id.

    A score that a budget gave to some rows more often than to others is thinned, again by a hash, to rows that all had
    the same chance.

    Args:
        store: where the rows are.
        scope: which rows.
        columns: names as in ``schemas.columns``, or of scores.
        rows: the cap.
        max_values: how many values of a segment dimension have a series of their own.
    """
    if not scope.applications or not columns:
        return {}
    parameters: dict[str, Any] = {
        "start": scope.start,
        "end": scope.end,
        "applications": list(scope.applications),
        "pane": scope.pane // timedelta(milliseconds=1),
        "max_values": max_values,
    }
    floors = _floors(store, parameters)
    kept, segment, where = "", f"'{ALL}'", CHOSEN
    if scope.dimension != ALL:
        kept, segment = capped_segments(scope.dimension)
        where += f" AND {segment_expression(scope.dimension)} != ''"
    inner, middle, outer = [], [], []
    for place, column in enumerate(columns):
        inner.append(f"{_expression(column, place, floors, parameters)} AS x{place}")
        middle.append(
            f"groupArraySortedIf({rows:d})((place, id, assumeNotNull(x{place})), isNotNull(x{place})) AS c{place}"
        )
        outer.append(f"c{place}.2 AS ids{place}, c{place}.3 AS values{place}")
    found = store.query(
        f"{kept} SELECT application, segment, {', '.join(outer)} FROM ("
        f"SELECT application, segment, {', '.join(middle)} FROM ("
        f"SELECT toString(application) AS application, {segment} AS segment, id, cityHash64(id) AS place, "
        f"{', '.join(inner)} FROM inferences WHERE {where} ORDER BY place, id "
        "LIMIT 1 BY application, segment, if(conversation_id = '', id, conversation_id), intDiv("
        "toUnixTimestamp64Milli(timestamp) - toUnixTimestamp64Milli({start:DateTime64(3, 'UTC')}), {pane:Int64})"
        ") GROUP BY application, segment)",
        parameters,
    )
    return {
        SeriesKey(row["application"], scope.dimension, row["segment"]): {
            column: Sample(tuple(row[f"ids{place}"]), tuple(row[f"values{place}"]))
            for place, column in enumerate(columns)
        }
        for row in found.to_pylist()
    }


def _floors(store: Store, parameters: Mapping[str, Any]) -> dict[str, float]:
    """Return score -> the smallest inclusion probability of a row, of the scores that have one."""
    rows = store.query(
        "SELECT entry.1 AS score, min(entry.2) AS floor FROM ("
        f"SELECT arrayJoin(CAST(inclusion, 'Array(Tuple(String, Float32))')) AS entry FROM inferences WHERE {CHOSEN}"
        ") WHERE entry.2 > 0 GROUP BY score",
        parameters,
    )
    return {row["score"]: float(row["floor"]) for row in rows.to_pylist()}


def _expression(column: str, place: int, floors: Mapping[str, float], parameters: dict[str, Any]) -> str:
    """Return the SQL of a column's value, NULL where a row has none; may add to ``parameters``."""
    if is_mix(column):
        return f"nullIf(toString({segment_expression(column)}), '')"
    if column in NUMBERS:
        return f"if(isFinite({column}), toFloat64({column}), NULL)"
    parameters[f"score{place}"] = column
    name = f"{{score{place}:String}}"
    scored = f"mapContains(scores, {name})"
    if column in floors:
        parameters[f"floor{place}"] = floors[column]
        chance = f"if(inclusion[{name}] > 0, inclusion[{name}], 1)"
        scored += f" AND cityHash64('columns', id) / exp2(64) * {chance} < {{floor{place}:Float64}}"
    return f"if({scored}, toFloat64(scores[{name}]), NULL)"
