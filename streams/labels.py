"""What people say of inferences, from a file: an id and a label a row, or whole inference logs with a label."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from inferwatch.schemas.errors import InvalidRecord, Misconfigured
from inferwatch.streams.logfiles import numbered
from inferwatch.streams.scored import Problem

BAD = frozenset({"1", "true", "yes", "y", "bad", "positive"})
COLUMNS = ("id", "label", "application", "score", "weight")
FINE = frozenset({"0", "false", "no", "n", "good", "fine", "ok", "negative"})


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Which labels mean that a row is bad. ``negative`` empty: every other label means that it is fine."""

    positive: frozenset[str] = BAD
    negative: frozenset[str] = FINE

    @classmethod
    def of(cls, positive: Sequence[str], negative: Sequence[str]) -> Verdicts:
        """Return those of the words that people gave; without ``positive`` the usual words."""
        if not positive and negative:
            raise Misconfigured(
                f"which labels are fine ({', '.join(negative)}) says nothing without those that are bad"
            )
        if not positive:
            return cls()
        return cls(frozenset(map(_plain, positive)), frozenset(map(_plain, negative)))

    def bad(self, label: object) -> bool:
        """Return whether ``label`` means bad.

        Raises:
            InvalidRecord: it means neither.
        """
        word = _plain(label)
        if word in self.positive:
            return True
        if word in self.negative or (word and not self.negative):
            return False
        known = sorted(self.positive | self.negative)
        raise InvalidRecord("unknown_label", f"'label' must be one of {', '.join(known)}, got {label!r:.80}")


@dataclass(frozen=True, slots=True)
class Label:
    """One verdict on one inference.

    ``application`` and ``score`` are empty where the file does not name them: any application of that id, every score.
    ``weight`` is how many rows it stands for; ``log`` the whole record, where the file holds logs.
    """

    place: int
    id: str
    application: str
    score: str
    bad: bool
    weight: float
    log: bytes | None


def read_labels(name: str, verdicts: Verdicts) -> tuple[list[Label], list[Problem]]:
    """Return the labels of a file (CSV with a header, JSON lines or one JSON array), and the rows that are none.

    A row has ``id`` and ``label``, and may have ``application``, ``score`` and ``weight``. One with ``input`` or
    ``output`` is an inference log, except in CSV.

    Raises:
        Misconfigured: the file cannot be read, or holds both logs and bare ids.
    """
    labels: list[Label] = []
    problems: list[Problem] = []
    for place, row, raw in _rows(name, problems):
        try:
            labels.append(_label(place, row, raw, verdicts))
        except InvalidRecord as error:
            problems.append(Problem(place, error.reason, error.detail))
    if len({label.log is None for label in labels}) > 1:
        raise Misconfigured(f"{name} holds both inference logs and bare ids: make two files of it")
    return labels, problems


def _rows(name: str, problems: list[Problem]) -> Iterator[tuple[int, dict[str, Any], bytes]]:
    if Path(name).suffix == ".csv":
        yield from _csv(name)
        return
    for place, raw in numbered(name):
        try:
            row = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            problems.append(Problem(place, "invalid_json", str(error)))
            continue
        if isinstance(row, dict):
            yield place, row, raw
        else:
            problems.append(Problem(place, "not_an_object", f"a row must be a JSON object, got {type(row).__name__}"))


def _csv(name: str) -> Iterable[tuple[int, dict[str, Any], bytes]]:
    try:
        text = Path(name).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"cannot read {name}: {error}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if missing := {"id", "label"} - set(reader.fieldnames or ()):
        raise Misconfigured(
            f"{name} needs the columns id and label in its first line; {', '.join(sorted(missing))} is not"
        )
    for row in reader:
        found = {key: row[key] for key in COLUMNS if row.get(key)}
        yield reader.line_num, found, orjson.dumps(found)


def _label(place: int, row: dict[str, Any], raw: bytes, verdicts: Verdicts) -> Label:
    for needed in ("id", "label"):
        if row.get(needed) in (None, ""):
            raise InvalidRecord("missing_field", f"'{needed}' is required")
    try:
        weight = float(row.get("weight") or 1.0)
    except (TypeError, ValueError):
        weight = -1.0
    if not 0 < weight < float("inf"):
        raise InvalidRecord("wrong_type", f"'weight' must be a number above 0, got {row['weight']!r:.80}")
    log = raw if row.get("input") or row.get("output") else None
    texts = [str(row.get(name) or "") for name in ("id", "application", "score")]
    return Label(place, texts[0], texts[1], texts[2], verdicts.bad(row["label"]), weight, log)


def _plain(label: object) -> str:
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return str(label).strip().casefold()
