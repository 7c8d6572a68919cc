"""``inferwatch receivers``: who is told about alerts, and does it work?"""

from __future__ import annotations

import asyncio
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from inferwatch.infra.cli.options import pass_settings
from inferwatch.schemas.errors import DeliveryError, Misconfigured
from inferwatch.schemas.rules import Severity

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings


@click.group()
def receivers() -> None:
    """Try the receivers of alerts."""


@receivers.command()
@click.argument("name")
@click.option(
    "--severity",
    type=click.Choice([one.value for one in Severity]),
    default=Severity.INFO.value,
    show_default=True,
    help="Of the test alert: an urgent one pages.",
)
@click.option("--no-resolve", is_flag=True, help="Leave the test alert open, to look at it.")
@pass_settings
def test(settings: Settings, name: str, severity: str, no_resolve: bool) -> None:
    """Send a test alert to the receiver NAME, marked as a test, and then its end.

    Exit status 1 when the receiver does not take it; the message says why.
    """
    from inferwatch.infra.notifiers import build_one
    from inferwatch.infra.trial import send, trial
    from inferwatch.schemas.clock import SystemClock

    known = {receiver.name: receiver for receiver in settings.receivers}
    if name not in known:
        close = get_close_matches(name, known, 1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise Misconfigured(f"there is no receiver {name!r}{meant}; known: {', '.join(known) or 'none is declared'}")
    clock = SystemClock()
    notifier = build_one(known[name], clock)
    notes = trial(name, Severity(severity), settings.web.url, clock.now())[: 1 if no_resolve else 2]
    try:
        asyncio.run(send(notifier, notes))
    except DeliveryError as error:
        later = "it may take it later" if error.retryable else "it will not take it: correct the receiver's settings"
        raise click.ClickException(f"{error}; {later}") from error
    click.echo(f"{name}: {' and '.join(note.status.value for note in notes)} accepted")
