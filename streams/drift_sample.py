"""Which rows of a window its drift is measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from inferwatch.schemas.windows import Window
from inferwatch.streams.aggregate import IN_WINDOW
from inferwatch.streams.ports import Store

_ROWS = (
    "application = {application:String} AND field IN {fields:Array(String)} AND encoder_revision = {revision:String} "
    f"AND {IN_WINDOW}"
)
# One row a conversation: its rows are not drawn independently of one another, and would count as if they were.
_SAMPLE = f"""
SELECT field, id, CAST(vector, 'Array(Float32)') AS vector FROM embeddings WHERE {_ROWS} AND (field, id) IN (
    SELECT field, id FROM (
        SELECT e.field AS field, e.id AS id FROM (SELECT field, id FROM embeddings WHERE {_ROWS}) AS e
        LEFT JOIN (
            SELECT id, conversation_id FROM inferences WHERE application = {{application:String}} AND {IN_WINDOW}
        ) AS i ON e.id = i.id
        ORDER BY cityHash64(e.id), e.id
        LIMIT 1 BY e.field, i.conversation_id, if(i.conversation_id = '', e.id, '')
    ) ORDER BY cityHash64(id), id LIMIT {{rows:UInt32}} BY field
) ORDER BY cityHash64(id), id
"""


def drift_samples(
    store: Store, window: Window, application: str, fields: Sequence[str], encoder_revision: str, rows: int
) -> Mapping[str, pa.Table]:
    """Return field -> ``id`` and ``vector`` of at most ``rows`` rows of ``window``, one a conversation, by a hash.

    The same rows give the same sample.
    """
    found = store.query(
        _SAMPLE,
        {
            "application": application,
            "fields": list(fields),
            "start": window.start,
            "end": window.end,
            "revision": encoder_revision,
            "rows": rows,
        },
    )
    return {field: found.filter(pc.equal(found["field"], pa.scalar(field))) for field in fields}
