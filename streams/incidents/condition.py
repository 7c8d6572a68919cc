"""The number in a rule's condition, as transitions keep it: for a line in a chart, and to say which way is bad."""

from __future__ import annotations

import re

_COMPARISON = re.compile(
    r"^\s*(?P<what>[a-z_]*)\s*(?P<operator><=|>=|<|>)\s*(?P<number>[-+]?[\d.]+(?:e[-+]?\d+)?)\s*(?P<percent>%?)\s*$",
    re.I,
)


def comparison(text: str) -> tuple[str, float] | None:
    """Return operator and number of a condition on the metric or a bound of its interval; None of any other.

    >>> comparison("> 0.08"), comparison("ci_low > 2 %"), comparison("> 2 x baseline")
    (('>', 0.08), ('>', 0.02), None)
    """
    found = _COMPARISON.match(text)
    if found is None or found["what"] not in ("", "value", "ci_low", "ci_high"):
        return None
    return found["operator"], float(found["number"]) / (100 if found["percent"] else 1)


def falls(text: str) -> bool:
    """Return whether a condition is about small numbers; where it cannot be told, the large ones are the bad ones."""
    operator = re.search(r"[<>]", text)
    return operator is not None and operator[0] == "<"
