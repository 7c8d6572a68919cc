"""Scores and feedback that are in the store, read through whichever door is open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import orjson

from inferwatch.schemas.errors import InvalidRecord
from inferwatch.streams.judged import Known
from inferwatch.streams.labels import Label, Verdicts
from inferwatch.streams.scored import Problem

Select = Callable[[str, str], bytes]
"""A SELECT and the name of a ClickHouse format -> its result."""
IDS = 1000
"""Asked for at once."""


def scores_of(select: Select, labels: Sequence[Label]) -> list[Known]:
    """Return the scores of the inferences that ``labels`` speak of; of one id of an application, the latest."""
    found = []
    for ids in _batches(sorted({label.id for label in labels})):
        query = (
            "SELECT application, id, scores, abstained, inclusion FROM inferences "
            f"WHERE id IN ({', '.join(map(_quoted, ids))}) ORDER BY timestamp DESC LIMIT 1 BY application, id"
        )
        for line in select(query, "JSONEachRow").splitlines():
            row = orjson.loads(line)
            found.append(Known(row["application"], row["id"], row["scores"], row["abstained"], row["inclusion"]))
    return found


def feedback_labels(
    select: Select, verdicts: Verdicts | None, application: str, since: datetime | None
) -> tuple[list[Label], list[Problem]]:
    """Return what people said of inferences after the fact, the latest of each, as labels.

    Args:
        select: runs the query.
        verdicts: what labels mean; None: thumbs count, down is bad.
        application: only this one; empty: all.
        since: only feedback given from then on.
    """
    where = ["kind = 'thumb'" if verdicts is None else "kind = 'label'"]
    if application:
        where.append(f"application = {_quoted(application)}")
    if since is not None:
        where.append(f"timestamp >= fromUnixTimestamp64Milli({int(since.timestamp() * 1000)})")
    query = (
        f"SELECT application, id, value, label FROM feedback WHERE {' AND '.join(where)} "
        "ORDER BY timestamp DESC LIMIT 1 BY application, id"
    )
    labels, problems = [], []
    for place, line in enumerate(select(query, "JSONEachRow").splitlines(), 1):
        row = orjson.loads(line)
        try:
            bad = row["value"] == 0 if verdicts is None else verdicts.bad(row["label"])
        except InvalidRecord as error:
            problems.append(Problem(place, error.reason, error.detail))
        else:
            labels.append(Label(place, row["id"], row["application"], "", bad, 1.0, None))
    return labels, problems


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + IDS] for start in range(0, len(ids), IDS))


def _quoted(text: str) -> str:
    """Return ``text`` as a literal of ClickHouse."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
