"""The records of a log file as raw bytes: JSON lines, plain or gzipped, or one JSON array."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO

import orjson

from inferwatch.schemas.errors import Misconfigured

STDIN = "-"


def values(name: str) -> Iterator[bytes]:
    """Yield every record of one file; see ``numbered``."""
    return (value for _, value in numbered(name))


def numbered(name: str) -> Iterator[tuple[int, bytes]]:
    """Yield every record of one file; a line that is no JSON is yielded as it is, a blank one is not.

    Before it comes where it is, from 1 on: its line, or in a JSON array its place.

    Args:
        name: a path, decompressed when it ends in ``.gz``, or ``-`` for standard input.

    Raises:
        Misconfigured: the file cannot be read, or is damaged; what came before the damage has been yielded.
    """
    try:
        if name == STDIN:
            yield from _records(sys.stdin.buffer)
        elif name.endswith(".gz"):
            with gzip.open(name) as file:
                yield from _records(io.BufferedReader(file))
        else:
            with Path(name).open("rb") as lines:
                yield from _records(lines)
    except (OSError, EOFError, zlib.error) as error:
        raise Misconfigured(f"cannot read {name}: {getattr(error, 'strerror', None) or error}") from error


def _records(lines: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    before, first = next(((place, line) for place, line in enumerate(lines) if line.strip()), (0, b""))
    if not first.lstrip().startswith(b"["):
        yield from _lines(chain([first], lines), before)
        return
    whole = first + lines.read()
    try:
        items = orjson.loads(whole)
    except orjson.JSONDecodeError:
        yield from _lines(whole.splitlines(), before)
        return
    yield from ((place, orjson.dumps(item)) for place, item in enumerate(items, 1))


def _lines(lines: Iterable[bytes], before: int) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that hold something; ``before`` came ahead of the first."""
    yield from ((place, line.strip()) for place, line in enumerate(lines, before + 1) if line.strip())
