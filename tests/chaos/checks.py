"""What must be true after a schedule, against a run of the same topic in one process that nothing disturbed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any

from inferwatch.infra.assembly import thresholds
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.settings import Settings
from inferwatch.streams.alerting.engine import Alerting
from inferwatch.streams.closing import Closer
from inferwatch.streams.pipeline import Pipeline
from inferwatch.streams.ports import RawRecord
from tests.chaos.models import fast_models
from tests.chaos.workload import HORIZON, POISON, Sent

Address = tuple[int, int]
BATCH = 500
UNTIL = {"horizon": HORIZON}
METRICS = (
    "SELECT * EXCEPT (revision, published_at) FROM window_metrics WHERE window_end <= {horizon:DateTime64(3, 'UTC')}"
)


@dataclass
class Outcome:
    """What a store says when all is done."""

    rows: list[tuple[str, Address]] = field(default_factory=list)
    dead: dict[Address, str] = field(default_factory=dict)
    dead_rows: int = 0
    windows: dict[Any, dict[Any, dict[str, Any]]] = field(default_factory=dict)
    revised: int = 0
    transitions: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, store: ClickHouseStore) -> Outcome:
        """Read it through the views."""
        found = cls()
        rows = store.query("SELECT id, partition, offset FROM inferences").to_pylist()
        found.rows = [(row["id"], (row["partition"], row["offset"])) for row in rows]
        dead = store.query("SELECT partition, offset, reason FROM dead_letters").to_pylist()
        found.dead = {(row["partition"], row["offset"]): row["reason"] for row in dead}
        found.dead_rows = len(dead)
        key = ("application", "segment_dimension", "segment_value", "metric")
        for row in store.query(METRICS, UNTIL).to_pylist():
            window = found.windows.setdefault((row.pop("window_start"), row.pop("window_end")), {})
            series = tuple(row.pop(name) for name in key)
            assert series not in window, f"{series} twice in one window"
            window[series] = row
        found.revised = int(store.query("SELECT countIf(revision > 0) AS n FROM windows").to_pylist()[0]["n"])
        for row in store.query("SELECT * EXCEPT (decided_at) FROM alerts").to_pylist():
            assert row["id"] not in found.transitions
            found.transitions[row.pop("id")] = row
        found.notes = set(store.query("SELECT DISTINCT id FROM outbox")["id"].to_pylist())
        return found


def undisturbed(settings: Settings, store: ClickHouseStore, records: Sequence[RawRecord]) -> Outcome:
    """Work through ``records`` in this process, with nothing going wrong."""
    clock = SystemClock()
    encoder, detectors = fast_models(settings)
    limits = thresholds(settings, detectors)
    pipeline = Pipeline(settings, encoder, detectors, store, clock)
    for start in range(0, len(records), BATCH):
        pipeline.commit(pipeline.prepare(records[start : start + BATCH]))
    alerting = Alerting(settings, store, {}, clock, limits)
    Closer(settings, store, clock, alerting, encoder.revision, limits).flush()
    return Outcome.read(store)


@dataclass
class Verdict:
    """What is wrong, counted and, for the first few, in words."""

    counts: Counter[str] = field(default_factory=Counter)
    words: list[str] = field(default_factory=list)

    def add(self, what: str, words: str) -> None:
        self.counts[what] += 1
        if self.counts[what] <= 5:
            self.words.append(f"{what}: {words}")


def check_records(
    verdict: Verdict,
    outcome: Outcome,
    acknowledged: Mapping[Address, Sent],
    topic: Sequence[RawRecord],
    buried: Collection[Address],
) -> None:
    """Every record is in the view once, or a dead letter with its reason, in the table and on the topic."""
    reasons = {value: reason for reason, value in POISON.items()}
    sent = {(record.partition, record.offset): record for record in topic}
    for address in acknowledged.keys() - sent.keys():
        verdict.add("lost", f"the broker acknowledged {address} and does not have it")
    shown = dict(outcome.rows)
    for row, n in Counter(row for row, _ in outcome.rows).items():
        if n > 1:
            verdict.add("duplicated", f"{row} is there {n} times")
    if outcome.dead_rows != len(outcome.dead):
        verdict.add("duplicated", f"{outcome.dead_rows} rows for {len(outcome.dead)} dead letters")
    ids = {address: one.id for address, one in acknowledged.items()}
    for address, record in sent.items():
        if record.value in reasons:
            if outcome.dead.get(address) != reasons[record.value]:
                verdict.add("lost", f"poison {address}: {reasons[record.value]}, got {outcome.dead.get(address)}")
        elif (name := ids.get(address) or _id(record)) not in shown:
            verdict.add("lost", f"{name} at {address} is in no view; dead letter: {outcome.dead.get(address)}")
        elif address in outcome.dead and (shown[name] == address or outcome.dead[address] != "duplicate_id"):
            verdict.add("duplicated", f"{name} at {address} is shown and also dead: {outcome.dead[address]}")
    for address in outcome.dead.keys() - set(buried):
        verdict.add("lost", f"dead letter {address} is not on the dead-letter topic")
    for name in shown.keys() - {ids.get(address) or _id(record) for address, record in sent.items()}:
        verdict.add("duplicated", f"{name} is shown and was never sent")


def _id(record: RawRecord) -> str:
    """Return the id of a record the producer was not told about, although the broker has it."""
    try:
        return str(json.loads(record.value or b"")["id"])
    except (ValueError, KeyError):
        return ""


def check_windows(verdict: Verdict, calm: Outcome, found: Outcome) -> None:
    """Every number of every window is the same: value, counts, interval, detail."""
    for window in sorted(calm.windows.keys() | found.windows.keys()):
        mine, other = calm.windows.get(window, {}), found.windows.get(window, {})
        wrong = [key for key in sorted(mine.keys() | other.keys()) if not _same(mine.get(key), other.get(key))]
        if wrong:
            # The edition is a hash of all the others.
            first = next((key for key in wrong if not _same(_bare(mine.get(key)), _bare(other.get(key)))), wrong[0])
            words = f"{window[0]:%H:%M}: {len(wrong)} of {len(mine)} numbers, such as {first}"
            verdict.add("windows_differing", f"{words}: {mine.get(first)} but {other.get(first)}")


def check_alerts(verdict: Verdict, calm: Outcome, found: Outcome, accepted: Sequence[str]) -> None:
    """Transitions are the same, and every message was accepted once."""
    for one in sorted(calm.transitions.keys() | found.transitions.keys()):
        mine, other = calm.transitions.get(one), found.transitions.get(one)
        if other is None:
            verdict.add("alerts_lost", f"no transition {_short(mine)}")
        elif mine is None:
            verdict.add("alerts_extra", f"transition {_short(other)}")
        elif not _same(mine, other):
            verdict.add("alerts_differing", f"{_short(mine)} but {_short(other)}")
    times = Counter(accepted)
    for note in calm.notes - times.keys():
        verdict.add("alerts_lost", f"message {note} was never accepted")
    for note in times.keys() - calm.notes:
        verdict.add("alerts_extra", f"message {note}")
    for note, n in times.items():
        if n > 1:
            verdict.add("alerts_repeated", f"message {note} was accepted {n} times")


def _short(row: Mapping[str, Any] | None) -> str:
    row = row or {}
    return " ".join(str(row.get(name)) for name in ("rule", "labels", "from_state", "to_state", "at", "value", "n"))


def _same(one: Mapping[str, Any] | None, two: Mapping[str, Any] | None) -> bool:
    """Equal to the last bit, where NaN is NaN."""
    if one is None or two is None:
        return one is two
    return one.keys() == two.keys() and all(
        one[name] == two[name] or (_nan(one[name]) and _nan(two[name])) for name in one
    )


def _bare(number: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return number and {name: value for name, value in number.items() if name != "edition"}


def _nan(value: object) -> bool:
    return isinstance(value, float) and isnan(value)
