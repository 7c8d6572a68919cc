"""PagerDuty Events API v2: trigger and resolve with a dedup key that stays the same over an episode.

References:
    PagerDuty, "Events API v2: send an event" and "PD-CEF: common event format".
"""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import SecretStr

from inferwatch.infra.notifiers.http import Sender
from inferwatch.infra.notifiers.payload import as_json
from inferwatch.schemas.alerts import Notification, State
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.settings import PagerDutyReceiver
from inferwatch.streams.alerting.wording import cut

SUMMARY, DEDUP_KEY = 1024, 255
"""PagerDuty's limits in characters. Its 512 KB for the whole body is far above what ``as_json`` lets through."""


class PagerDuty:
    """Sends one event per notification. A repeated one is absorbed by its dedup key."""

    def __init__(self, settings: PagerDutyReceiver, clock: Clock, **options: Any) -> None:
        self.name = settings.name
        self._routing_key = settings.routing_key
        secrets = (settings.routing_key.get_secret_value(),)
        self._sender = Sender(settings.name, SecretStr(settings.url), clock, secrets=secrets, **options)

    async def notify(self, note: Notification) -> None:
        """Send ``note`` as ``trigger`` or ``resolve``.

        Raises:
            DeliveryError: it was not accepted (400 never will be).
        """
        await self._sender.post(orjson.dumps(event(note, self._routing_key.get_secret_value())))

    async def close(self) -> None:
        await self._sender.close()


def event(note: Notification, routing_key: str) -> dict[str, Any]:
    """Return the event; a resolve needs the key only."""
    found: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": "resolve" if note.status is State.RESOLVED else "trigger",
        "dedup_key": note.dedup_key[:DEDUP_KEY],
        "payload": {
            "summary": cut(f"{note.title}: {note.summary}", SUMMARY),
            "source": cut(note.labels.get("application") or "inferwatch", SUMMARY),
            "severity": note.severity.value,
            "timestamp": note.at.isoformat(timespec="milliseconds"),
            "component": note.metric,
            "group": cut(note.labels.get("application") or "inferwatch", SUMMARY),
            "class": note.metric.partition(".")[0],
            "custom_details": {name: value for name, value in as_json(note).items() if value not in ("", None, [], {})},
        },
        "client": "inferwatch",
    }
    if note.url:
        found["client_url"] = note.url
        found["links"] = [{"href": note.url, "text": "Open in inferwatch"}]
        # A link, not an image: PagerDuty would fetch an image without the login that the picture is behind.
        if note.picture:
            found["links"].append({"href": note.picture, "text": "Picture of the change"})
    return found
