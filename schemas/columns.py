"""Which columns of an inference have a distribution to compare, by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NUMBERS = (
    "input_chars",
    "output_chars",
    "latency_ms",
    "time_to_first_token_ms",
    "input_tokens",
    "output_tokens",
    "cost_usd",
)
VALUES = ("model", "provider", "operation", "prompt_name", "prompt_version", "tenant", "finish_reason")
"""Columns whose mix of values is compared; ``tags.<name>`` is one, too."""
SCORES = "scores"
"""Stands for every score of the detectors that run."""


def is_mix(column: str) -> bool:
    """Return whether a column has a mix of values, rather than numbers."""
    return column in VALUES or column.startswith("tags.")


def resolve(columns: Sequence[str], scores: Iterable[str]) -> tuple[str, ...]:
    """Return the columns meant, each once, with the names of ``scores`` in the place of ``SCORES``.

    >>> resolve(("latency_ms", "scores", "model"), ["toxicity.output"])
    ('latency_ms', 'toxicity.output', 'model')
    """
    named = list(scores)
    found = (one for column in columns for one in (named if column == SCORES else [column]))
    return tuple(dict.fromkeys(found))
