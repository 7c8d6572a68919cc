"""``inferwatch report``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import click

from inferwatch.infra.cli.options import pass_settings
from inferwatch.infra.cli.reference import Instant
from inferwatch.schemas.drift_fields import FIELDS
from inferwatch.schemas.errors import Misconfigured

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings
    from inferwatch.streams.ports import Store
    from inferwatch.streams.references.stored import ReferenceInfo

LAST = "last"


@click.command()
@click.option("--application", required=True)
@click.option("--window", default=None, help="Start of a closed window (RFC 3339), or 'last'. Default: last.")
@click.option("--from", "start", default=None, type=Instant(), help="Start of any period, instead of --window.")
@click.option("--to", "end", default=None, type=Instant(), help="End of that period, exclusive.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    type=click.Choice(FIELDS),
    help="Whose vectors are compared; may be repeated. Default: drift.fields.",
)
@click.option(
    "-o", "--output", "path", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The HTML file."
)
@pass_settings
def report(
    settings: Settings,
    application: str,
    window: str | None,
    start: datetime | None,
    end: datetime | None,
    fields: tuple[str, ...],
    path: Path,
) -> None:
    """Write a report of a window against the drift reference, to be read in a browser.

    Reads through the running service where that holds the embedded store. Needs the extra: inferwatch[report].
    """
    try:
        from inferwatch.infra.evidently import frames
        from inferwatch.infra.evidently.report import write
    except ImportError as error:
        raise Misconfigured(f"a report needs more libraries ({error}): pip install 'inferwatch[report]'") from error
    from inferwatch.infra.catalogue import enabled_scores
    from inferwatch.schemas.columns import resolve

    drift = settings.drift
    columns = resolve(drift.columns, sorted(enabled_scores(settings.detectors)))
    with opened(settings) as store:
        first, until = _period(store, application, window, start, end)
        compared = fields or drift.fields
        baseline = _baseline(store, application, compared)
        now = frames.Rows(application, first, until, drift.window_rows, settings.windows.size)
        then = frames.Rows(
            application, baseline.period_start, baseline.period_end, drift.reference_rows, settings.windows.size
        )
        sides = [frames.read(store, rows, columns, compared, baseline.encoder_revision) for rows in (now, then)]
    about = (
        f"{application}, {first:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC ({len(sides[0]):,} rows) against "
        f"{baseline.name} v{baseline.version} ({len(sides[1]):,} rows)"
    )
    drifted = write(*sides, columns=columns, fields=compared, min_rows=drift.min_rows, about=about, path=path)
    click.echo(f"{path}: {about}")
    click.echo("\n".join(drifted) if drifted else "nothing has drifted")


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """Open the store, or the running service's SQL endpoint, which speaks the same language."""
    from pydantic import SecretStr

    from inferwatch.infra.clickhouse.store import open_store

    try:
        store = open_store(settings.store)
    except Misconfigured:
        if not settings.store.embedded:
            raise
        web, where = settings.web, urlsplit(settings.web.url)
        login = f"{quote(web.user, safe='')}:{quote(web.password.get_secret_value(), safe='')}"
        scheme = "clickhouses" if where.scheme == "https" else "clickhouse"
        dsn = SecretStr(f"{scheme}://{login}@{where.netloc}")
        store = open_store(settings.store.model_copy(update={"dsn": dsn}), reading=True)
    with store:
        yield store


def _period(
    store: Store, application: str, window: str | None, start: datetime | None, end: datetime | None
) -> tuple[datetime, datetime]:
    if start is not None or end is not None:
        if window is not None or start is None or end is None or end <= start:
            raise Misconfigured("give --window, or both --from and --to, of which --to is the later")
        return start, end
    wanted = None if window in (None, LAST) else Instant().convert(window, None, None)
    found = store.query(
        "SELECT DISTINCT window_start, window_end FROM window_metrics WHERE application = {application:String} "
        "AND metric = 'inferences' ORDER BY window_start DESC",
        {"application": application},
    ).to_pylist()
    if not found:
        known = store.query("SELECT DISTINCT toString(application) AS name FROM window_metrics ORDER BY name")
        there = ", ".join(row["name"] for row in known.to_pylist()) or "none"
        raise Misconfigured(f"application {application!r} has no closed window; those that have: {there}")
    for row in found:
        if wanted in (None, row["window_start"]):
            return row["window_start"], row["window_end"]
    newest = ", ".join(row["window_start"].isoformat() for row in found[:3])
    raise Misconfigured(f"no window of {application!r} starts at {window}; the newest start at {newest}")


def _baseline(store: Store, application: str, fields: tuple[str, ...]) -> ReferenceInfo:
    from inferwatch.schemas.clock import SystemClock
    from inferwatch.streams.references import References

    known = [
        info for info in References(store, SystemClock()).list() if info.active and info.application == application
    ]
    for field in fields:
        for info in known:
            if info.field == field:
                return info
    raise Misconfigured(
        f"application {application!r} has no drift reference of {' or '.join(fields) or 'any field'}; make one with: "
        "inferwatch reference build --promote"
    )
