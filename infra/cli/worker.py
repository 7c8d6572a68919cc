"""``inferwatch worker``: score records from Kafka."""

from __future__ import annotations

import asyncio

import click

from inferwatch.infra.cli.options import configuration, pass_settings
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import Settings


@click.command()
@pass_settings
def worker(settings: Settings) -> None:
    """Score records from Kafka until SIGTERM, then finish the batch in hand and leave the group.

    Start as many as the topic has partitions; with the embedded store only one can run, see `inferwatch up`.
    """
    from inferwatch.infra.reload import RulesFile
    from inferwatch.infra.worker import run_worker

    if settings.kafka.bootstrap_servers is None:
        raise Misconfigured(
            "kafka.bootstrap_servers is not set: name a broker there or in INFERWATCH_KAFKA, "
            "or run `inferwatch up`, which starts one"
        )

    here = configuration()
    rules = RulesFile(here.file, here.environ, settings, SystemClock())

    def ready(address: str) -> None:
        where = f"; health and metrics: {address}/metrics" if address else ""
        click.echo(f"taking records, stop with Ctrl-C{where}", err=True)

    asyncio.run(run_worker(settings, ready=ready, rules=rules))
