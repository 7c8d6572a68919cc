"""``inferwatch migrate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inferwatch.infra.cli.options import pass_settings

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings


@click.command()
@pass_settings
def migrate(settings: Settings) -> None:
    """Create or update the tables, and apply changed retention. Safe to repeat."""
    from inferwatch.infra.clickhouse import migrate as migrations

    applied = migrations.migrate(settings.store)
    for step in applied:
        click.echo(f"applied {step}")
    if not applied:
        click.echo(f"database {settings.store.database} is up to date")
