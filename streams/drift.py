"""Embedding drift of a closed window: sample, reference, test, metrics."""

from __future__ import annotations

from math import nan

import numpy as np

from inferwatch.detectors.drift.mmd import RandomFeatureMMD
from inferwatch.detectors.drift.reference import Reference, require_revision
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.settings import DriftSettings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.aggregate import IN_WINDOW
from inferwatch.streams.ports import Store
from inferwatch.streams.references import References, vectors_of

EXAMPLES = 5


class DriftWatch:
    """Compares each application's windows with the reference chosen for them, one field at a time.

    Works on a capped sample of the window, chosen by a hash of the inference id: the cost does not grow with
    traffic, and the same rows give the same sample.
    """

    def __init__(self, store: Store, references: References, settings: DriftSettings, encoder_revision: str) -> None:
        self._store = store
        self._references = references
        self._settings = settings
        self._revision = encoder_revision
        self._test = RandomFeatureMMD(permutations=settings.permutations, min_rows=settings.min_rows)

    def measure(self, window: Window, application: str, total: int) -> list[WindowMetric]:
        """Return ``drift.<field>.p_value`` and ``.effect``; NaN with the reason in ``detail`` where there is none."""
        found = []
        for field in self._settings.fields:
            reference = self._references.choose(window, application, field, self._revision)
            found += self._measure(window, application, field, total, reference)
        return found

    def _measure(
        self, window: Window, application: str, field: str, total: int, reference: Reference | None
    ) -> list[WindowMetric]:
        series = SeriesKey(application)
        names = (f"drift.{field}.p_value", f"drift.{field}.effect")
        if reference is None:
            detail: dict[str, object] = {"abstained": "no reference of this encoder revision"}
            return [WindowMetric(window, series, name, nan, 0, total, detail=detail) for name in names]
        require_revision(reference, self._revision)
        sample = self._store.query(
            "SELECT id, CAST(vector, 'Array(Float32)') AS vector FROM embeddings "
            f"WHERE application = {{application:String}} AND field = {{field:String}} AND {IN_WINDOW} "
            "AND encoder_revision = {revision:String} ORDER BY cityHash64(id), id LIMIT {rows:UInt32}",
            {
                "application": application,
                "field": field,
                "start": window.start,
                "end": window.end,
                "revision": self._revision,
                "rows": self._settings.window_rows,
            },
        )
        vectors = vectors_of(sample) if sample.num_rows else np.empty((0, reference.vectors.shape[1]), np.float32)
        drift = self._test.compare(reference, vectors)
        detail = {"reference": f"{reference.name} v{reference.version}", "n_reference": drift.n_reference}
        if drift.abstained:
            detail["abstained"] = drift.abstained
        else:
            newest = np.argsort(-drift.witness, kind="stable")[:EXAMPLES]
            ids = sample["id"].to_pylist()
            detail |= {"statistic": drift.statistic, "examples": [ids[row] for row in newest]}
        return [
            WindowMetric(window, series, name, value, drift.n_window, total, detail=detail)
            for name, value in zip(names, (drift.p_value, drift.effect), strict=True)
        ]
