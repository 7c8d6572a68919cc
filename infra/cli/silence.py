"""``inferwatch silence``: alerts that nobody wants to hear of for a while."""

from __future__ import annotations

import getpass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from inferwatch.infra.cli.options import Length, pass_settings
from inferwatch.infra.cli.reference import Instant
from inferwatch.infra.cli.silence_desk import Found, desk
from inferwatch.schemas.errors import Misconfigured

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings


@click.group()
def silence() -> None:
    """Hold back what alerts say, for a while.

    Goes through the running service where that holds the embedded store.
    """


@silence.command()
@click.argument("matchers", nargs=-1, required=True)
@click.option("--for", "length", type=Length(), help="How long, from its start on, such as 2h or 1d.")
@click.option("--until", type=Instant(), help="When it ends (RFC 3339), instead of --for.")
@click.option("--from", "start", type=Instant(), help="When it begins. Default: now.")
@click.option("--comment", required=True, help="Why; people read it with the alert.")
@click.option("--author", default=None, help="Default: the name of the user of this machine.")
@pass_settings
def add(
    settings: Settings,
    matchers: tuple[str, ...],
    length: timedelta | None,
    until: datetime | None,
    start: datetime | None,
    comment: str,
    author: str | None,
) -> None:
    """Silence the alerts that satisfy all MATCHERS, such as alertname=toxic 'tenant=~"a|b"'.

    Labels: alertname (the rule), severity, metric, state, application, and the dimension of the rule's group_by.
    """
    from inferwatch.schemas.clock import SystemClock

    if (length is None) == (until is None):
        raise Misconfigured("give either --for or --until")
    begin = start or SystemClock().now()
    wanted = {
        "matchers": list(matchers),
        "ends_at": until or begin + (length or timedelta(0)),
        "author": author or getpass.getuser(),
        "comment": comment,
        "starts_at": start,
    }
    with desk(settings) as there:
        click.echo(_line(there.add(**wanted)))


@silence.command("list")
@click.option("--all", "expired", is_flag=True, help="Also those that have ended.")
@pass_settings
def list_(settings: Settings, expired: bool) -> None:
    """List the silences that are active or yet to come."""
    with desk(settings) as there:
        found = there.list(expired)
    if not found:
        click.echo("there are none")
    for one in found:
        click.echo(_line(one))


@silence.command()
@click.argument("silence_id", metavar="ID")
@pass_settings
def expire(settings: Settings, silence_id: str) -> None:
    """End a silence now. It stays in the list of all."""
    with desk(settings) as there:
        click.echo(_line(there.expire(silence_id)))


def _line(one: Found) -> str:
    return (
        f"{one['id']} {one['state']}: {' '.join(one['matchers'])}, from {str(one['starts_at'])[:19]} until "
        f"{str(one['ends_at'])[:19]} UTC, {one['author']}: {one['comment']}"
    )
