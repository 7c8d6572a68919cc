"""``inferwatch schema``: the JSON Schema of the log format or of the configuration file."""

from __future__ import annotations

import json

import click

from inferwatch.schemas.inference import json_schema
from inferwatch.schemas.settings import Settings


@click.command()
@click.argument("what", type=click.Choice(["inference", "settings"]), default="inference")
def schema(what: str) -> None:
    """Print the JSON Schema of the inference log (default) or of the configuration file."""
    click.echo(rendered(what))


def rendered(what: str) -> str:
    """Return the JSON Schema (draft 2020-12) of ``inference`` or ``settings`` as indented text."""
    return json.dumps(json_schema() if what == "inference" else Settings.model_json_schema(), indent=2, sort_keys=True)
