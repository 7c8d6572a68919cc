"""A user's own log file as a demo run: mapped, given what it lacks, and with a model swap planted where it can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from pathlib import Path
from random import Random
from statistics import fmean, stdev
from typing import Any

import orjson

from inferwatch.infra.demo.incidents import Incident
from inferwatch.infra.demo.mapping import Rule, apply_map
from inferwatch.infra.demo.scenario import PARTITIONS, Message, Scenario, latest_day
from inferwatch.schemas.errors import InvalidRecord, Misconfigured
from inferwatch.schemas.inference import parse
from inferwatch.schemas.windows import EPOCH, Window, tumbling
from inferwatch.streams.logfiles import values

QUARTERS = 4
"""A swap's day has four parts of four windows each: reference, quiet, the other model, quiet again."""
LEAST_ROWS = 30
MOST_ROWS = 375
_WINDOWS_OF_A_DAY = (96, 48, 24, 16, 12, 8, 6, 4)
_COMFORTABLE_ROWS = 50
_MOST_RECORDS = 20_000
_CLOCK = "demo-clock"


@dataclass(frozen=True, slots=True)
class Swap:
    """The application answers with ``old``, then for a while with ``new``."""

    old: str
    new: str


def logs_scenario(path: Path, rules: Sequence[Rule], swap: str | None, now: datetime, seed: int) -> Scenario:
    """Lay out a run on a log file.

    Raises:
        Misconfigured: the file cannot be read or holds no records, or ``swap`` is not possible with it.
    """
    records = [_record(path, number, rules, value) for number, value in enumerate(values(str(path)))]
    if not records:
        raise Misconfigured(f"{path} holds no records")
    notes = []
    if len(records) > _MOST_RECORDS:
        notes.append(f"Only the first {_MOST_RECORDS:,} of {len(records):,} records are used.")
        records = records[:_MOST_RECORDS]
    wanted = _swap(records, swap)
    if all("timestamp" in record for record in records):
        if swap:
            raise Misconfigured("--swap decides when each record happens, but the records have timestamps; map none")
        return _as_it_was(path, records, now, notes)
    chosen = None if wanted is None else _layout(records, wanted, seed, forced=swap is not None)
    if chosen is not None and wanted is not None:
        return _swapped(path, chosen, wanted, latest_day(now), len(records), notes)
    if wanted is not None:
        notes.append(f"{wanted.old} has too few records to plant a model swap: at least {LEAST_ROWS * 12} are needed.")
    return _evenly(path, records, latest_day(now), notes)


def _record(path: Path, number: int, rules: Sequence[Rule], value: bytes) -> dict[str, Any]:
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise Misconfigured(f"{path}, record {number}: not JSON: {error.msg}") from error
    if not isinstance(data, dict):
        raise Misconfigured(f"{path}, record {number}: must be a JSON object, got {type(data).__name__}")
    record = apply_map(rules, data)
    record.setdefault("id", f"log-{number:07d}")
    record.setdefault("application", path.name.partition(".")[0] or "logs")
    if number == 0:
        _must_be_readable(path, record)
    return record


def _must_be_readable(path: Path, record: dict[str, Any]) -> None:
    """Complain about the first record here, with its fields: a wrong map would make a dead letter of each."""
    try:
        parse({"timestamp": 1.5e12} | record)
    except InvalidRecord as error:
        raise Misconfigured(
            f"{path}: its first record is no inference log: {error}. It has the fields {', '.join(sorted(record))}; "
            "say which is which with --map, such as --map input=prompt --map output=completion"
        ) from error


def _swap(records: Sequence[dict[str, Any]], wanted: str | None) -> Swap | None:
    """Return which two models to swap: the wanted ones, or the two most frequent in order of appearance."""
    counts = Counter(str(record["model"]) for record in records if record.get("model"))
    if wanted is None:
        if len(counts) < 2:
            return None
        common = [name for name, _ in counts.most_common(2)]
        old, new = sorted(common, key=list(counts).index)
        return Swap(old, new)
    old, colon, new = wanted.partition(":")
    if not colon:
        raise Misconfigured(f"--swap {wanted!r} must be written OLD:NEW")
    for name in (old, new):
        if name not in counts:
            raise Misconfigured(f"--swap: no record has model {name!r}; there are {', '.join(counts) or 'none'}")
    return Swap(old, new)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which records stand in each of the day's windows, in order."""

    windows: tuple[tuple[dict[str, Any], ...], ...]


