"""``inferwatch reference``: the baselines that drift is measured against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inferwatch.infra.cli.options import pass_settings
from inferwatch.infra.cli.reference_desk import Desk, Found, desk
from inferwatch.schemas.drift_fields import FIELDS
from inferwatch.schemas.errors import Misconfigured

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings

SEASONS = click.Choice(["auto", "hour-of-day", "hour-of-week", "off"])
F = TypeVar("F", bound=Callable[..., Any])


class Instant(click.ParamType):
    """RFC 3339; without a zone it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"must be a time such as 2026-01-31T08:00:00Z, got {value!r}", param, ctx)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _of(command: F) -> F:
    command = click.option("--field", required=True, type=click.Choice(FIELDS))(command)
    return click.option("--application", required=True)(command)


def _since(command: F) -> F:
    text = "Event time from which it counts. Default: from the next window to be closed on."
    return click.option("--from", "since", type=Instant(), help=text)(command)


@click.group()
def reference() -> None:
    """Build, list and promote drift baselines.

    Goes through the running service where that holds the embedded store.
    """


@reference.command()
@_of
@click.option("--from", "start", type=Instant(), help="Start of the period, inclusive (RFC 3339).")
@click.option("--to", "end", type=Instant(), help="End of the period, exclusive.")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Inference logs, JSON lines or an array, plain or .gz, instead of a period; may be repeated.",
)
@click.option("--name", default="baseline", show_default=True)
@click.option(
    "--rows",
    type=click.IntRange(50),
    help="Vectors kept; of each slot, with seasons. Default: drift.reference_rows.",
)
@click.option(
    "--seasonal",
    type=SEASONS,
    default="off",
    show_default=True,
    help="A part for each of several hours of the day or week; auto: where the data ask for it.",
)
@click.option("--strict", is_flag=True, help="Refuse what is not homogeneous, or otherwise no good baseline.")
@click.option("--promote", is_flag=True, help="Compare windows with it, from the next one on.")
@pass_settings
def build(
    settings: Settings,
    application: str,
    field: str,
    start: datetime | None,
    end: datetime | None,
    files: tuple[Path, ...],
    name: str,
    rows: int | None,
    seasonal: str,
    strict: bool,
    promote: bool,
) -> None:
    """Freeze a sample of a period's vectors, or of log files, as a new version of a baseline."""
    if bool(files) == (start is not None or end is not None) or (start is None) != (end is None):
        raise Misconfigured("give either --from and --to, or --file")
    if files and seasonal != "off":
        raise Misconfigured("--seasonal needs a period of the store: use --from and --to, after a replay of the files")
    wanted = {"application": application, "field": field, "name": name, "strict": strict}
    most = rows or settings.drift.reference_rows
    with desk(settings) as there:
        if files:
            made = _build_of_files(settings, there, files, most, wanted)
        else:
            made = there.build(start=start, end=end, rows=most, seasonal=seasonal, **wanted)
        click.echo(_line(made))
        _warn(made)
        place = (application, field, name, made["version"])
        if promote:
            click.echo(f"promoted: counts for windows from {there.promote(*place, None)} on")
        else:
            click.echo(
                f"not in use yet: inferwatch reference promote --application '{application}' --field {field} "
                f"--name '{name}' --version {made['version']}"
            )


def _build_of_files(settings: Settings, there: Desk, files: Sequence[Path], rows: int, wanted: dict[str, Any]) -> Found:
    from itertools import chain

    from inferwatch.detectors.encoder.load import load_encoder
    from inferwatch.schemas.clock import SystemClock
    from inferwatch.streams.references.files import rows_of
    from inferwatch.streams.replay import read

    held = max(there.list(), key=lambda one: str(one["created_at"]), default=None)
    encoder = load_encoder(settings.encoder, prefer=held["encoder_revision"] if held else None)
    now = SystemClock().now()
    records = chain.from_iterable(read(path, now) for path in files)
    found = rows_of(records, settings, encoder, wanted["application"], wanted["field"], rows)
    click.echo(f"{found.records} records, {len(found.rows.ids)} taken", err=True)
    for reason, count in found.refused.most_common():
        click.echo(f"  not usable: {reason}: {count}", err=True)
    return there.take(found.rows, revision=encoder.revision, **wanted)


@reference.command("list")
@pass_settings
def list_(settings: Settings) -> None:
    """List every version; * marks what windows are compared with, ! what something speaks against."""
    with desk(settings) as there:
        rows = there.list()
    if not rows:
        click.echo("there are none")
    for row in rows:
        click.echo(f"{'*' if row['active'] else ' '}{'!' if row['findings'] else ' '} {_line(row)}")
        if row["active"]:
            click.echo(f"     counts for windows from {str(row['active_from'])[:19]} on")
        for finding in row["findings"]:
            click.echo(f"     {finding}")


@reference.command()
@_of
@click.option("--name", default="baseline", show_default=True)
@click.option("--version", required=True, type=int)
@pass_settings
def show(settings: Settings, application: str, field: str, name: str, version: int) -> None:
    """Print everything that is known of one version, as JSON."""
    import orjson

    with desk(settings) as there:
        found = there.show(application, field, name, version)
    click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode())


@reference.command()
@_of
@click.option("--name", default="baseline", show_default=True)
@click.option("--version", required=True, type=int)
@_since
@pass_settings
def promote(settings: Settings, application: str, field: str, name: str, version: int, since: datetime | None) -> None:
    """Compare windows with this version; windows that have been closed keep theirs."""
    with desk(settings) as there:
        at = there.promote(application, field, name, version, since)
    click.echo(f"{name} v{version} is the baseline of {application}, {field}, for windows from {at} on")


@reference.command()
@_of
@_since
@pass_settings
def retire(settings: Settings, application: str, field: str, since: datetime | None) -> None:
    """Compare windows with no baseline made before; with drift.auto_reference they make a new one."""
    with desk(settings) as there:
        at = there.retire(application, field, since)
    click.echo(f"{application}, {field} has no baseline for windows from {at} on")


def _line(row: Found) -> str:
    slots = f" in {row['slots']} seasonal slots" if row["slots"] > 1 else ""
    spread = f", dispersion {row['dispersion']:.2f}" if row["dispersion"] > 1 else ""
    return (
        f"{row['application']} {row['field']} {row['name']} v{row['version']}: {row['rows']} vectors{slots} of "
        f"{str(row['period_start'])[:19]} to {str(row['period_end'])[:19]}, {row['origin'] or 'period'}, encoder "
        f"{row['encoder_revision']}{spread}"
    )


def _warn(row: Found) -> None:
    for finding in row["findings"]:
        click.echo(f"warning: {finding}", err=True)
