"""What commands share: which configuration file, the settings read from it when a command asks, and lengths of time."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

VARIABLE = "INFERWATCH_CONFIG"
DEFAULT = Path("inferwatch.yaml")


@dataclass
class Configuration:
    """The ``obj`` of the click context. ``path`` is the file named by ``-c`` or ``INFERWATCH_CONFIG``, if any."""

    path: Path | None = None
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def file(self) -> Path | None:
        """The file to read: the named one, else ./inferwatch.yaml where there is one, else none."""
        return self.path or (DEFAULT if DEFAULT.is_file() else None)

    @cached_property
    def settings(self) -> Settings:
        """The settings, read on first use, so that ``--help`` and ``--version`` need no valid file.

        Raises:
            Misconfigured: the file or a variable is wrong.
        """
        from inferwatch.infra.configuration import load

        return load(self.file, self.environ)


def configuration() -> Configuration:
    """Return the Configuration of the command that is running."""
    return click.get_current_context().ensure_object(Configuration)


def pass_settings(command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Hand the settings to a command as its first argument.

    Use it under ``@click.command()``::

        @click.command()
        @click.argument("query")
        @pass_settings
        def sql(settings: Settings, query: str) -> None: ...
    """

    @wraps(command)
    def with_settings(*args: P.args, **kwargs: P.kwargs) -> R:
        return command(configuration().settings, *args, **kwargs)

    return with_settings


class Length(click.ParamType):
    """A duration as rules write it, such as 30d or 1d12h; with ``positive``, over 0."""

    name = "duration"

    def __init__(self, *, positive: bool = False) -> None:
        self._positive = positive

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        from inferwatch.schemas.durations import parse_duration

        try:
            found = parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not isinstance(found, timedelta):
            self.fail(f"must be a duration such as 2h, got {value!r}", param, ctx)
        if self._positive and found <= timedelta(0):
            self.fail(f"must be over 0, got {value!r}", param, ctx)
        return found
