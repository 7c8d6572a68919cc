"""The numbers of other windows that rules need, read from the store a whole kind of series at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.windows import EPOCH, SeriesKey, Window
from inferwatch.streams.alerting.reading import Newest
from inferwatch.streams.alerting.rules import Kind, kind_of
from inferwatch.streams.ports import Store

LONGEST_WINDOW = timedelta(days=1)
"""``windows.size`` is at most this: where a window ends says within how much it began."""


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
        self._numbers: dict[tuple[datetime, datetime], dict[tuple[str, SeriesKey], list[WindowMetric]]] = {}

    def numbers(self, metric: str, series: SeriesKey, start: datetime, end: datetime) -> Sequence[WindowMetric]:
        """Return the known numbers of the published windows within ``[start, end)``, oldest first.

        Raises:
            StoreUnavailable: ask again.
        """
        if (start, end) not in self._numbers:
            self._numbers[start, end] = self._read_numbers(start, end)
        return self._numbers[start, end].get((metric, series), [])

    def newest(self, metric: str, dimension: str, since: datetime, end: datetime) -> Mapping[SeriesKey, Newest]:
        """Return which series have numbers of windows that end in ``[since, end)`` or after ``end``.

        Raises:
            StoreUnavailable: ask again.
        """
        if (since, end) not in self._newest:
            self._newest[since, end] = self._read_newest(since, end)
        return self._newest[since, end].get((metric, dimension), {})

    def _read_numbers(self, start: datetime, end: datetime) -> dict[tuple[str, SeriesKey], list[WindowMetric]]:
        found: dict[tuple[str, SeriesKey], list[WindowMetric]] = defaultdict(list)
        rows = self._store.query(
            "SELECT window_start, window_end, application, segment_dimension, segment_value, metric, m.value AS value, "
            "n, total, ci_low, ci_high, revision FROM window_metrics AS m "
            "WHERE window_start >= {start:DateTime64(3, 'UTC')} AND window_end <= {end:DateTime64(3, 'UTC')} "
            f"AND {_OF_KINDS} AND NOT isNaN(m.value) "
            "ORDER BY window_start",
            {"start": start, "end": end, **_kinds(self._looking_back)},
        )
        columns = (rows[name].to_pylist() for name in rows.column_names)
        for begins, ends, application, dimension, segment, metric, *numbers in zip(*columns, strict=True):
            series = SeriesKey(application, dimension, segment)
            found[metric, series].append(_metric(Window(begins, ends), series, metric, numbers))
        return found

    def _read_newest(self, since: datetime, end: datetime) -> dict[Kind, dict[SeriesKey, Newest]]:
        # Unpublished numbers are of this window, or were judged by a process that did not live to publish them.
        rows = self._store.query(
            "SELECT metric, segment_dimension, application, segment_value, "
            "maxIf(window_end, window_end < {end:DateTime64(3, 'UTC')}) AS earlier, "
            "max(window_end) > {end:DateTime64(3, 'UTC')} AS later FROM window_metrics_raw AS m "
            "WHERE window_end >= {since:DateTime64(3, 'UTC')} AND window_end != {end:DateTime64(3, 'UTC')} "
            "AND window_start >= {from:DateTime64(3, 'UTC')} "
            f"AND {_OF_KINDS} AND NOT isNaN(m.value) "
            "GROUP BY metric, segment_dimension, application, segment_value",
            {"since": since, "end": end, "from": since - LONGEST_WINDOW, **_kinds(self._kinds)},
        )
        found: dict[Kind, dict[SeriesKey, Newest]] = defaultdict(dict)
        columns: Iterable[list[object]] = (rows[name].to_pylist() for name in rows.column_names)
        for metric, dimension, application, segment, earlier, later in zip(*columns, strict=True):
            series = SeriesKey(str(application), str(dimension), str(segment))
            before = earlier if isinstance(earlier, datetime) and earlier > EPOCH else None
            found[str(metric), str(dimension)][series] = Newest(before, bool(later))
        return found


def _kinds(kinds: Iterable[Kind]) -> dict[str, list[str]]:
    return {name: sorted({kind[place] for kind in kinds}) for place, name in enumerate(("metrics", "dimensions"))}


def _metric(window: Window, series: SeriesKey, metric: str, numbers: Sequence[float]) -> WindowMetric:
    value, n, total, low, high, revision = numbers
    return WindowMetric(window, series, metric, value, int(n), int(total), low, high, int(revision))
