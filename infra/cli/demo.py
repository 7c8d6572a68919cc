"""``inferwatch demo``: see it work on real parts."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from inferwatch.infra.cli.options import pass_settings
from inferwatch.schemas.errors import Misconfigured

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings


@click.command()
@click.option("--once", is_flag=True, help="Exit at the end, with one JSON line last on stdout; status 1 if it failed.")
@click.option(
    "--logs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Run on this log file (JSON lines, plain or .gz, or a JSON array) instead of the demo's own day.",
)
@click.option(
    "--map",
    "mapping",
    multiple=True,
    metavar="FIELD=PATH",
    help="Which of the file's fields is which: input=prompt.text, output=choices.0.text, model=meta.model; "
    "a constant in quotes: application=\"'helpdesk'\". Repeat for each field; the rest keep their names. "
    "id, timestamp and application are made up where missing.",
)
@click.option(
    "--swap",
    metavar="OLD:NEW",
    help="With --logs: the incident is that NEW answers instead of OLD. Default: the two most frequent models.",
)
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed is another day.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep configuration, store and log here; the folder must be empty or new.",
)
@pass_settings
def demo(
    settings: Settings,
    once: bool,
    logs: Path | None,
    mapping: tuple[str, ...],
    swap: str | None,
    seed: int,
    keep: Path | None,
) -> None:
    """Start a broker and the service, feed them a day of traffic with planted incidents, and show their alerts.

    The day is that of a support assistant, written for this project: about 5,600 inferences, three incidents. Slack
    and PagerDuty are played by a receiver on this machine. With a log file of your own:

      inferwatch demo --once --logs alpaca_eval.jsonl.gz --map input=instruction --map model=generator
    """
    if (mapping or swap) and logs is None:
        raise click.UsageError("--map and --swap need --logs")
    from rich.console import Console

    from inferwatch.infra.demo.logs import logs_scenario
    from inferwatch.infra.demo.mapping import parse_map
    from inferwatch.infra.demo.run import run
    from inferwatch.infra.demo.scenario import corpus_scenario
    from inferwatch.schemas.clock import SystemClock

    clock = SystemClock()
    now = clock.now()
    scenario = corpus_scenario(now, seed) if logs is None else logs_scenario(logs, parse_map(mapping), swap, now, seed)
    with ExitStack() as stack:
        folder = _folder(keep, stack)
        # Lines of a file or a pipe are not cut at the 80 columns of a terminal that is not there.
        console = Console(stderr=True, width=None if sys.stderr.isatty() else 140)
        result = asyncio.run(
            run(scenario, folder, settings.kafka, once=once, keep=keep is not None, console=console, clock=clock)
        )
    if once:
        click.echo(json.dumps(result.summary))
        sys.exit(0 if result.good else 1)


def _folder(keep: Path | None, stack: ExitStack) -> Path:
    if keep is None:
        return Path(stack.enter_context(TemporaryDirectory(prefix="inferwatch-demo-", ignore_cleanup_errors=True)))
    keep = keep.resolve()
    if keep.exists() and any(keep.iterdir()):
        raise Misconfigured(f"--keep {keep} must be an empty or a new folder; it holds files")
    keep.mkdir(parents=True, exist_ok=True)
    return keep
