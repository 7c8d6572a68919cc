"""Receivers of notifications, built from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferwatch.infra.notifiers.pagerduty import PagerDuty
from inferwatch.infra.notifiers.slack import Slack
from inferwatch.infra.notifiers.webhook import Webhook
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.settings import PagerDutyReceiver, Receiver, Settings, SlackReceiver

AnyNotifier = Slack | PagerDuty | Webhook


def build(settings: Settings, clock: Clock) -> dict[str, AnyNotifier]:
    """Return a notifier for each configured receiver, by its name.

    Raises:
        Misconfigured: an address is neither https nor http to a loopback address.
    """
    return {receiver.name: build_one(receiver, clock) for receiver in settings.receivers}


def build_one(receiver: Receiver, clock: Clock, **options: Any) -> AnyNotifier:
    """Return the notifier of one receiver; ``options`` go to its ``Sender``."""
    if isinstance(receiver, SlackReceiver):
        return Slack(receiver, clock, **options)
    if isinstance(receiver, PagerDutyReceiver):
        return PagerDuty(receiver, clock, **options)
    return Webhook(receiver, clock, **options)


async def close(notifiers: Mapping[str, AnyNotifier]) -> None:
    """Close every connection."""
    for notifier in notifiers.values():
        await notifier.close()
