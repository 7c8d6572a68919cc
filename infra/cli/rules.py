"""``inferwatch rules``: check, test, back-test and suggest alert rules, before they are live."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inferwatch.infra.cli.options import configuration
from inferwatch.infra.cli.rules_backtest import backtest
from inferwatch.infra.cli.rules_suggest import suggest
from inferwatch.infra.cli.rules_test import test
from inferwatch.schemas.errors import InferwatchError, Misconfigured

if TYPE_CHECKING:
    from inferwatch.schemas.rules import Rule
    from inferwatch.schemas.settings import Settings


@click.group()
def rules() -> None:
    """Check, test and back-test alert rules, and suggest thresholds."""


rules.add_command(test)
rules.add_command(backtest)
rules.add_command(suggest)


@rules.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option(
    "--store/--no-store", default=True, help="Ask the store what its windows say of the rules.  [default: store]"
)
@click.option("--secrets/--no-secrets", default=True, help="Read the files that hold secrets.  [default: secrets]")
def check(file: Path | None, store: bool, secrets: bool) -> None:
    """Check the rules of FILE (default: the configured one) as the service would at its start.

    FILE is a whole configuration file, or holds nothing but rules; then the rest is the configured one's. Exit status 2
    when something is wrong, with a line for each mistake. Where there is a store, warns also of applications and
    segments that have never been seen, and of windows that are always too small for min_events.
    """
    from inferwatch.infra.configuration import check as check_configuration

    here = configuration()
    path = file or here.file
    if path is None:
        raise Misconfigured("no FILE given, and no configuration file found: name one, or use -c")
    settings, warnings = check_configuration(path, here.environ, base=here.file, secrets=secrets)
    for rule in settings.active_rules:
        click.echo(_line(rule, settings))
    for warning in [*warnings, *(_doubts(settings) if store else ())]:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{path}: {len(settings.active_rules)} rules, correct")


def _line(rule: Rule, settings: Settings) -> str:
    from inferwatch.streams.alerting.wording import condition

    scope = ", ".join(rule.applications) or "every application"
    by = f" by {rule.group_by[0]}" if rule.group_by else ""
    to = ", ".join(rule.receivers) or ", ".join(one.name for one in settings.receivers) or "nobody"
    return f"{rule.name}: {rule.metric} {condition(rule)}{by}, {scope}; {rule.severity} to {to}"


def _doubts(settings: Settings) -> Sequence[str]:
    """Return what the store says against the rules; nothing, or why, where there is none to ask."""
    from inferwatch.infra.cli.report import opened
    from inferwatch.infra.clickhouse.connection import folder_of
    from inferwatch.streams.alerting.plausible import doubts
    from inferwatch.streams.alerting.recorded import reach

    if settings.store.embedded and not folder_of(settings.store).exists():
        return ()
    try:
        with opened(settings) as store:
            there = reach(store)
            found = () if there is None else tuple(doubts(store, settings.rules, there[1]))
    except InferwatchError as error:
        return (f"the store was not asked about applications, segments and sizes of windows: {error!s:.120}",)
    return [f"rule {name}: {key}: {text}" for name, key, text in found]