def _layout(records: Sequence[dict[str, Any]], swap: Swap, seed: int, *, forced: bool) -> _Layout | None:
    """Deal records to sixteen windows: four of ``old`` as reference, four quiet, four of ``new``, four quiet."""
    rng = Random(f"logs/{seed}")  # noqa: S311 - the same seed must give the same day
    old, new = ([one for one in records if one.get("model") == name] for name in (swap.old, swap.new))
    rows = min(len(old) // (3 * QUARTERS), len(new) // QUARTERS, MOST_ROWS)
    if rows < LEAST_ROWS:
        if forced:
            raise Misconfigured(
                f"--swap {swap.old}:{swap.new} needs {3 * QUARTERS * LEAST_ROWS} records of the one and "
                f"{QUARTERS * LEAST_ROWS} of the other, there are {len(old)} and {len(new)}"
            )
        return None
    rng.shuffle(old)
    rng.shuffle(new)
    dealt = {swap.old: iter(old), swap.new: iter(new)}
    windows = []
    for place in range(4 * QUARTERS):
        model = swap.new if place // QUARTERS == 2 else swap.old
        windows.append(tuple(next(dealt[model]) for _ in range(rows)))
    return _Layout(tuple(windows))


def _swapped(path: Path, layout: _Layout, swap: Swap, day: datetime, total: int, notes: list[str]) -> Scenario:
    size = timedelta(days=1) / len(layout.windows)
    messages = []
    for place, rows in enumerate(layout.windows):
        for number, record in enumerate(rows):
            at = day + size * (place + (number + 0.5) / len(rows))
            messages.append(_message(at, record))
    reference = [record for rows in layout.windows[:QUARTERS] for record in rows]
    rows_each = len(layout.windows[0])
    asked = {orjson.dumps(one.get("input")) for rows in layout.windows for one in rows if one.get("model") == swap.old}
    again = sum(
        orjson.dumps(one.get("input")) in asked
        for rows in layout.windows
        for one in rows
        if one.get("model") == swap.new
    )
    start = day + size * 2 * QUARTERS
    incident = Incident(
        "model-swap",
        ("output-drift", "longer-answers", "shorter-answers"),
        Window(start, start + size * QUARTERS),
        f"the application answers with {swap.new} instead of {swap.old}",
    )
    notes = [
        *notes,
        f"{len(messages):,} of the file's {total:,} records are used, each once: {3 * QUARTERS * rows_each} of "
        f"{swap.old} and {QUARTERS * rows_each} of {swap.new}, in seeded random order, {rows_each} a window.",
        f"{again} of the inputs that {swap.new} answers were answered by {swap.old} at another time of the day.",
        "The bounds on the length of answers come from the reference windows alone: their mean, plus and minus four "
        "standard errors.",
    ]
    return Scenario(
        title=f"{path.name}: {swap.old} is swapped for {swap.new}, {len(messages):,} records",
        application=str(reference[0]["application"]),
        messages=(*messages, *_clock(day + timedelta(days=1))),
        start=day,
        end=day + timedelta(days=1),
        window=size,
        incidents=(incident,),
        settings=_settings(size, len(reference), _length_rules(reference, rows_each)),
        notes=tuple(notes),
    )


def _evenly(path: Path, records: Sequence[dict[str, Any]], day: datetime, notes: list[str]) -> Scenario:
    """Spread records over one day in the order of the file."""
    count = next((n for n in _WINDOWS_OF_A_DAY if len(records) / n >= _COMFORTABLE_ROWS), _WINDOWS_OF_A_DAY[-1])
    size = timedelta(days=1) / count
    step = timedelta(days=1) / len(records)
    messages = [_message(day + step * (place + 0.5), record) for place, record in enumerate(records)]
    notes = [*notes, "No incident is planted; alerts are listed as they come. Records are spread evenly over a day."]
    return _quiet(path, records, messages, day, day + timedelta(days=1), size, notes)


def _as_it_was(path: Path, records: Sequence[dict[str, Any]], now: datetime, notes: list[str]) -> Scenario:
    """Keep the records' own times."""
    size = timedelta(minutes=15)
    timed = []
    for number, record in enumerate(records):
        try:
            timed.append((parse(record, latest=now).timestamp, number))
        except InvalidRecord as error:
            raise Misconfigured(f"{path}, record {number}: {error}") from error
    timed.sort()
    messages = [_message(at, records[number], keep=True) for at, number in timed]
    first, last = tumbling(timed[0][0], size), tumbling(timed[-1][0], size)
    end = min(last.end, EPOCH + ((now - timedelta(minutes=2) - EPOCH) // size) * size)
    notes = [*notes, "No incident is planted: the records keep their own times. Alerts are listed as they come."]
    return _quiet(path, records, messages, first.start, end, size, notes)


def _quiet(
    path: Path,
    records: Sequence[dict[str, Any]],
    messages: list[Message],
    start: datetime,
    end: datetime,
    size: timedelta,
    notes: list[str],
) -> Scenario:
    rows = min(800, max(50, len(records) // 6))
    return Scenario(
        title=f"{path.name}, {len(messages):,} records",
        application=str(records[0]["application"]),
        messages=(*messages, *_clock(end)),
        start=start,
        end=end,
        window=size,
        incidents=(),
        settings=_settings(size, rows, []),
        notes=tuple(notes),
    )


def _message(at: datetime, record: dict[str, Any], *, keep: bool = False) -> Message:
    value = record if keep else record | {"timestamp": at.isoformat(timespec="milliseconds")}
    return Message(at, str(record.get("conversation_id") or record["id"]), orjson.dumps(value))


def _clock(end: datetime) -> list[Message]:
    """Return one record a partition, of an application of its own, that moves event time past ``end``."""
    at = end + timedelta(minutes=2)
    found = []
    for partition in range(PARTITIONS):
        record = {
            "id": f"clock-{partition}",
            "timestamp": at.isoformat(),
            "application": _CLOCK,
            "input": "end of the log file",
        }
        found.append(Message(at, _CLOCK, orjson.dumps(record), partition))
    return found


def _length_rules(reference: Sequence[dict[str, Any]], rows: int) -> list[dict[str, Any]]:
    lengths = [len(_text(record.get("output"))) for record in reference]
    usual, error = fmean(lengths), stdev(lengths) / sqrt(rows)
    common = {"metric": "output_chars.mean", "severity": "warning", "receivers": ["slack-support", "pager"]}
    return [
        {"name": "longer-answers", "when": f"> {usual + 4 * error:.0f}", "title": "Answers are longer"} | common,
        {"name": "shorter-answers", "when": f"< {max(1.0, usual - 4 * error):.0f}", "title": "Answers are shorter"}
        | common,
    ]


def _text(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(str(one.get("content", "")) for one in value if isinstance(one, dict))
    return value if isinstance(value, str) else ""


def _settings(size: timedelta, reference_rows: int, rules: list[dict[str, Any]]) -> dict[str, Any]:
    def drift(field: str) -> dict[str, Any]:
        return {
            "name": f"{field}-drift",
            "metric": f"drift.{field}.p_value",
            "when": "<= 0.005",
            "for": f"{size // timedelta(seconds=1)}s",
            "resolve_when": "> 0.02",
            "severity": "warning",
            "receivers": ["slack-support"],
            "title": f"The {field}s differ from the reference",
        }

    return {
        "windows": {"size": f"{size // timedelta(seconds=1)}s", "allowed_lateness": "1m"},
        "drift": {"fields": ["input", "output"], "reference_rows": reference_rows},
        "segments": {"dimensions": ["model"]},
        "rules": [drift("input"), drift("output"), *rules],
    }
