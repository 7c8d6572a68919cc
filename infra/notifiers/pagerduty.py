"""PagerDuty Events API v2: trigger and resolve with a dedup key that stays the same over an episode.

References:
    PagerDuty, "Events API v2: send an alert event" and "PD-CEF: common event format"; PagerDuty/api-schema,
    reference/events-v2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson
from pydantic import SecretStr

from inferwatch.infra.notifiers.http import Sender
from inferwatch.infra.notifiers.payload import as_json, stamp
from inferwatch.schemas.alerts import Notification, State
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.receivers import PagerDutyReceiver
from inferwatch.schemas.rules import Severity
from inferwatch.streams.alerting.wording import cut

SUMMARY, DEDUP_KEY, EVENT_BYTES = 1024, 255, 512 * 1024
"""PagerDuty's limits: characters of the summary and the key, bytes of the whole event."""
LINK = 2000
"""Longer addresses are left out: half an address leads nowhere."""

Action = Literal["trigger", "acknowledge", "resolve"]


class PagerDuty:
    """Sends one event per notification. A repeated one is absorbed by its dedup key."""

    def __init__(self, settings: PagerDutyReceiver, clock: Clock, **options: Any) -> None:
        self.name = settings.name
        self._routing_key = settings.routing_key
        self._severities = settings.severities
        self._images = settings.images
        secrets = (settings.routing_key.get_secret_value(),)
        allow = settings.allow_networks
        self._sender = Sender(settings.name, SecretStr(settings.url), clock, secrets=secrets, allow=allow, **options)

    async def notify(self, note: Notification) -> None:
        """Send ``note`` as ``trigger`` or ``resolve``.

        Raises:
            DeliveryError: it was not accepted (400 never will be).
        """
        await self._send(note, "resolve" if note.status is State.RESOLVED else "trigger")

    async def acknowledge(self, note: Notification) -> None:
        """Tell PagerDuty that somebody works on the alert, so that it escalates no further.

        Raises:
            DeliveryError: it was not accepted.
        """
        await self._send(note, "acknowledge")

    async def close(self) -> None:
        await self._sender.close()

    async def _send(self, note: Notification, action: Action) -> None:
        key = self._routing_key.get_secret_value()
        found = event(note, key, action, severities=self._severities, images=self._images)
        await self._sender.post(orjson.dumps(found))


def event(
    note: Notification,
    routing_key: str,
    action: Action,
    *,
    severities: Mapping[Severity, Severity] | None = None,
    images: bool = False,
) -> dict[str, Any]:
    """Return the event, at most 512 KB of it.

    Args:
        note: what it tells.
        routing_key: of the integration.
        action: what PagerDuty does.
        severities: severity of a rule -> PagerDuty's; one that is not named stays.
        images: whether PagerDuty can fetch the picture.
    """
    where = cut(note.labels.get("application") or "inferwatch", SUMMARY)
    details = {name: value for name, value in as_json(note).items() if value not in ("", None, [], {})}
    found: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": note.dedup_key[:DEDUP_KEY],
        "payload": {
            "summary": cut(" ".join(f"{note.title}: {note.summary}".split()), SUMMARY),
            "source": where,
            "severity": (severities or {}).get(note.severity, note.severity).value,
            "timestamp": stamp(note.at),
            "component": cut(note.metric, SUMMARY),
            "group": where,
            "class": cut(note.metric.partition(".")[0], SUMMARY),
            "custom_details": details,
        },
        "client": "inferwatch",
    }
    pictured = 0 < len(note.picture) <= LINK
    if 0 < len(note.url) <= LINK:
        found["client_url"] = note.url
        found["links"] = [{"href": note.url, "text": "Open in inferwatch"}]
        if pictured:
            found["links"].append({"href": note.picture, "text": "Picture of the change"})
    # Without being told so, a link only: PagerDuty would fetch an image without the login that the picture is behind.
    if images and pictured and urlsplit(note.picture).scheme == "https":
        found["images"] = [{"src": note.picture, "href": note.url, "alt": "Picture of the change"}]
    _fit(found, details)
    return found


def _fit(found: dict[str, Any], details: dict[str, Any]) -> None:
    """Leave out of ``details``, which are in ``found``, what is largest until PagerDuty takes the event."""
    marked: list[str] = []
    while len(orjson.dumps(found)) > EVENT_BYTES:
        largest = max((name for name in details if name != "cut"), key=lambda name: len(orjson.dumps(details[name])))
        size = len(orjson.dumps(details.pop(largest)))
        marked.append(f"{largest} ({size:,} bytes)")
        details["cut"] = f"left out, for an event may have {EVENT_BYTES:,} bytes: {', '.join(marked)}"
