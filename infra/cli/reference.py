"""``inferwatch reference``: the baselines that drift is measured against."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import click

from inferwatch.infra.cli.desk import ask_json, open_or_none
from inferwatch.infra.cli.options import pass_settings

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings
    from inferwatch.streams.references import References

FIELDS = click.Choice(["input", "output"])


class Instant(click.ParamType):
    """RFC 3339; without a zone it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"must be a time such as 2026-01-31T08:00:00Z, got {value!r}", param, ctx)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


@click.group()
def reference() -> None:
    """Build, list and promote drift baselines.

    Goes through the running service where that holds the embedded store.
    """


@reference.command()
@click.option("--application", required=True)
@click.option("--field", required=True, type=FIELDS)
@click.option("--from", "start", required=True, type=Instant(), help="Start of the period, inclusive (RFC 3339).")
@click.option("--to", "end", required=True, type=Instant(), help="End of the period, exclusive.")
@click.option("--name", default="baseline", show_default=True)
@click.option("--rows", default=None, type=click.IntRange(50), help="Vectors kept. Default: drift.reference_rows.")
@click.option("--promote", is_flag=True, help="Compare windows with it from now on.")
@pass_settings
def build(
    settings: Settings,
    application: str,
    field: str,
    start: datetime,
    end: datetime,
    name: str,
    rows: int | None,
    promote: bool,
) -> None:
    """Freeze a sample of a period's vectors as a new version of a baseline."""
    with _desk(settings) as desk:
        made = desk.build(application, field, start, end, name, rows or settings.drift.reference_rows)
        click.echo(f"{made['name']} v{made['version']} of {application}, {field}: {made['rows']} vectors")
        if promote:
            desk.promote(application, field, name, made["version"])
            click.echo("promoted")
        else:
            click.echo(
                f"not in use yet: inferwatch reference promote --application '{application}' --field {field} "
                f"--name '{name}' --version {made['version']}"
            )


@reference.command("list")
@pass_settings
def list_(settings: Settings) -> None:
    """List every version; * marks what windows are compared with."""
    with _desk(settings) as desk:
        rows = desk.list()
    if not rows:
        click.echo("there are none")
    for row in rows:
        mark = "*" if row["active"] else " "
        click.echo(
            f"{mark} {row['application']} {row['field']} {row['name']} v{row['version']}: {row['rows']} vectors of "
            f"{str(row['period_start'])[:19]} to {str(row['period_end'])[:19]}, encoder {row['encoder_revision']}"
        )


@reference.command()
@click.option("--application", required=True)
@click.option("--field", required=True, type=FIELDS)
@click.option("--name", default="baseline", show_default=True)
@click.option("--version", required=True, type=int)
@pass_settings
def promote(settings: Settings, application: str, field: str, name: str, version: int) -> None:
    """Compare windows with this version from now on."""
    with _desk(settings) as desk:
        desk.promote(application, field, name, version)
    click.echo(f"{name} v{version} is now the baseline of {application}, {field}")


class Desk(Protocol):
    """References, here or at the service."""

    def build(
        self, application: str, field: str, start: datetime, end: datetime, name: str, rows: int
    ) -> dict[str, Any]: ...

    def list(self) -> list[dict[str, Any]]: ...

    def promote(self, application: str, field: str, name: str, version: int) -> None: ...


@contextmanager
def _desk(settings: Settings) -> Iterator[Desk]:
    from inferwatch.schemas.clock import SystemClock
    from inferwatch.streams.references import References

    with open_or_none(settings) as store:
        yield _Service(settings) if store is None else _Here(References(store, SystemClock()))


class _Here:
    """The store is ours to open."""

    def __init__(self, references: References) -> None:
        self._references = references

    def build(
        self, application: str, field: str, start: datetime, end: datetime, name: str, rows: int
    ) -> dict[str, Any]:
        made = self._references.build(application, field, start, end, name=name, rows=rows)
        return {"name": made.name, "version": made.version, "rows": len(made.ids)}

    def list(self) -> list[dict[str, Any]]:
        return [asdict(one) for one in self._references.list()]

    def promote(self, application: str, field: str, name: str, version: int) -> None:
        self._references.promote(application, field, name, version)


class _Service:
    """Another process holds the embedded store: it is the service, or nobody can answer."""

    def __init__(self, settings: Settings) -> None:
        self._web = settings.web

    def build(
        self, application: str, field: str, start: datetime, end: datetime, name: str, rows: int
    ) -> dict[str, Any]:
        body = {"application": application, "field": field, "name": name, "rows": rows}
        body |= {"start": start.isoformat(), "end": end.isoformat()}
        found: dict[str, Any] = ask_json(self._web, "POST", "/api/v1/references", body)
        return found

    def list(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ask_json(self._web, "GET", "/api/v1/references")
        return found

    def promote(self, application: str, field: str, name: str, version: int) -> None:
        body = {"application": application, "field": field, "name": name, "version": version}
        ask_json(self._web, "POST", "/api/v1/references/promote", body)
