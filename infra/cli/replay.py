"""``inferwatch replay``: log files through the pipeline that serves Kafka."""

from __future__ import annotations

import asyncio
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inferwatch.infra.cli.options import pass_settings

if TYPE_CHECKING:
    from inferwatch.infra.clickhouse.store import ClickHouseStore
    from inferwatch.schemas.settings import Settings
    from inferwatch.streams.replay import Replayed


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--feedback",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of feedback on the inferences of FILES or of the store; may be repeated.",
)
@pass_settings
def replay(settings: Settings, files: tuple[Path, ...], feedback: tuple[Path, ...]) -> None:
    """Score the records of FILES, store them, close their windows and evaluate the rules, without Kafka.

    FILES hold JSON lines or one JSON array each, plain or .gz. Replaying a file again changes no number. Alerts are
    recorded and shown, and nobody is notified of them.
    """
    asyncio.run(_run(settings, files, feedback))


async def _run(settings: Settings, files: tuple[Path, ...], feedback: tuple[Path, ...]) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from inferwatch.infra.assembly import assemble
    from inferwatch.schemas.clock import SystemClock
    from inferwatch.streams.intake import Intake
    from inferwatch.streams.replay import read, replay, topic_of

    clock = SystemClock()
    now = clock.now()
    total = sum(1 for path in files + feedback for _ in read(path, now))
    columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with assemble(_silent(settings), clock) as parts:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("scoring", total=total)
            done = await asyncio.to_thread(
                replay,
                chain.from_iterable(read(path, now) for path in files + feedback),
                Intake(parts.pipeline, parts.feedback, {topic_of(path) for path in feedback}),
                parts.closer,
                batch_records=settings.kafka.batch_records,
                on_batch=lambda so_far: progress.update(task, completed=so_far.records),
            )
        _report(done, parts.store)


def _silent(settings: Settings) -> Settings:
    """Return the settings without receivers: an old log must not page anybody, now or when a service starts."""
    rules = tuple(rule.model_copy(update={"receivers": ()}) for rule in settings.rules)
    return settings.model_copy(update={"rules": rules, "event_rules": (), "receivers": ()})


def _report(done: Replayed, store: ClickHouseStore) -> None:
    letters = sum(done.dead_letters.values())
    click.echo(f"records       {done.records}")
    click.echo(f"scored        {done.records - letters}")
    click.echo(f"dead letters  {letters}")
    for reason, count in done.dead_letters.most_common():
        click.echo(f"  {reason}: {count}")
    click.echo(f"windows       {len(done.windows)}")
    if not done.windows:
        return
    fired = store.query(
        "SELECT rule, labels, at, metric, value, threshold FROM alerts WHERE to_state = 'firing' "
        "AND at >= {start:DateTime64(3, 'UTC')} AND at <= {end:DateTime64(3, 'UTC')} ORDER BY at, rule",
        {
            "start": min(window.start for window in done.windows),
            "end": max(window.end for window in done.windows),
        },
    ).to_pylist()
    click.echo(f"alerts        {len(fired)}")
    for row in fired:
        labels = ", ".join(f"{name}={value}" for name, value in dict(row["labels"]).items())
        what = f"{row['metric']} = {row['value']:.4g} ({row['threshold']})"
        click.echo(f"  {row['at']:%Y-%m-%d %H:%M} {row['rule']} [{labels}] {what}")
