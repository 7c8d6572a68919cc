"""Embedding drift of a closed window: sample, reference, test, metrics."""

from __future__ import annotations

from datetime import datetime
from math import nan

import numpy as np

from inferwatch.detectors.drift.mmd import RandomFeatureMMD
from inferwatch.detectors.drift.reference import Reference, require_revision
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.settings import DriftSettings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.aggregate import IN_WINDOW
from inferwatch.streams.explaining import WORTH_EXPLAINING, Explainer
from inferwatch.streams.ports import Store
from inferwatch.streams.references import References, vectors_of

EXAMPLES = 5


class DriftWatch:
    """Compares each application's windows with its active reference, one field at a time.

    Works on a capped sample of the window, chosen by a hash of the inference id: the cost does not grow with
    traffic, and the same rows give the same sample.
    """

    def __init__(
        self,
        store: Store,
        references: References,
        settings: DriftSettings,
        encoder_revision: str,
        explainer: Explainer | None = None,
    ) -> None:
        self._explainer = explainer
        self._store = store
        self._references = references
        self._settings = settings
        self._revision = encoder_revision
        self._test = RandomFeatureMMD(permutations=settings.permutations, min_rows=settings.min_rows)

    def measure(self, window: Window, application: str, total: int, *, late: bool) -> list[WindowMetric]:
        """Return ``drift.<field>.p_value`` and ``.effect``; NaN with the reason in ``detail`` where there is none.

        With ``auto_reference``, a field that has no reference gets one from the windows before this one, once they
        hold enough; a ``late`` revision makes none.
        """
        freeze = self._settings.auto_reference and not late
        found = []
        for field in self._settings.fields:
            reference = self._references.active(application, field, self._revision)
            if reference is None and freeze:
                reference = self._freeze(application, field, window.start)
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
            if self._explainer is not None and drift.p_value < WORTH_EXPLAINING:
                named = [str(one) for one in ids]
                detail |= self._explainer.detail(window, application, field, reference, named, vectors)
        return [
            WindowMetric(window, series, name, value, drift.n_window, total, detail=detail)
            for name, value in zip(names, (drift.p_value, drift.effect), strict=True)
        ]

    def _freeze(self, application: str, field: str, until: datetime) -> Reference | None:
        """Freeze and promote what came before ``until``, if it is enough.

        Before the window that starts at ``until`` is measured, so that a window published again after a crash finds
        the reference it would have found without one.
        """
        found = self._store.query(
            "SELECT count() AS n, min(timestamp) AS first FROM embeddings WHERE application = {application:String} "
            "AND field = {field:String} AND encoder_revision = {revision:String} "
            "AND timestamp < {until:DateTime64(3, 'UTC')}",
            {"application": application, "field": field, "revision": self._revision, "until": until},
        ).to_pylist()[0]
        if found["n"] < self._settings.reference_rows:
            return None
        reference = self._references.build(
            application,
            field,
            found["first"],
            until,
            name="first-windows",
            rows=self._settings.reference_rows,
            once=True,
        )
        self._references.promote(application, field, reference.name, reference.version)
        return reference
