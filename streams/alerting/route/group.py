"""Groups: which alerts of one receiver are one message. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from inferwatch.schemas.routing import ALL_LABELS
from inferwatch.streams.alerting.route.alert import NOBODY, Alert
from inferwatch.streams.alerting.route.log import GroupKey, Log
from inferwatch.streams.alerting.route.tree import Node


@dataclass(slots=True)
class Group:
    """Alerts that one receiver is told of together, and the route that says how."""

    key: GroupKey
    route: Node
    alerts: list[Alert] = field(default_factory=list)


def groups(alerts: Sequence[Alert], root: Node, log: Log) -> list[Group]:
    """Put every alert into one group for each receiver that it goes to.

    An alert that a receiver has been told of stays in the group that told it until it is resolved, whatever becomes of
    routes and labels meanwhile: so it is not told again, and its end reaches those who know its beginning. Of two
    routes to one receiver the first counts.
    """
    told = log.active()
    found: dict[GroupKey, Group] = {}
    for alert in alerts:
        known = told.get(alert.alert_id, {})
        if NOBODY in known:
            places = {NOBODY: root}
        else:
            places = dict(_receivers(alert, root)) if alert.active else {}
            places |= {receiver: places.get(receiver, root) for receiver in known}
        for receiver, route in places.items():
            key = GroupKey(known.get(receiver) or _name(route, alert.labels), receiver)
            found.setdefault(key, Group(key, route)).alerts.append(alert)
    return list(found.values())


def _receivers(alert: Alert, root: Node) -> Iterator[tuple[str, Node]]:
    seen: set[str] = set()
    for route in root.match(alert.labels):
        for receiver in route.receivers or alert.receivers or (NOBODY,):
            if receiver not in seen and receiver != alert.about:
                seen.add(receiver)
                yield receiver, route
    if not seen:
        # The only one that the routes name is the one that it is about.
        others = [receiver for receiver in alert.receivers if receiver != alert.about]
        yield from ((receiver, root) for receiver in others or [NOBODY])


def _name(route: Node, labels: Mapping[str, str]) -> str:
    """Return ``{}/{severity="critical"}:{alertname="toxic", application="shop"}``."""
    by = sorted(labels) if ALL_LABELS in route.group_by else sorted(route.group_by)
    shown = ", ".join(f'{label}="{labels[label]}"' for label in by if label in labels)
    return f"{route.key}:{{{shown}}}"
