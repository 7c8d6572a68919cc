"""The ``inferwatch`` command. One file a sub-command, imported only when it is the one that runs."""

from __future__ import annotations

import logging
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import click

from inferwatch.infra.cli.options import VARIABLE, Configuration
from inferwatch.schemas.errors import InferwatchError, Misconfigured

COMMANDS = {
    "demo": ("inferwatch.infra.cli.demo", "See it work: a broker, a day of traffic, three incidents, their alerts."),
    "up": ("inferwatch.infra.cli.up", "Run everything in one process: worker, windows, alerts, dashboard, SQL."),
    "worker": ("inferwatch.infra.cli.worker", "Score records from Kafka; run as many as there are partitions."),
    "replay": ("inferwatch.infra.cli.replay", "Run log files through the same pipeline, without Kafka."),
    "produce": ("inferwatch.infra.cli.produce", "Send the records of log files to Kafka."),
    "score": ("inferwatch.infra.cli.score", "Score the records of a file, with the evidence, and store nothing."),
    "evaluate": ("inferwatch.infra.cli.evaluate", "Measure the scores on labelled records, and propose thresholds."),
    "migrate": ("inferwatch.infra.cli.migrate", "Create or update the tables."),
    "reference": ("inferwatch.infra.cli.reference", "Build, list and promote drift baselines."),
    "explain": ("inferwatch.infra.cli.explain", "Say what is new in a drifted window, with examples and a picture."),
    "report": ("inferwatch.infra.cli.report", "Write a report of a window against the drift reference."),
    "models": ("inferwatch.infra.cli.models", "Build the faster encoders, and list what is built."),
    "rules": ("inferwatch.infra.cli.rules", "Check, test, back-test and suggest alert rules."),
    "receivers": ("inferwatch.infra.cli.receivers", "Send a receiver of alerts a test, before it matters."),
    "silence": ("inferwatch.infra.cli.silence", "Hold back alerts for a while, list what is held back, end it."),
    "sql": ("inferwatch.infra.cli.sql", "Run one SELECT against the store."),
    "dlq": ("inferwatch.infra.cli.dlq", "List records that could not be read, and send them again."),
    "schema": ("inferwatch.infra.cli.schema", "Print the JSON Schema of the log format or of the configuration."),
    "doctor": ("inferwatch.infra.cli.doctor", "Check broker, store, models and receivers; say what to do."),
}
"""Command name -> (module that holds a click command of that name, what ``--help`` says)."""


class Failed(click.ClickException):
    """A deliberate error, told in one line without a traceback."""

    def __init__(self, error: InferwatchError) -> None:
        super().__init__(str(error))
        self.exit_code = 2 if isinstance(error, Misconfigured) else 1

    def show(self, file: Any = None) -> None:
        for line in self.message.splitlines():
            click.echo(f"inferwatch: {line}", err=file is None, file=file)


class LazyGroup(click.Group):
    """A group that imports a command's module when that command runs, so that ``--help`` imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        if not isinstance(found, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name][0]}.{cmd_name} must be a click command, got {type(found).__name__}")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InferwatchError as error:
            raise Failed(error) from error


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"inferwatch {metadata.version('inferwatch')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "-c",
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar=VARIABLE,
    help=f"Configuration file. Default: ${VARIABLE}, else ./inferwatch.yaml where there is one.",
)
@click.option("-v", "--verbose", count=True, help="Log more; twice for everything.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
@click.pass_context
def main(ctx: click.Context, config: Path | None, verbose: int) -> None:
    """Watch LLM applications in production: drift, toxicity and hallucination, from Kafka to alerts."""
    ctx.obj = ctx.obj or Configuration(config)
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
