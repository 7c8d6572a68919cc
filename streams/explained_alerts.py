"""From an alert, as a message names it, to the explanation of the window it fired on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from inferwatch.detectors.drift.reference import Reference
from inferwatch.schemas.drift_fields import FIELDS
from inferwatch.schemas.errors import NotFound
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.alerting.rules import series_of
from inferwatch.streams.drift_sample import drift_samples
from inferwatch.streams.explaining import Explained, Explainer
from inferwatch.streams.ports import Store
from inferwatch.streams.references import vectors_of
from inferwatch.streams.references.stored import read

LATEST = "latest"
_LISTED = 5
_DRIFT_OF_TEXTS = f"match(a.metric, '^drift\\\\.({'|'.join(FIELDS)})\\\\.')"


@dataclass(frozen=True, slots=True)
class Fired:
    """A drift alert and the window that made it fire."""

    alert_id: str
    rule: str
    metric: str
    series: SeriesKey
    window: Window
    firing: bool

    @property
    def field(self) -> str:
        return self.metric.split(".")[1]


def find(store: Store, named: str) -> Fired:
    """Return the drift alert that ``named`` means.

    Args:
        store: where alerts are.
        named: an alert id, a deduplication key, or a fingerprint (its latest episode); ``latest``: the one that fires,
            or the one that fired last where none does.

    Raises:
        NotFound: no drift alert is called so, or several fire at once; the message lists those there are.
    """
    wanted = named.removeprefix("inferwatch/")
    rows = store.query(
        "SELECT alert_id, any(a.rule) AS rule, any(a.metric) AS metric, any(a.labels) AS labels, "
        "argMax(a.detail, a.at) AS detail, max(a.at) AS fired, "
        "alert_id NOT IN (SELECT alert_id FROM alerts WHERE to_state = 'resolved') AS firing FROM alerts AS a "
        f"WHERE a.to_state = 'firing' AND {_DRIFT_OF_TEXTS} "
        "AND ({named:String} = '' OR a.alert_id = {named:String} OR a.fingerprint = {named:String}) "
        "GROUP BY alert_id ORDER BY firing DESC, fired DESC LIMIT 50",
        {"named": "" if wanted == LATEST else wanted},
    ).to_pylist()
    firing = [row for row in rows if row["firing"]]
    if not rows or (wanted == LATEST and len(firing) > 1):
        there = firing or _some(store)
        listed = ", ".join(f"{row['alert_id']} ({row['rule']})" for row in there[:_LISTED]) or "none"
        why = "several drift alerts fire" if firing else f"there is no drift alert {named!r}"
        raise NotFound(f"{why}; name one of: {listed}")
    return _fired(rows[0])


def explain(store: Store, settings: Settings, alert: Fired) -> Explained:
    """Explain the window ``alert`` fired on, from the rows that are in the store now.

    Raises:
        NotFound: the rows or the reference are there no more; the message says which.
    """
    scope = {"application": alert.series.application, "start": alert.window.start, "end": alert.window.end}
    reference = _reference(store, alert, scope)
    sample = drift_samples(
        store, alert.window, reference.application, (alert.field,), reference.encoder_revision,
        settings.drift.window_rows,
    )[alert.field]  # fmt: skip
    if sample.num_rows < 2:
        raise NotFound(
            f"alert {alert.alert_id}: the vectors of its window are not in the store; they are kept for "
            f"store.retention.embeddings_days ({settings.store.retention.embeddings_days})"
        )
    explainer = Explainer(store, settings.segments.dimensions, texts=settings.privacy.store_text)
    ids = list(map(str, sample["id"].to_pylist()))
    return explainer.explain(alert.window, alert.series.application, alert.field, reference, ids, vectors_of(sample))


def _fired(row: dict[str, Any]) -> Fired:
    labels = dict(row["labels"])
    start = datetime.fromisoformat(orjson.loads(row["detail"])["window_start"])
    return Fired(
        alert_id=row["alert_id"],
        rule=row["rule"],
        metric=row["metric"],
        series=series_of(labels),
        window=Window(start, row["fired"]),
        firing=bool(row["firing"]),
    )


def _some(store: Store) -> list[dict[str, Any]]:
    return store.query(
        "SELECT alert_id, any(a.rule) AS rule FROM alerts AS a WHERE a.to_state = 'firing' "
        f"AND {_DRIFT_OF_TEXTS} GROUP BY alert_id ORDER BY max(a.at) DESC LIMIT 5"
    ).to_pylist()


def _reference(store: Store, alert: Fired, scope: dict[str, Any]) -> Reference:
    """Return what the window was compared with, as its metric says."""
    said = store.query(
        "SELECT detail FROM window_metrics WHERE application = {application:String} AND metric = {metric:String} "
        "AND segment_dimension = {dimension:String} AND segment_value = {value:String} "
        "AND window_start = {start:DateTime64(3, 'UTC')} AND window_end = {end:DateTime64(3, 'UTC')}",
        scope | {"metric": alert.metric, "dimension": alert.series.dimension, "value": alert.series.value},
    ).to_pylist()
    named = str(orjson.loads(said[0]["detail"]).get("reference", "")) if said else ""
    name, _, version = named.rpartition(" v")
    if not name or not version.isdecimal():
        raise NotFound(f"alert {alert.alert_id}: its window's metric, and so its reference, is not in the store")
    # A seasonal reference is named with the part of the day or week that the window was compared with.
    for whole in dict.fromkeys((name, name.rpartition(" (")[0])):
        frozen = read(store, alert.series.application, alert.field, whole, int(version))
        if frozen is not None and (found := frozen.at(alert.window)).name == name:
            return found
    raise NotFound(f"alert {alert.alert_id}: reference {named} is not in the store")
