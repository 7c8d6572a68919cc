"""Lengths of time as a person writes them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(value: object) -> object:
    """Turn ``"1h30m"`` into a timedelta (Prometheus units ms, s, m, h, d); a number is seconds.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    if isinstance(value, str) and value.strip() == "0":
        return timedelta(0)
    if isinstance(value, str) and (parts := _DURATION.findall(value)) and _DURATION.sub("", value).strip() == "":
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    raise ValueError(f"must be a duration such as 30s, 5m or 1h30m, got {value!r}")


Duration = Annotated[timedelta, BeforeValidator(parse_duration, json_schema_input_type=str)]
