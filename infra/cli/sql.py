"""``inferwatch sql``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

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
    click.get_binary_stream("stdout").write(_answer(settings, query, fmt))


def _answer(settings: Settings, query: str, fmt: str) -> bytes:
    from inferwatch.infra.clickhouse.reader import Reader
    from inferwatch.schemas.errors import Misconfigured

    reader = Reader(settings.store, settings.web)
    try:
        return reader.run(query, default_format=fmt).body
    except Misconfigured:
        if not settings.store.embedded:
            raise
        return _ask_service(settings, query, fmt)
    finally:
        reader.close()


def _ask_service(settings: Settings, query: str, fmt: str) -> bytes:
    """Another process holds the folder: it is the service, or nobody can answer."""
    from inferwatch.infra.web.client import ask
    from inferwatch.schemas.errors import Permanent

    seconds = settings.web.sql_max_seconds + 30
    headers = {"X-ClickHouse-Format": fmt}
    response = ask(settings.web, "POST", "", seconds=seconds, body=query.encode(), headers=headers)
    if response.status != 200:
        raise Permanent(response.data.decode(errors="replace").strip())
    return response.data
