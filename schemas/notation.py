"""Promtool's notation for the values of a series: ``0+0.01x5 _x2 0.3``. Pure."""

from __future__ import annotations

import re
from math import nan

FAULT = "error"
"""Stands for a window of which the number could not be computed, for a fault of the service."""
MOST = 1_000_000
"""Values that one text may stand for."""

Value = float | str | None
"""A number (NaN: none could be computed from the rows), ``FAULT``, or None where the window has none of the series."""

_WORDS: dict[str, Value] = {"_": None, "NaN": nan, FAULT: FAULT}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_ITEM = re.compile(rf"({_NUMBER})(?:([-+](?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)?x(\d+))?")
_WORD = re.compile(r"(_|NaN|error)(?:x(\d+))?")


def expand(text: str) -> list[Value]:
    """Return the values that ``text`` stands for.

    ``a+bxn`` and ``a-bxn`` are n + 1 values from ``a`` on in steps of ``b``, ``axn`` is ``a`` n + 1 times, ``_`` and
    ``_xn`` are one and n windows without the series. Beyond promtool, ``NaN`` is a window whose number does not exist
    and ``error`` one whose number failed; they repeat as ``_`` does.

    Raises:
        ValueError: a part is none of these, or they are more than a million.

    >>> expand("0+2x2 _ 5x1")
    [0.0, 2.0, 4.0, None, 5.0, 5.0]
    """
    found: list[Value] = []
    for part in text.split():
        word, item = _WORD.fullmatch(part), _ITEM.fullmatch(part)
        if word is not None:
            more: list[Value] = [_WORDS[word[1]]] * _count(word[2] or "1")
        elif item is not None:
            first, step = float(item[1]), float(item[2] or 0)
            more = [first + step * place for place in range(_count(item[3] or "0") + 1)]
        else:
            raise ValueError(f"must be values of windows such as '0+0.01x5 _x2 0.3', got {part!r}")
        found += more
        if len(found) > MOST:
            raise ValueError(f"must be at most {MOST} values")
    return found


def _count(text: str) -> int:
    if len(text) > 7 or int(text) > MOST:
        raise ValueError(f"must be at most {MOST} values, got x{text}")
    return int(text)
