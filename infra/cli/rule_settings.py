"""Which rules a command is about: those of the configured file, or of another that is not live yet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inferwatch.infra.cli.options import configuration

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings


def settings_with_rules(file: Path | None) -> Settings:
    """Return the settings with the rules of ``file``; None: those of the configured one.

    A file of nothing but rules is put over the configured one, where there is one. Files of secrets are not read: no
    rule needs them.

    Raises:
        Misconfigured: a line for each mistake.
    """
    from inferwatch.infra.configuration import check

    here = configuration()
    return check(file or here.file, here.environ, base=here.file if file else None, secrets=False)[0]
