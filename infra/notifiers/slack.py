"""Slack incoming webhooks. They give no way to find or change a message: no threads, no updates, no dedup.

References:
    Slack, "Sending messages using incoming webhooks".
"""

from __future__ import annotations

from typing import Any

import orjson

from inferwatch.infra.notifiers.http import Sender
from inferwatch.infra.notifiers.slack_message import message
from inferwatch.schemas.alerts import Notification
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.receivers import SlackReceiver


class Slack:
    """Posts one message per notification. Posts are not idempotent; the message carries the alert id."""

    def __init__(self, settings: SlackReceiver, clock: Clock, **options: Any) -> None:
        self.name = settings.name
        allow = settings.allow_networks
        self._sender = Sender(settings.name, settings.webhook_url, clock, allow=allow, **options)

    async def notify(self, note: Notification) -> None:
        """Post ``note``. Slack has accepted it when it answers 200 with the body ``ok``.

        Raises:
            DeliveryError: it did not; 429 carries how long to wait.
        """
        answer = await self._sender.post(orjson.dumps(message(note)))
        if answer.body.strip() != "ok":
            raise self._sender.failed(f"answered {answer.status}, but not ok: {answer.body[:100]}", retryable=False)

    async def close(self) -> None:
        await self._sender.close()
