"""The numbers of other windows that rules need, read from the store a whole kind of series at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from inferwatch.schemas.rules import Rule
from inferwatch.schemas.windows import EPOCH, SeriesKey
from inferwatch.streams.alerting.reading import Newest, Number
from inferwatch.streams.alerting.rules import Kind, kind_of
from inferwatch.streams.ports import Store

LONGEST_WINDOW = timedelta(days=1)
"""``windows.size`` is at most this: where a window ends says within how much it began."""


EVERY = timedelta(milliseconds=1)
Of = tuple[str, SeriesKey]
_WITHIN = "window_start >= {start:DateTime64(3, 'UTC')} AND window_end <= {end:DateTime64(3, 'UTC')}"
_OF_KINDS = "metric IN {metrics:Array(String)} AND segment_dimension IN {dimensions:Array(String)}"


class StoredPast:
    """What the store holds at the moment of asking; made anew for every window that is judged. See ``reading.Past``.

    Args:
        store: where the windows are published.
        rules: what will be asked for: one query reads the numbers of all of them.
    """

    def __init__(self, store: Store, rules: Sequence[Rule]) -> None:
        self._store = store
        self._kinds = sorted({kind_of(rule) for rule in rules})
        self._looking_back = sorted({kind_of(rule) for rule in rules if rule.compare or rule.burn_rate})
        self._newest: dict[tuple[datetime, datetime], dict[Kind, dict[SeriesKey, Newest]]] = {}
        self._numbers: dict[tuple[datetime, datetime, timedelta | None], dict[Of, list[Number]]] = {}

    def numbers(
        self, metric: str, series: SeriesKey, start: datetime, end: datetime, every: timedelta | None = None
    ) -> Sequence[Number]:
        """Return the known numbers of the published windows within ``[start, end)``, oldest first; see ``Past``.

        Raises:
            StoreUnavailable: ask again.
        """
        span = (start, end, every)
        if span not in self._numbers:
            self._numbers[span] = self._read_numbers(start, end, every)
        return self._numbers[span].get((metric, series), [])

    def newest(self, metric: str, dimension: str, since: datetime, end: datetime) -> Mapping[SeriesKey, Newest]:
        """Return which series have numbers of windows that end in ``[since, end)`` or after ``end``.

        Raises:
            StoreUnavailable: ask again.
        """
        if (since, end) not in self._newest:
            self._newest[since, end] = self._read_newest(since, end)
        return self._newest[since, end].get((metric, dimension), {})

    def _read_numbers(self, start: datetime, end: datetime, every: timedelta | None) -> dict[Of, list[Number]]:
        spaced = "" if every is None else (
            "AND (toUnixTimestamp64Milli({end:DateTime64(3, 'UTC')}) - toUnixTimestamp64Milli(window_end)) "
            "% {every:Int64} = 0 "
        )  # fmt: skip
        # Not by the view: FINAL merges a whole day for an hour. Rows of one edition that are there twice are the same.
        rows = self._store.query(
            "SELECT application, segment_dimension, segment_value, metric, "
            "arraySort(groupUniqArray((m.window_start, m.value, m.n))) AS sorted, "
            "arrayMap(one -> one.2, sorted) AS values, arrayMap(one -> one.3, sorted) AS counts "
            f"FROM window_metrics_raw AS m WHERE {_WITHIN} AND (window_start, window_end, revision, edition) IN "
            f"(SELECT window_start, window_end, revision, edition FROM windows WHERE {_WITHIN}) "
            f"AND {_OF_KINDS} AND NOT isNaN(m.value) {spaced}"
            "GROUP BY application, segment_dimension, segment_value, metric",
            {
                "start": start,
                "end": end,
                "every": (every or EVERY) // timedelta(milliseconds=1),
                **_kinds(self._looking_back),
            },
        )
        names = ("application", "segment_dimension", "segment_value", "metric", "values", "counts")
        columns = (rows[name].to_pylist() for name in names)
        return {
            (metric, SeriesKey(*series)): list(map(Number, values, counts))
            for *series, metric, values, counts in zip(*columns, strict=True)
        }

    def _read_newest(self, since: datetime, end: datetime) -> dict[Kind, dict[SeriesKey, Newest]]:
        # Unpublished numbers are of this window, or were judged by a process that did not live to publish them.
        rows = self._store.query(
            "SELECT metric, segment_dimension, application, segment_value, "
            "toUnixTimestamp64Milli(maxIf(window_end, window_end < {end:DateTime64(3, 'UTC')})) AS earlier, "
            "max(window_end) > {end:DateTime64(3, 'UTC')} AS later FROM window_metrics_raw AS m "
            "WHERE window_end >= {since:DateTime64(3, 'UTC')} AND window_end != {end:DateTime64(3, 'UTC')} "
            "AND window_start >= {from:DateTime64(3, 'UTC')} "
            f"AND {_OF_KINDS} AND NOT isNaN(m.value) "
            "GROUP BY metric, segment_dimension, application, segment_value",
            {"since": since, "end": end, "from": since - LONGEST_WINDOW, **_kinds(self._kinds)},
        )
        found: dict[Kind, dict[SeriesKey, Newest]] = defaultdict(dict)
        newest: dict[tuple[int, bool], Newest] = {}
        columns = (rows[name].to_pylist() for name in rows.column_names)
        for metric, dimension, application, segment, *ends in zip(*columns, strict=True):
            known = newest.setdefault((ends[0], bool(ends[1])), _newest(*ends))
            found[metric, dimension][SeriesKey(application, dimension, segment)] = known
        return found


def _newest(earlier: int, later: int) -> Newest:
    """Return what a query said in milliseconds; 0 is none."""
    return Newest(EPOCH + timedelta(milliseconds=earlier) if earlier > 0 else None, bool(later))


def _kinds(kinds: Iterable[Kind]) -> dict[str, list[str]]:
    return {name: sorted({kind[place] for kind in kinds}) for place, name in enumerate(("metrics", "dimensions"))}
