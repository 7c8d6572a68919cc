"""``inferwatch sql``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inferwatch.infra.cli.desk import select
from inferwatch.infra.cli.options import pass_settings

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings


@click.command()
@click.argument("query")
@click.option("--format", "fmt", default="PrettyCompact", show_default=True, help="Any ClickHouse output format.")
@pass_settings
def sql(settings: Settings, query: str, fmt: str) -> None:
    """Run one SELECT and print its result. QUERY - reads it from standard input.

    Opens the store itself where that is free, and asks the running service otherwise; reads only, either way.
    """
    if query == "-":
        query = click.get_text_stream("stdin").read()
    click.get_binary_stream("stdout").write(select(settings, query, fmt))
