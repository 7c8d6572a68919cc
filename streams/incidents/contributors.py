"""Which segment values carry an alert's number: their share of the bad rows, and their rate against all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

from scipy.stats import fisher_exact

from inferwatch.schemas.metrics import score_interval
from inferwatch.schemas.rules import BLIND
from inferwatch.schemas.windows import ALL, SeriesKey, Window
from inferwatch.streams.aggregate import (
    asked_expression,
    capped_segments,
    segment_expression,
    weight_expression,
)
from inferwatch.streams.ports import Store

COLUMNS = ("model", "provider", "prompt_name", "prompt_version", "operation", "tenant", "finish_reason")
"""Looked at besides the configured segment dimensions."""
SHOWN = 8
_LEAST_ROWS = 5
_ALPHA = 0.01
_VALUES = 50
"""Most values of a dimension that are looked at, those with the most bad rows."""

NUMBERS = {
    "latency_ms": "latency_ms",
    "time_to_first_token_ms": "time_to_first_token_ms",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "input_chars": "input_chars",
    "output_chars": "output_chars",
}


@dataclass(frozen=True, slots=True)
class Bad:
    """What makes a row a bad one, in SQL: ``rows`` says which rows count, ``bad`` which of them are bad.

    ``weight`` is for how many rows a row counts, ``says`` what a bad row is, in words.
    """

    rows: str
    bad: str
    says: str
    weight: str = "1"


@dataclass(frozen=True, slots=True)
class Count:
    """Rows of one value of one dimension: how many, their weights' sum and sum of squares, and that of the bad ones."""

    dimension: str
    value: str
    rows: int
    weight: float
    squares: float
    bad: float

    @property
    def rate(self) -> float:
        return self.bad / self.weight if self.weight else nan

    @property
    def effective(self) -> tuple[int, int]:
        """How many rows it is worth, and how many of them bad: fewer than there are where their weights differ."""
        n = round(self.weight * self.weight / self.squares) if self.squares else 0
        return n, round(n * self.rate) if n else 0


@dataclass(frozen=True, slots=True)
class Contributor:
    """One segment value. Shares and rates are in [0, 1].

    ``of_bad`` is its share of the bad rows and ``of_rows`` its share of all rows; ``rate`` is how many of its rows are
    bad, with a 95 % interval, ``elsewhere`` how many of the others, and ``before`` how many of its rows were in as long
    a time before the alert (NaN where it had none then). ``carries``: Fisher's exact test says at 1 % over all values
    looked at (Holm) that it has more bad rows than the others.
    """

    dimension: str
    value: str
    rows: int
    of_bad: float
    of_rows: float
    rate: float
    low: float
    high: float
    elsewhere: float
    before: float
    rows_before: int
    carries: bool


@dataclass(frozen=True, slots=True)
class Contributions:
    """The rows of ``period`` that count, how many are bad (estimated where only a sample was scored), and who has them.

    ``bad_row`` says in words which rows are bad.
    """

    period: Window
    bad_row: str
    rows: int
    bad: float
    segments: tuple[Contributor, ...]


def bad_rows(
    metric: str, condition: tuple[str, float] | None, thresholds: Mapping[str, float], detail: Mapping[str, Any]
) -> Bad | None:
    """Return what a bad row of ``metric`` is; None where the number is not made of rows that are good or bad.

    Args:
        metric: of the alert's rule.
        condition: operator and number of the rule, for metrics whose rows are measured (latency, tokens).
        thresholds: score name -> from which score on a row counts.
        detail: of the window's metric: which score is meant, whether rows are weighted.
    """
    family, _, kind = metric.rpartition(".")
    if metric == "error.rate":
        return Bad("1", "error != ''", "a call that failed")
    if metric == BLIND:
        score = str(detail.get("score", ""))
        return _uncovered(score) if score else None
    if family in NUMBERS and condition is not None:
        operator, limit = condition
        return Bad(
            f"{family} IS NOT NULL", f"{family} {operator} {limit!r}", f"a call whose {family} is {operator} {limit:g}"
        )
    if family not in thresholds:
        return None
    if kind == "coverage":
        return _uncovered(family)
    if kind not in ("rate", "mean"):
        return None
    name, limit = "{score:String}", thresholds[family]
    return Bad(
        f"mapContains(scores, {name})",
        f"scores[{name}] >= {limit!r}",
        f"a row whose {family} is {limit:g} or more",
        weight_expression(name),
    )


def _uncovered(score: str) -> Bad:
    name = "{score:String}"
    return Bad(asked_expression(name), f"NOT mapContains(scores, {name})", f"a row without a score for {score}")


