"""The records of a log file as raw bytes: JSON lines, plain or gzipped, or one JSON array."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO

import orjson

from inferwatch.schemas.errors import Misconfigured

STDIN = "-"


def values(name: str) -> Iterator[bytes]:
    """Yield every record of one file; a line that is no JSON is yielded as it is, a blank one is not.

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


def _records(lines: IO[bytes]) -> Iterator[bytes]:
    first = next((line for line in lines if line.strip()), b"")
    if not first.lstrip().startswith(b"["):
        yield from (line.strip() for line in chain([first], lines) if line.strip())
        return
    whole = first + lines.read()
    try:
        items = orjson.loads(whole)
    except orjson.JSONDecodeError:
        yield from (line.strip() for line in whole.splitlines() if line.strip())
        return
    yield from (orjson.dumps(item) for item in items)
