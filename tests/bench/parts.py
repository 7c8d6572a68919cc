"""The parts of a benchmark: chosen by name, each in a process of its own, and the numbers of the line at the end."""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inferwatch.detectors.encoder.build import build_models
from inferwatch.detectors.encoder.built import models_folder
from tests.bench.machine import read

Read = Callable[[str], Mapping[str, Any]]
"""Name of a part -> its raw result."""


def options_of(doc: str | None, parts: Collection[str], folder: Path, *more: tuple[str, Path, str]) -> Any:
    """Return the options that were given: the ``parts`` to run, ``output``, ``quick``, and ``more`` paths.

    Args:
        doc: of the module, for the help.
        parts: those there are.
        folder: where results are committed; a quick run may not write there.
        more: (option, default, help).
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(parts)}; default: all")
    for name, default, told in more:
        parser.add_argument(name, type=Path, default=default, help=told)
    parser.add_argument("--output", type=Path, default=folder)
    parser.add_argument("--quick", action="store_true", help="see that everything runs; the numbers mean nothing")
    options = parser.parse_args()
    unknown = set(options.parts) - set(parts)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    if options.quick and options.output == folder:
        parser.error("--quick wants an --output of its own: its numbers mean nothing")
    options.parts = options.parts or list(parts)
    return options


def run(commands: Iterable[tuple[str, str, Sequence[str]]]) -> list[str]:
    """Run (part, module, arguments) one after the other; return the parts that failed.

    The models that a user of the fast backends builds first are built before.
    """
    # subprocess.run ends its child when an exception passes: no part outlives this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    build_models(models_folder(None), say=lambda words: print(words, flush=True))
    failed = []
    for part, module, arguments in commands:
        print(f"== {part}", flush=True)
        if subprocess.run([sys.executable, "-W", "ignore", "-m", module, *arguments], check=False).returncode:
            failed.append(part)
    return failed


def summary(numbers: Mapping[str, Callable[[Read], object]], folder: Path) -> dict[str, object]:
    """Return the line's numbers from the raw results; None for what was not measured."""
    found: dict[str, object] = {}
    for name, take in numbers.items():
        try:
            found[name] = take(lambda part: read(part, folder))
        except (KeyError, TypeError, statistics.StatisticsError):
            found[name] = None
    return found
