"""Which rows of a window its drift is measured on."""

from __future__ import annotations

import pyarrow as pa

from inferwatch.detectors.drift.reference import Reference
from inferwatch.schemas.windows import Window
from inferwatch.streams.aggregate import IN_WINDOW
from inferwatch.streams.ports import Store

_ROWS = (
    "application = {application:String} AND field = {field:String} AND encoder_revision = {revision:String} "
    f"AND {IN_WINDOW}"
)
# One row a conversation: its rows are not drawn independently of one another, and would count as if they were.
_SAMPLE = f"""
SELECT id, CAST(vector, 'Array(Float32)') AS vector FROM embeddings WHERE {_ROWS} AND id IN (
    SELECT e.id FROM (SELECT id FROM embeddings WHERE {_ROWS}) AS e
    LEFT JOIN (
        SELECT id, conversation_id FROM inferences WHERE application = {{application:String}} AND {IN_WINDOW}
    ) AS i ON e.id = i.id
    ORDER BY cityHash64(e.id), e.id
    LIMIT 1 BY i.conversation_id, if(i.conversation_id = '', e.id, '')
    LIMIT {{rows:UInt32}}
) ORDER BY cityHash64(id), id
"""


def drift_sample(store: Store, window: Window, reference: Reference, rows: int) -> pa.Table:
    """Return ``id`` and ``vector`` of at most ``rows`` rows of ``window``, one a conversation, in the order of a hash.

    They are of the reference's application, field and encoder. The same rows give the same sample.
    """
    return store.query(
        _SAMPLE,
        {
            "application": reference.application,
            "field": reference.field,
            "start": window.start,
            "end": window.end,
            "revision": reference.encoder_revision,
            "rows": rows,
        },
    )
