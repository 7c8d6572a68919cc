"""Receivers of notifications, built from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferwatch.infra.notifiers.alertmanager import Alertmanager
from inferwatch.infra.notifiers.mail import Mail
from inferwatch.infra.notifiers.pagerduty import PagerDuty
from inferwatch.infra.notifiers.slack import Slack
from inferwatch.infra.notifiers.slack_app import SlackApp
from inferwatch.infra.notifiers.webhook import Webhook
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.receivers import (
    AlertmanagerReceiver,
    EmailReceiver,
    PagerDutyReceiver,
    Receiver,
    SlackAppReceiver,
    SlackReceiver,
    WebhookReceiver,
)
from inferwatch.schemas.settings import Settings

AnyNotifier = Slack | SlackApp | PagerDuty | Webhook | Alertmanager | Mail


def build(settings: Settings, clock: Clock) -> dict[str, AnyNotifier]:
    """Return a notifier for each configured receiver, by its name.

    Raises:
        Misconfigured: an address is neither https nor http to a loopback address, or must not be reached.
    """
    return {receiver.name: build_one(receiver, clock) for receiver in settings.receivers}


def build_one(receiver: Receiver, clock: Clock, **options: Any) -> AnyNotifier:
    """Return the notifier of one receiver; ``options`` go to what it sends with."""
    match receiver:
        case SlackReceiver():
            return Slack(receiver, clock, **options)
        case SlackAppReceiver():
            return SlackApp(receiver, clock, **options)
        case PagerDutyReceiver():
            return PagerDuty(receiver, clock, **options)
        case WebhookReceiver():
            return Webhook(receiver, clock, **options)
        case AlertmanagerReceiver():
            return Alertmanager(receiver, clock, **options)
        case EmailReceiver():
            return Mail(receiver, clock, **options)


async def close(notifiers: Mapping[str, AnyNotifier]) -> None:
    """Close every connection."""
    for notifier in notifiers.values():
        await notifier.close()
