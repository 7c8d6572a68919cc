"""``inferwatch rules``: check, test, back-test and suggest alert rules, before they are live."""

from __future__ import annotations

from pathlib import Path

import click

from inferwatch.infra.cli.options import configuration
from inferwatch.infra.cli.rules_backtest import backtest
from inferwatch.infra.cli.rules_suggest import suggest
from inferwatch.infra.cli.rules_test import test
from inferwatch.infra.configuration import check as check_configuration
from inferwatch.schemas.errors import Misconfigured


@click.group()
def rules() -> None:
    """Check, test and back-test alert rules."""


rules.add_command(test)
rules.add_command(backtest)
rules.add_command(suggest)


@rules.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
def check(file: Path | None) -> None:
    """Check the rules of FILE (default: the configured one) as the service would at its start.

    FILE is a whole configuration file. Exit status 2 when something is wrong, with a line for each mistake.
    """
    here = configuration()
    path = file or here.file
    if path is None:
        raise Misconfigured("no FILE given, and no configuration file found: name one, or use -c")
    settings, warnings = check_configuration(path, here.environ)
    for rule in settings.active_rules:
        scope = ", ".join(rule.applications) or "every application"
        by = f" by {rule.group_by[0]}" if rule.group_by else ""
        to = ", ".join(rule.receivers) or ", ".join(one.name for one in settings.receivers) or "nobody"
        allowed = f" (false alarms: {rule.false_alarms})" if rule.false_alarms else ""
        click.echo(
            f"{rule.name}: {rule.metric} {rule.when}{allowed} for {rule.hold}{by}, {scope}; {rule.severity} to {to}"
        )
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{path}: {len(settings.active_rules)} rules, correct")
