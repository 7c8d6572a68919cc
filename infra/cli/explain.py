"""``inferwatch explain``: what a drift alert is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from inferwatch.infra.cli.desk import ask_bytes, open_or_none
from inferwatch.infra.cli.options import pass_settings

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings

FORMATS = (".svg", ".png", ".json")


@click.command()
@click.argument("alert", default="latest")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a picture (.svg, .png) or everything as JSON (.json) instead of printing text.",
)
@pass_settings
def explain(settings: Settings, alert: str, output: Path | None) -> None:
    """Say what is new in the window that ALERT fired on, how much of the traffic it is, where, and what is gone.

    ALERT is the id in the message, or its part before the dash. Without one: the drift alert that fires, or else the
    latest. Goes through the running service where that holds the embedded store.
    """
    if output is None:
        _print(_answer(settings, alert, ".json"))
        return
    if output.suffix not in FORMATS:
        raise click.UsageError(f"-o must end in {', '.join(FORMATS)}, got {output.name!r}")
    output.write_bytes(_answer(settings, alert, output.suffix))
    click.echo(f"wrote {output}", err=True)


def _answer(settings: Settings, alert: str, suffix: str) -> bytes:
    alert = alert.removeprefix("inferwatch/")
    with open_or_none(settings) as store:
        if store is not None:
            from inferwatch.infra.explanations import render

            return render(store, settings, alert, suffix.removeprefix("."))
    path = f"/api/v1/alerts/{quote(alert, safe='')}/explanation"
    return ask_bytes(settings.web, path if suffix == ".json" else path + suffix)


def _print(body: bytes) -> None:
    import orjson
    from rich.console import Console

    from inferwatch.infra.explanations import show

    show(Console(highlight=False), orjson.loads(body))
