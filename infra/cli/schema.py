"""``inferwatch schema``: the JSON Schemas of the wire formats and of the configuration file."""

from __future__ import annotations

import json

import click

from inferwatch.schemas.feedback import feedback_json_schema
from inferwatch.schemas.inference import json_schema
from inferwatch.schemas.settings import Settings


@click.command()
@click.argument("what", type=click.Choice(["inference", "feedback", "settings"]), default="inference")
@click.option("--markdown", is_flag=True, help="A page for people instead (settings only).")
def schema(what: str, markdown: bool) -> None:
    """Print the JSON Schema of the inference log (default), of feedback or of the configuration file."""
    if markdown and what != "settings":
        raise click.UsageError("--markdown goes with: inferwatch schema settings")
    if markdown:
        from inferwatch.infra.settings_page import render

        click.echo(render(), nl=False)
        return
    click.echo(rendered(what))


def rendered(what: str) -> str:
    """Return the JSON Schema (draft 2020-12) of ``inference``, ``feedback`` or ``settings`` as indented text."""
    schemas = {"inference": json_schema, "feedback": feedback_json_schema, "settings": Settings.model_json_schema}
    return json.dumps(schemas[what](), indent=2, sort_keys=True)
