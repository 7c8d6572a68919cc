"""How far a command has come, for whoever waits at a terminal; nothing where nobody does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferwatch.streams.alerting.looks import Look


def shown(looks: Iterable[Look], start: datetime, end: datetime) -> Iterator[Look]:
    """Yield ``looks`` of event time ``[start, end)``, with a bar."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("reading windows"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=(end - start).total_seconds())
        for look in looks:
            progress.update(task, completed=(look.window.end - start).total_seconds())
            yield look


def busy(doing: str) -> AbstractContextManager[object]:
    """Show that something is being done of which nobody knows how long it takes."""
    from rich.console import Console

    console = Console(stderr=True)
    return console.status(doing) if console.is_terminal else nullcontext()
