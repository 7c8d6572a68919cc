"""Whether a group has news, and a name for the answer. Pure.

References:
    Alertmanager, its package ``notify``, ``DedupStage.needsUpdate``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from inferwatch.schemas.alerts import State
from inferwatch.streams.alerting.route.alert import Alert
from inferwatch.streams.alerting.route.log import Told
from inferwatch.streams.alerting.route.tree import Node

UNKNOWN = (State.NO_DATA, State.ERROR)


class News(StrEnum):
    """Why a message is sent."""

    FIRST = "first alerts"
    MORE = "more alerts"
    CHANGED = "changed alerts"
    RESOLVED = "some resolved"
    ALL_RESOLVED = "all resolved"
    REPEAT = "repeat"


class Held(StrEnum):
    """Why none is sent, or an alert is not in it."""

    SILENCED = "silenced"
    INHIBITED = "inhibited"
    MUTED = "muted"
    WAITING = "waiting"
    TOLD = "told"
    ACKNOWLEDGED = "acknowledged"
    SHORT = "resolved before told"


def news(told: Told | None, open_alerts: Sequence[Alert], route: Node, now: datetime) -> News | Held:
    """Return why the group is to be told now, or why not.

    Args:
        told: its last message.
        open_alerts: of the group, those that nothing suppresses, and of the resolved ones those told as active.
        route: with its waits.
        now: by the wall clock, as ``told.written_at`` and ``Alert.known_at``.
    """
    known = {} if told is None else {one: state for one, state in told.alerts.items() if state is not State.RESOLVED}
    fresh = [alert for alert in open_alerts if alert.active and alert.alert_id not in known]
    # That data are back is no news: the alert is still the one that was told.
    changed = [one for one in open_alerts if one.state in UNKNOWN and known.get(one.alert_id, one.state) != one.state]
    gone = [alert for alert in open_alerts if not alert.active]
    if told is None or not known:
        if not fresh:
            return Held.TOLD
        due = min(alert.known_at for alert in fresh) + route.group_wait
        return News.FIRST if now >= due else Held.WAITING
    if fresh or changed or gone:
        if now < told.written_at + route.group_interval:
            return Held.WAITING
        if fresh or changed:
            return News.MORE if fresh else News.CHANGED
        return News.ALL_RESOLVED if len(gone) == len(known) else News.RESOLVED
    if route.repeat_interval is None or now < told.written_at + route.repeat_interval:
        return Held.TOLD
    if not any(alert.active and not alert.acknowledged for alert in open_alerts):
        return Held.ACKNOWLEDGED
    return News.REPEAT
