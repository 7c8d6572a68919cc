"""What of an inference drift is measured on: its texts, and how its output answers its input."""

from __future__ import annotations

from typing import Literal, get_args

DriftField = Literal["input", "output", "output_given_input"]

FIELDS: tuple[DriftField, ...] = get_args(DriftField)
GIVEN: DriftField = "output_given_input"
"""The output without what it shares with its input (``detectors.drift.given``)."""


def text_of(field: str) -> str:
    """Return which text shows a row's ``field``.

    >>> text_of("input"), text_of("output_given_input")
    ('input', 'output')
    """
    return "output" if field == GIVEN else field


def texts_of(field: str) -> tuple[str, ...]:
    """Return the texts that the vectors of ``field`` are made from."""
    return ("input", "output") if field == GIVEN else (field,)
