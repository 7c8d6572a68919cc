"""``inferwatch up``: the whole service in one process."""

from __future__ import annotations

import asyncio

import click

from inferwatch.infra.cli.options import configuration, pass_settings
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.settings import Settings


@click.command()
@pass_settings
def up(settings: Settings) -> None:
    """Run worker, window closer, alerts, dashboard and SQL endpoint in one process, and a broker if none is set."""
    from inferwatch.infra.reload import RulesFile
    from inferwatch.infra.worker import run_up

    here = configuration()
    rules = RulesFile(here.file, here.environ, settings, SystemClock())

    def ready(address: str) -> None:
        click.echo(f"dashboard {address}/ui   SQL {address}/?query=SELECT+1   stop with Ctrl-C", err=True)

    asyncio.run(run_up(settings, ready=ready, rules=rules))
