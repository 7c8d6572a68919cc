"""Inhibition: an alert that another one explains is not told of. Pure.

References:
    Alertmanager, "Configuration", section inhibit_rule, and its package ``inhibit``: alerts that match both sides of a
    rule do not inhibit each other, missing labels equal empty ones, silenced sources inhibit all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from inferwatch.schemas.matchers import all_hold
from inferwatch.schemas.routing import InhibitRule
from inferwatch.streams.alerting.route.alert import Alert


def inhibited(alerts: Sequence[Alert], rules: Iterable[InhibitRule]) -> frozenset[str]:
    """Return the ids of the alerts that an active alert inhibits. Costs one pass over ``alerts`` for each rule."""
    found: set[str] = set()
    for rule in rules:
        source, target = rule.source, rule.target
        two_sided: set[tuple[str, ...]] = set()
        one_sided: set[tuple[str, ...]] = set()
        targets: list[tuple[Alert, bool]] = []
        for alert in alerts:
            is_source, is_target = all_hold(source, alert.labels), all_hold(target, alert.labels)
            if is_source and alert.active:
                (two_sided if is_target else one_sided).add(_equal(alert, rule))
            if is_target:
                targets.append((alert, is_source))
        for alert, is_source in targets:
            place = _equal(alert, rule)
            if place in one_sided or (place in two_sided and not is_source):
                found.add(alert.alert_id)
    return frozenset(found)


def _equal(alert: Alert, rule: InhibitRule) -> tuple[str, ...]:
    return tuple(alert.labels.get(label, "") for label in rule.equal)
