"""A detector whose name, fields and scores are not the class's own but come from the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from inferwatch.detectors.base import Detector, Field, Item


class ConfiguredDetector(Detector):
    """Base of the detectors that ``detectors.models`` and ``detectors.judges`` make; they need no vectors.

    Args:
        name: what it is enabled by.
        version: names everything that decides a score.
        reads: the fields it reads.
        emits: score -> default threshold.
    """

    def __init__(self, *, name: str, version: str, reads: Iterable[str], emits: Mapping[str, float]) -> None:
        fields = frozenset(Field(field) for field in reads)
        # Of a plug-in these belong to the class; here two objects of one class differ in them.
        for attribute, value in {"name": name, "version": version, "reads": fields, "emits": emits}.items():
            setattr(self, attribute, value)

    def texts(self, item: Item) -> Iterable[str]:
        return ()


def no(field: str) -> str:
    """Return the reason to abstain with where an item has nothing in ``field``."""
    return f"no {field}"
