"""Messages that try whether a receiver works: they say of themselves that nothing is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import nan

from inferwatch.infra.notifiers import AnyNotifier
from inferwatch.schemas.alerts import Notification, State
from inferwatch.schemas.rules import Severity

LASTED = timedelta(minutes=5)


def trial(receiver: str, severity: Severity, url: str, now: datetime) -> tuple[Notification, Notification]:
    """Return a test alert and its end.

    Args:
        receiver: the name of the receiver.
        severity: of the alert.
        url: where a click leads.
        now: makes the alert one of its own.
    """
    name = f"test-{receiver}-{now:%Y%m%dT%H%M%S}"
    firing = Notification(
        id=f"{name}-firing",
        alert_id=name,
        dedup_key=f"inferwatch/{name}",
        status=State.FIRING,
        severity=severity,
        title=f"TEST, nothing is wrong: receiver {receiver}",
        summary=f"Somebody tries with `inferwatch receivers test {receiver}` whether alerts arrive here. They do.",
        labels={"application": "inferwatch-test"},
        metric="test",
        value=1.0,
        threshold="> 0 (a test)",
        n=1,
        ci_low=nan,
        ci_high=nan,
        since=now - LASTED,
        at=now,
        examples=("“An example of an answer would stand here.”",),
        url=url,
        description="Nothing. The end of the test follows by itself.",
        rule="inferwatch-test",
    )
    over = "The test is over."
    return firing, replace(firing, id=f"{name}-resolved", status=State.RESOLVED, summary=over, description="")


async def send(notifier: AnyNotifier, notes: Sequence[Notification]) -> None:
    """Send ``notes`` in order.

    Raises:
        DeliveryError: one was not accepted.
    """
    try:
        for note in notes:
            await notifier.notify(note)
    finally:
        await notifier.close()
