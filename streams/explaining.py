"""Why a window drifted: its rows and the reference's from the store, the witness, and words for both."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.keywords import CHARS, keywords
from inferwatch.detectors.drift.reference import Reference
from inferwatch.detectors.drift.segments import carriers
from inferwatch.detectors.drift.witness import Witness, find_witness, pick
from inferwatch.schemas.drift_fields import text_of
from inferwatch.schemas.errors import Permanent
from inferwatch.schemas.explanation import Brief, Example, Explanation, SegmentShift
from inferwatch.schemas.windows import Window
from inferwatch.streams.aggregate import IN_WINDOW, segment_expression
from inferwatch.streams.ports import Store

logger = logging.getLogger(__name__)

WORTH_EXPLAINING = 0.05
WORTH_EXPLAINING_DAYS = 1.0
"""A window with a larger p-value and a recurrence below this is not explained: half a second each, for nobody."""
MOST_ROWS = 1000
"""Rows looked at on either side. Both come in the order of a hash, so the first ones are a sample."""
NEW, GONE = 5, 3
"""Examples of what is new and of what is gone."""
TEXTS_OFF = "no texts and no words: privacy.store_text is false"
TEXTS_MISSING = "no words: the texts of these rows are not in the store"
_TEXTS_KEPT = 4


@dataclass(frozen=True, eq=False)
class Explained:
    """An explanation with what a picture needs: ``reference`` (m, dim) and ``window`` (n, dim), and their witness.

    ``marked`` are the rows of the window that are shown as new: none where no share of it is proven.
    """

    explanation: Explanation
    reference: F32
    window: F32
    witness: Witness
    marked: tuple[int, ...]


class Explainer:
    """Explains windows. Costs two queries and, whatever the traffic, a comparison of at most 1,000 rows a side.

    Args:
        store: where rows and texts are.
        dimensions: segment dimensions in which the change is looked for.
        texts: whether texts may be read; where ``privacy.store_text`` is false, none that are left from before are.
    """

    def __init__(self, store: Store, dimensions: Sequence[str], *, texts: bool) -> None:
        self._store = store
        self._dimensions = tuple(dimensions)
        self._texts = texts
        self._known: dict[tuple[str, str, str, int], dict[str, str]] = {}

    def explain(
        self, window: Window, application: str, field: str, reference: Reference, ids: Sequence[str], vectors: F32
    ) -> Explained:
        """Explain how ``window`` differs from ``reference``.

        The same rows give the same explanation.

        Args:
            window: the half-open interval.
            application: whose rows.
            field: what was compared (``drift_fields``); its text is shown.
            reference: what the window was compared with.
            ids: of the n rows of the window that were compared, in the order of a hash.
            vectors: their (n, dim) vectors.
        """
        ids, vectors = ids[:MOST_ROWS], vectors[:MOST_ROWS]
        old = reference.vectors[:MOST_ROWS]
        witness = find_witness(old, vectors)
        texts, segments = self._rows(window, application, field, ids)
        before = self._texts_of(reference)
        proven, lost = witness.new_share.proven, witness.gone_share.proven
        brief = Brief(
            new=witness.new_share.rounded(),
            gone=witness.gone_share.rounded(),
            segments=tuple(map(_rounded, carriers(witness.new, segments))) if proven else (),
            note=TEXTS_OFF if not self._texts else "" if any(texts) else TEXTS_MISSING,
        )
        brief = self._worded(brief, witness, reference, texts, before)
        explanation = Explanation(
            application=application,
            field=field,
            window=window,
            reference=f"{reference.name} v{reference.version}",
            rows=len(ids),
            reference_rows=len(old),
            brief=brief,
            examples=tuple(Example(ids[row], texts[row]) for row in pick(vectors, witness.new, NEW)),
            gone=tuple(
                Example(reference.ids[row], before.get(reference.ids[row], ""))
                for row in (pick(old, witness.gone, GONE) if lost else ())
            ),
        )
        return Explained(explanation, old, vectors, witness, witness.new if proven else ())

    def detail(
        self, window: Window, application: str, field: str, reference: Reference, ids: Sequence[str], vectors: F32
    ) -> dict[str, Any]:
        """Return what a drift metric's ``detail`` says: ``explanation`` (a brief), ``examples``, ``gone_examples``.

        A window is published even where it cannot be explained; the reason is logged.

        Raises:
            StoreUnavailable: try the window again.
        """
        try:
            found = self.explain(window, application, field, reference, ids, vectors).explanation
        except Permanent:
            logger.exception("%s of %s, %s: the drift is published without an explanation", window, application, field)
            return {}
        return {
            "explanation": found.brief.as_json(),
            "examples": [one.id for one in found.examples],
            "gone_examples": [one.id for one in found.gone],
        }

    def _worded(
        self, brief: Brief, witness: Witness, reference: Reference, texts: Sequence[str], before: dict[str, str]
    ) -> Brief:
        fresh = set(witness.new)
        new = [text for row, text in enumerate(texts) if text and row in fresh]
        rest = [text for row, text in enumerate(texts) if text and row not in fresh]
        old = [text for identity in reference.ids[:MOST_ROWS] if (text := before.get(identity, ""))]
        gone = [text for row in witness.gone if (text := before.get(reference.ids[row], ""))]
        return replace(
            brief,
            keywords=keywords(new, rest + old) if witness.new_share.proven else (),
            gone_keywords=keywords(gone, rest) if witness.gone_share.proven else (),
        )

    def _rows(
        self, window: Window, application: str, field: str, ids: Sequence[str]
    ) -> tuple[list[str], dict[str, list[str]]]:
        """Return the text of each of ``ids``, and dimension -> its value in each."""
        body = f"substringUTF8({text_of(field)}, 1, {CHARS})" if self._texts else "''"
        columns = "".join(
            f", toString({segment_expression(name)}) AS segment{place}" for place, name in enumerate(self._dimensions)
        )
        rows = self._store.query(
            f"SELECT id, {body} AS body{columns} FROM inferences WHERE application = {{application:String}} "
            f"AND {IN_WINDOW} AND id IN {{ids:Array(String)}}",
            {"application": application, "start": window.start, "end": window.end, "ids": list(ids)},
        ).to_pylist()
        found: dict[str, dict[str, Any]] = {row["id"]: row for row in rows}
        nothing: dict[str, Any] = {}
        texts = [str(found.get(one, nothing).get("body", "")) for one in ids]
        segments = {
            name: [str(found.get(one, nothing).get(f"segment{place}", "")) for one in ids]
            for place, name in enumerate(self._dimensions)
        }
        return texts, segments

    def _texts_of(self, reference: Reference) -> dict[str, str]:
        """Return id -> text of the reference's rows, as far as they are in the store; kept for the next window."""
        if not self._texts:
            return {}
        key = (reference.application, reference.field, reference.name, reference.version)
        if key not in self._known:
            scope = dict(zip(("application", "field", "name", "version"), key, strict=True))
            rows = self._store.query(
                f"SELECT id, substringUTF8({text_of(reference.field)}, 1, {CHARS}) AS body FROM inferences_raw "
                "WHERE application = {application:String} AND id IN {ids:Array(String)} AND (timestamp BETWEEN "
                "(SELECT min(period_start) FROM references_raw WHERE application = {application:String} "
                "AND field = {field:String} AND name = {name:String} AND version = {version:UInt32}) AND "
                "(SELECT max(period_end) FROM references_raw WHERE application = {application:String} "
                "AND field = {field:String} AND name = {name:String} AND version = {version:UInt32})) "
                # Deduplicated by id: the view would read every row of the period.
                "ORDER BY id, ingested_at DESC LIMIT 1 BY id",
                scope | {"ids": list(reference.ids[:MOST_ROWS])},
            ).to_pylist()
            while len(self._known) >= _TEXTS_KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[key] = {row["id"]: row["body"] for row in rows}
        return self._known[key]


def _rounded(shift: SegmentShift) -> SegmentShift:
    return replace(shift, share=round(shift.share, 4), elsewhere=round(shift.elsewhere, 4))
