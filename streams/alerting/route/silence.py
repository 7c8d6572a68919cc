"""Silences: what people have said that they do not want to hear of for a while. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from inferwatch.schemas.matchers import Matcher, all_hold
from inferwatch.streams.alerting.route.alert import Alert


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that satisfy all ``matchers`` are not told of in ``[starts_at, ends_at)``, by the wall clock."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    author: str
    comment: str
    created_at: datetime

    def state(self, at: datetime) -> str:
        """Return ``pending``, ``active`` or ``expired``."""
        if at < self.starts_at:
            return "pending"
        return "active" if at < self.ends_at else "expired"

    def covers(self, labels: Mapping[str, str], at: datetime) -> bool:
        """Return whether it silences an alert of these labels at ``at``."""
        return self.state(at) == "active" and all_hold(self.matchers, labels)


def silenced(alerts: Iterable[Alert], silences: Iterable[Silence], now: datetime) -> frozenset[str]:
    """Return the ids of the alerts that a silence covers."""
    active = [one for one in silences if one.state(now) == "active"]
    return frozenset(alert.alert_id for alert in alerts if any(all_hold(one.matchers, alert.labels) for one in active))
