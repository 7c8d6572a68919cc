"""``inferwatch dlq``: records that could not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inferwatch.infra.cli.options import pass_settings

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings

LETTERS = """\
SELECT concat(topic, '/', toString(partition), '/', toString(offset)) AS address, reason, detail,
    timestamp AS written, substring(value, 1, 60) AS begins
FROM dead_letters ORDER BY timestamp DESC, offset DESC LIMIT {limit:d}"""


@click.group()
def dlq() -> None:
    """List records that could not be read, and send them again."""


@dlq.command(name="list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="The newest so many.")
@click.option("--format", "fmt", default="PrettyCompact", show_default=True, help="Any ClickHouse output format.")
@click.pass_context
def list_letters(ctx: click.Context, limit: int, fmt: str) -> None:
    """Show dead letters, from the store or from the running service."""
    from inferwatch.infra.cli.sql import sql

    ctx.invoke(sql, query=LETTERS.format(limit=limit), fmt=fmt)


@dlq.command()
@click.argument("reason")
@pass_settings
def requeue(settings: Settings, reason: str) -> None:
    """Send the raw bytes of the dead letters of REASON to the source topic again, each once.

    For letters that became readable since: a clock or schema was mended, a limit raised. One that is still
    unreadable becomes a new dead letter.
    """
    from inferwatch.infra.cli.produce import reachable
    from inferwatch.infra.requeue import requeue as send_again

    sent, skipped = send_again(reachable(settings.kafka), reason)
    click.echo(f"{sent} records sent to {settings.kafka.topic} again, {skipped} letters passed over")
