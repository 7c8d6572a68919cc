"""Is a period like the times around it, in its errors and scores? One that was an incident is no baseline."""

from __future__ import annotations

from math import sqrt

from inferwatch.schemas.windows import ALL
from inferwatch.streams.ports import Store
from inferwatch.streams.references.sampling import Scope

DEVIATIONS = 4.0
TIMES = 2.0
"""A rate is far from its neighbours' when it is surely different (4 standard errors) and twice as high."""


def unlike_neighbours(store: Store, scope: Scope) -> tuple[str, ...]:
    """Return a sentence for each rate (errors, scores over their threshold) that is far higher in ``scope``.

    Compared with the windows closed in as long a time before and as long a time after.
    """
    span = scope.end - scope.start
    rows = store.query(
        "SELECT metric, window_start >= {start:DateTime64(3, 'UTC')} AND window_start < {end:DateTime64(3, 'UTC')} "
        "AS inside, sum(m.value * n) AS hits, sum(n) AS total FROM window_metrics AS m "
        "WHERE application = {application:String} AND segment_dimension = {all:String} "
        "AND metric LIKE '%.rate' AND metric NOT LIKE 'feedback.%' AND n > 0 AND NOT isNaN(m.value) "
        "AND window_start >= {before:DateTime64(3, 'UTC')} AND window_start < {after:DateTime64(3, 'UTC')} "
        "AND toUnixTimestamp(window_start) % dateDiff('second', window_start, window_end) = 0 "
        "GROUP BY metric, inside ORDER BY metric",
        {
            "application": scope.application,
            "all": ALL,
            "start": scope.start,
            "end": scope.end,
            "before": scope.start - span,
            "after": scope.end + span,
        },
    ).to_pylist()
    inside = {row["metric"]: (row["hits"], row["total"]) for row in rows if row["inside"]}
    around = {row["metric"]: (row["hits"], row["total"]) for row in rows if not row["inside"]}
    found = []
    for metric in sorted(inside.keys() & around.keys()):
        (hits, n), (others, m) = inside[metric], around[metric]
        pooled = (hits + others) / (n + m)
        error = sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
        if hits / n > TIMES * others / m and hits / n - others / m > DEVIATIONS * error:
            found.append(f"{metric} is {hits / n:.1%} in this period and {others / m:.1%} around it")
    return tuple(found)
