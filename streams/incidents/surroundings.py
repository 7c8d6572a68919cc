"""What else happened around an alert: new models and prompt versions, and other alerts of the application."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from inferwatch.streams.alerting.history import LATEST
from inferwatch.streams.incidents.episode import Episode
from inferwatch.streams.ports import Store

DEPLOYS_BEFORE = timedelta(hours=24)
NEAR = timedelta(hours=1)
"""Alerts that were over this long before are not shown beside it."""
MOST = 10


@dataclass(frozen=True, slots=True)
class Deploy:
    """A value that took over an application at ``at`` (event time); ``previous`` is empty where there was none."""

    dimension: str
    value: str
    previous: str
    at: datetime
    noted_at: datetime


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another alert of the same application at the same time."""

    alert_id: str
    rule: str
    metric: str
    labels: dict[str, str]
    severity: str
    state: str
    since: datetime
    changed: datetime


def deploys(store: Store, episode: Episode, until: datetime) -> list[Deploy]:
    """Return the deploys in the day before the alert and up to ``until``, oldest first; not an application's first."""
    rows = store.query(
        "SELECT dimension, value, previous, d.at AS at, noted_at FROM deploys AS d "
        "WHERE application = {application:String} AND previous != '' AND d.at > {start:DateTime64(3, 'UTC')} "
        "AND d.at <= {end:DateTime64(3, 'UTC')} ORDER BY d.at DESC LIMIT {most:UInt32}",
        {
            "application": episode.series.application,
            "start": episode.since - DEPLOYS_BEFORE,
            "end": until,
            "most": MOST,
        },
    ).to_pylist()
    return [Deploy(**row) for row in reversed(rows)]


def neighbours(store: Store, episode: Episode, until: datetime) -> list[Neighbour]:
    """Return the other alerts of the application that lasted at some time of this one, or ended just before."""
    rows = store.query(
        "SELECT alert_id, any(a.rule) AS rule, any(a.metric) AS metric, any(a.labels) AS labels, "
        f"argMax(a.severity, {LATEST}) AS severity, argMax(a.to_state, {LATEST}) AS state, min(a.since) AS since, "
        "max(a.at) AS changed FROM alerts AS a WHERE a.labels['application'] = {application:String} "
        "AND alert_id != {id:String} GROUP BY alert_id "
        "HAVING since <= {end:DateTime64(3, 'UTC')} AND state != 'inactive' "
        "AND (state != 'resolved' OR changed >= {start:DateTime64(3, 'UTC')}) "
        "ORDER BY since DESC, alert_id LIMIT {most:UInt32}",
        {
            "application": episode.series.application,
            "id": episode.alert_id,
            "start": episode.since - NEAR,
            "end": until,
            "most": MOST,
        },
    ).to_pylist()
    return [Neighbour(**row | {"labels": dict(row["labels"])}) for row in rows]