def contributions(
    store: Store,
    series: SeriesKey,
    bad: Bad,
    score: str,
    period: Window,
    dimensions: Iterable[str],
    max_values: int,
) -> Contributions:
    """Look through the rows of ``period``, and of as long a time before it, and return who has the bad ones.

    A series that is one segment of an application is looked at by the other dimensions, and held against the others of
    its own dimension.
    """
    names = list(dict.fromkeys((*dimensions, *COLUMNS)))
    kept, inside = "", "1"
    parameters: dict[str, Any] = {
        "application": series.application,
        "start": period.start,
        "end": period.end,
        "before": period.start - period.size,
        "score": score,
        "values": _VALUES,
    }
    if series.dimension != ALL:
        kept, segment = capped_segments(series.dimension)
        inside = f"({segment_expression(series.dimension)} != '' AND {segment} = {{segment:String}})"
        parameters |= {"segment": series.value, "max_values": max_values}
    pairs = ", ".join(f"('{name}', {segment_expression(name)})" for name in names)
    rows = store.query(
        f"{kept} SELECT pair.1 AS dimension, pair.2 AS value, now, count() AS rows, sum(w) AS weight, "
        "sum(w * w) AS squares, sum(w * x) AS bad FROM ("
        f"SELECT arrayJoin([('{ALL}', '{ALL}'), {pairs}]) AS pair, timestamp >= {{start:DateTime64(3, 'UTC')}} AS now, "
        f"toFloat64({bad.weight}) AS w, toFloat64({bad.bad}) AS x FROM inferences "
        "WHERE application = {application:String} AND timestamp >= {before:DateTime64(3, 'UTC')} "
        f"AND timestamp < {{end:DateTime64(3, 'UTC')}} AND ({bad.rows}) "
        f"AND ({inside} OR pair.1 = '{series.dimension}')) "
        "WHERE value != '' GROUP BY dimension, value, now ORDER BY bad DESC, rows DESC, value "
        "LIMIT {values:UInt32} BY dimension, now",
        parameters,
    ).to_pylist()
    now = [_count(row) for row in rows if row["now"]]
    before = {(one.dimension, one.value): one for one in (_count(row) for row in rows if not row["now"])}
    whole = next((one for one in now if one.dimension == ALL), Count(ALL, ALL, 0, 0.0, 0.0, 0.0))
    return Contributions(period, bad.says, whole.rows, whole.bad, tuple(rank(now, before, series, names)))


def rank(
    now: Sequence[Count], before: Mapping[tuple[str, str], Count], series: SeriesKey, dimensions: Sequence[str]
) -> list[Contributor]:
    """Return the values of all dimensions, those that carry the number first, then by how many bad rows they have.

    A value that all rows have says nothing and is left out; of two that are the same rows the first dimension speaks.

    References:
        Fisher 1922, On the interpretation of chi-squared from contingency tables, JRSS 85.
        Holm 1979, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6.
    """
    whole: dict[str, Count] = {}
    for name in dimensions:
        own = [one for one in now if one.dimension == name]
        everything = next((one for one in now if one.dimension == ALL), None)
        if name == series.dimension or everything is None:
            sums = [sum(getattr(one, part) for one in own) for part in ("weight", "squares", "bad")]
            whole[name] = Count(name, ALL, sum(one.rows for one in own), *sums)
        else:
            whole[name] = everything
    tested: list[tuple[float, Count]] = []
    for one in now:
        if one.dimension == ALL or one.rows >= whole[one.dimension].rows:
            continue
        if one.rows < _LEAST_ROWS or (one.dimension == series.dimension and one.value != series.value):
            continue
        n, hits = one.effective
        rest, others = _rest(one, whole[one.dimension])
        table = [[hits, n - hits], [others, rest - others]]
        tested.append((float(fisher_exact(table, alternative="greater")[1]), one))
    tested.sort(key=lambda pair: (pair[0], dimensions.index(pair[1].dimension), pair[1].value))
    found: list[Contributor] = []
    spoken: set[tuple[int, float]] = set()
    certain = True
    for place, (chance, one) in enumerate(tested):
        certain = certain and chance * (len(tested) - place) <= _ALPHA
        if (one.rows, one.bad) in spoken and one.bad:
            continue
        spoken.add((one.rows, one.bad))
        found.append(_contributor(one, whole[one.dimension], before.get((one.dimension, one.value)), carries=certain))
    found.sort(key=lambda one: (not one.carries, -one.of_bad))
    return found[:SHOWN]


def _rest(one: Count, whole: Count) -> tuple[int, int]:
    """Return how many rows all others are worth, and how many of them bad."""
    parts = (whole.rows - one.rows, whole.weight - one.weight, whole.squares - one.squares, whole.bad - one.bad)
    rows, weight, squares, bad = (max(0, part) for part in parts)
    return Count(one.dimension, "", int(rows), weight, squares, min(bad, weight)).effective


def _contributor(one: Count, whole: Count, before: Count | None, *, carries: bool) -> Contributor:
    rest = whole.weight - one.weight
    n, _ = one.effective
    low, high = score_interval(one.rate, n) if n else (nan, nan)
    return Contributor(
        dimension=one.dimension,
        value=one.value,
        rows=one.rows,
        of_bad=one.bad / whole.bad if whole.bad else 0.0,
        of_rows=one.weight / whole.weight,
        rate=one.rate,
        low=low,
        high=high,
        elsewhere=max(0.0, whole.bad - one.bad) / rest if rest > 0 else nan,
        before=before.rate if before is not None else nan,
        rows_before=before.rows if before is not None else 0,
        carries=carries,
    )


def _count(row: Mapping[str, Any]) -> Count:
    return Count(row["dimension"], row["value"], int(row["rows"]), row["weight"], row["squares"], row["bad"])
