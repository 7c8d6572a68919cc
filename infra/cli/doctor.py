"""``inferwatch doctor``."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from inferwatch.infra.cli.options import configuration
from inferwatch.schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferwatch.infra.checkup import Finding

COLOURS = {"OK": "green", "WARN": "yellow", "FAIL": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of lines.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check configuration, broker, topics, store, models, receivers and disk; say what to do.

    Receivers are only connected to: nobody is notified. Exit status 1 when something fails.
    """
    # What goes wrong is said in the findings; kafka-python would tell each attempt besides.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    found = []
    for finding in _findings():
        found.append(finding)
        if not as_json:
            click.echo(
                f"{click.style(f'{finding.level:4}', fg=COLOURS[finding.level])}  {finding.what}: {finding.text}"
            )
            if finding.remedy:
                click.echo(f"      -> {finding.remedy}")
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2))
    ctx.exit(1 if any(one.level == "FAIL" for one in found) else 0)


def _findings() -> Iterator[Finding]:
    from inferwatch.infra.checkup import Finding, Level, checkup
    from inferwatch.schemas.clock import SystemClock

    here = configuration()
    try:
        settings = here.settings
    except Misconfigured as error:
        for line in str(error).splitlines():
            yield Finding(Level.FAIL, "configuration", line, "correct it; the other checks wait for it")
        return
    yield Finding(Level.OK, "configuration", str(here.file or "no file: defaults and environment"))
    yield from checkup(settings, SystemClock())
