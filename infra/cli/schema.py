"""``inferwatch schema``: the JSON Schema of the log format or of the configuration file."""

from __future__ import annotations

import json

import click

from inferwatch.schemas.inference import json_schema
from inferwatch.schemas.settings import Settings


@click.command()
@click.argument("what", type=click.Choice(["inference", "settings"]), default="inference")
@click.option("--markdown", is_flag=True, help="A page for people instead (settings only).")
def schema(what: str, markdown: bool) -> None:
    """Print the JSON Schema of the inference log (default) or of the configuration file."""
    if markdown and what != "settings":
        raise click.UsageError("--markdown goes with: inferwatch schema settings")
    if markdown:
        from inferwatch.infra.settings_page import render

        click.echo(render(), nl=False)
        return
    click.echo(rendered(what))


def rendered(what: str) -> str:
    """Return the JSON Schema (draft 2020-12) of ``inference`` or ``settings`` as indented text."""
    return json.dumps(json_schema() if what == "inference" else Settings.model_json_schema(), indent=2, sort_keys=True)
