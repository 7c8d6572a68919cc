"""A generic webhook: the notification as JSON, signed, with a key that makes a repetition recognisable."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import orjson

from inferwatch.infra.notifiers.http import Sender
from inferwatch.infra.notifiers.payload import as_json
from inferwatch.schemas import body_template
from inferwatch.schemas.alerts import Notification
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.receivers import WebhookReceiver


class Webhook:
    """Posts ``{"version": 1, "notification": …}``, or the body that the settings have, filled in.

    Headers: ``Idempotency-Key`` is the notification's id, the same on every attempt. With a secret also
    ``X-Inferwatch-Timestamp`` (Unix seconds) and ``X-Inferwatch-Signature: sha256=<hex>``, the HMAC-SHA256 (RFC 2104)
    of ``<timestamp>.<body>``; a receiver refuses old timestamps, so that a recorded request cannot be played again.
    """

    def __init__(self, settings: WebhookReceiver, clock: Clock, **options: Any) -> None:
        self.name = settings.name
        self._secret = settings.secret
        self._body = settings.body
        self._clock = clock
        self._sender = Sender(
            settings.name,
            settings.url,
            clock,
            authorization=settings.authorization,
            secrets=[] if settings.secret is None else [settings.secret.get_secret_value()],
            allow=settings.allow_networks,
            **options,
        )

    async def notify(self, note: Notification) -> None:
        """Post ``note``; any 2xx accepts it.

        Raises:
            DeliveryError: it was not accepted.
        """
        values = as_json(note)
        own = {"version": 1, "notification": values}
        body = orjson.dumps(own if self._body is None else body_template.fill(self._body, values))
        headers = {"Idempotency-Key": note.id}
        if self._secret is not None:
            stamp = str(int(self._clock.now().timestamp()))
            headers["X-Inferwatch-Timestamp"] = stamp
            headers["X-Inferwatch-Signature"] = sign(self._secret.get_secret_value(), stamp, body)
        await self._sender.post(body, headers)

    async def close(self) -> None:
        await self._sender.close()


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Return the value of ``X-Inferwatch-Signature``."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
