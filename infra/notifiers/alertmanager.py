"""Prometheus Alertmanager, API v2: every alert by itself; grouping and silences are Alertmanager's then.

Alertmanager keeps alerts in memory and ends one that nobody repeats. So each alert carries an end that is far enough
away to outlive a restart of ours, and is sent again every minute, to outlive a restart of Alertmanager's.

References:
    prometheus/alertmanager, api/v2/openapi.yaml; Prometheus, "Sending alerts".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

import orjson
from pydantic import SecretStr

from inferwatch.infra.notifiers.http import Sender
from inferwatch.infra.notifiers.payload import LABEL, TEXT, stamp
from inferwatch.schemas.alerts import AlertLine, Notification, State
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.receivers import AlertmanagerReceiver
from inferwatch.streams.alerting.wording import cut, number

ALERTS = 500
"""Alerts in one request."""
_NO_LABEL = re.compile(r"[^a-zA-Z0-9_]")


class Alertmanager:
    """Posts the alerts of a notification. A repeated alert is absorbed: its labels are its identity."""

    def __init__(self, settings: AlertmanagerReceiver, clock: Clock, **options: Any) -> None:
        self.name = settings.name
        self._clock = clock
        self._expires_after = settings.expires_after
        self._sender = Sender(
            settings.name,
            SecretStr(settings.url.get_secret_value().rstrip("/")),
            clock,
            authorization=settings.authorization,
            allow=settings.allow_networks,
            plain=settings.plain_http,
            **options,
        )

    async def notify(self, note: Notification) -> None:
        """Post every alert of ``note``.

        Raises:
            DeliveryError: one was not accepted.
        """
        await self.repeat([note])

    async def repeat(self, notes: Iterable[Notification]) -> None:
        """Post what is firing still, in as few requests as it takes.

        Raises:
            DeliveryError: some of it was not accepted.
        """
        now = self._clock.now()
        found = [alert for note in notes for alert in alerts(note, now, self._expires_after)]
        for start in range(0, len(found), ALERTS):
            await self._sender.post(orjson.dumps(found[start : start + ALERTS]), path="/api/v2/alerts")

    async def close(self) -> None:
        await self._sender.close()


def alerts(note: Notification, now: datetime, expires_after: timedelta) -> Iterator[dict[str, Any]]:
    """Yield the alerts of ``note`` as Alertmanager takes them."""
    own = {
        "reference": note.reference,
        "sql": note.sql,
        "examples": "\n".join(note.examples),
        "findings": "\n".join(note.findings),
        "description": note.description,
    }
    if not note.alerts:
        yield _alert(note, {"summary": note.title, "details": note.summary} | own, now, expires_after)
    for line in note.alerts:
        # A group tells of its first alert in full.
        more = own if line.alert_id == note.alert_id else {"description": note.description}
        yield _alert(line, {"summary": line.title} | more, now, expires_after)


def _alert(
    alert: Notification | AlertLine, texts: Mapping[str, str], now: datetime, expires_after: timedelta
) -> dict[str, Any]:
    resolved = alert.status is State.RESOLVED
    value = number(alert.value, alert.metric) if isfinite(alert.value) else ""
    state = "" if resolved else alert.status.value
    annotations = {**texts, "value": value, "threshold": alert.threshold, "n": str(alert.n), "state": state}
    found: dict[str, Any] = {
        "labels": labels(alert),
        "annotations": {name: cut(text, TEXT) for name, text in annotations.items() if text},
        "startsAt": stamp(alert.since),
        # Over it is at once: an end that lies in our future would be an alert that is still there.
        "endsAt": stamp(max(min(alert.at, now), alert.since) if resolved else now + expires_after),
    }
    return found | ({"generatorURL": alert.url} if 0 < len(alert.url) <= TEXT else {})


def labels(alert: Notification | AlertLine) -> dict[str, str]:
    """Return the labels that name the alert in Alertmanager: the same from its first message to its last.

    ``inferwatch_alert`` keeps alerts apart whose other labels are equal.
    """
    found = {
        "alertname": alert.rule or alert.metric,
        "severity": alert.severity.value,
        "metric": alert.metric,
        "inferwatch_alert": alert.alert_id.partition("-")[0],
    }
    for name, text in alert.labels.items():
        safe = _NO_LABEL.sub("_", name)
        found[f"_{safe}" if safe[:1].isdigit() else safe] = cut(text, LABEL)
    return {name: text for name, text in found.items() if text}
