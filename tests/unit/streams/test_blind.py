"""A score that stops covering its rows is an alert nobody had to configure; quiet, uneven and new traffic is none."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.base import F32, Batch, Detector, Field, Item, Scores
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import Window
from inferwatch.streams.alerting.engine import Alerting
from inferwatch.streams.blind import compare
from inferwatch.streams.closing import Closer
from inferwatch.streams.pipeline import Pipeline

DAY = datetime(2026, 3, 1, tzinfo=UTC)
THRESHOLDS = {"words": 0.5, "grounded": 0.5}
ROWS = 40
GONE = "http://localhost:9/"


class Encoding:
    """One number a text; ``broken`` makes it raise."""

    revision, family, dim = "counts", "counts", 1

    def __init__(self) -> None:
        self.broken = False

    def encode(self, texts: Sequence[str]) -> F32:
        if self.broken:
            raise MemoryError("planted")
        return np.array([[len(text)] for text in texts], np.float32)


class Words(Detector):
    """Reads the output's vector; ``broken`` makes it raise."""

    name, version, reads = "words", "1", frozenset({Field.OUTPUT})
    emits: Mapping[str, float] = {"words": 0.5}
    broken = False

    def texts(self, item: Item) -> list[str]:
        return [item.output] if item.output else []

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        if self.broken:
            raise ValueError("planted")
        values = [batch.embed([item.output])[0, 0] / 1000 if item.output else np.nan for item in batch.items]
        reasons = tuple("" if item.output else "no output" for item in batch.items)
        return (Scores("words", np.array(values, np.float32), reasons, ((),) * len(values)),)


class Grounded(Detector):
    """Needs contexts; with ``sampled`` it leaves out most rows on purpose."""

    name, version, reads = "grounded", "1", frozenset({Field.CONTEXTS})
    emits: Mapping[str, float] = {"grounded": 0.5}
    sampled = False

    def texts(self, item: Item) -> list[str]:
        return []

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        reasons = [
            "no contexts" if not item.contexts else "not sampled" if self.sampled and len(item.input) % 4 else ""
            for item in batch.items
        ]
        values = np.array([np.nan if reason else 0.1 for reason in reasons], np.float32)
        return (Scores("grounded", values, tuple(reasons), ((),) * len(values)),)


class Service:
    """Pipeline, closer and alerts over the real engine; ``window`` logs one window's calls and closes it."""

    def __init__(self, store: ClickHouseStore, record: Any, **settings: Any) -> None:
        tree = {
            "windows": {"size": "10m", "allowed_lateness": "0s"},
            "drift": {"fields": []},
            "segments": {"dimensions": []},
            "receivers": [{"type": "webhook", "name": "team", "url": GONE}],
        }
        self.settings = Settings.model_validate(tree | settings)
        self.store, self.record = store, record
        self.encoder, self.words, self.grounded = Encoding(), Words(), Grounded()
        self.clock = ManualClock(DAY + timedelta(days=1))
        self.pipeline = Pipeline(self.settings, self.encoder, [self.words, self.grounded], store, self.clock)
        self.place = 0
        self.offset = 0

    def window(self, rows: int = ROWS, contexts: Callable[[int], bool] = lambda row: True) -> None:
        records = []
        for row in range(rows):
            minute = 10 * self.place + row * 9 / max(rows, 1)
            records.append(
                self.record(
                    self.offset,
                    minute=minute,
                    input="x" * (1 + row % 8),
                    output=f"answer {row}",
                    contexts=["a source"] if contexts(row) else [],
                )
            )
            self.offset += 1
        if records:
            self.pipeline.commit(self.pipeline.prepare(records))
        self.place += 1
        self.close()

    def close(self) -> None:
        alerting = Alerting(self.settings, self.store, {}, self.clock, THRESHOLDS)
        closer = Closer(self.settings, self.store, self.clock, alerting, "counts", THRESHOLDS)
        closer.flush()

    def values(self) -> list[float]:
        rows = self.store.query(
            "SELECT m.value AS value FROM window_metrics AS m WHERE metric = 'blind' ORDER BY window_start"
        )
        return [float(value) for value in rows["value"].to_pylist()]

    def detail(self) -> dict[str, Any]:
        """Return what the newest window says."""
        rows = self.store.query(
            "SELECT detail FROM window_metrics WHERE metric = 'blind' ORDER BY window_start DESC LIMIT 1"
        )
        found: dict[str, Any] = orjson.loads(rows["detail"][0].as_py())
        return found

    def told(self) -> list[dict[str, Any]]:
        """Return the notifications, in order."""
        return [
            orjson.loads(row)
            for row in self.store.query("SELECT payload FROM outbox ORDER BY at")["payload"].to_pylist()
        ]


@pytest.fixture
def service(store: ClickHouseStore, record: Any) -> Service:
    return Service(store, record)


def test_a_detector_that_starts_failing_fires_at_once_and_resolves(service: Service) -> None:
    for _ in range(4):
        service.window()
    assert [isnan(value) for value in service.values()] == [True, True, True, False]
    assert service.values()[3] == 0
    service.words.broken = True
    for _ in range(3):
        service.window()
    [fired] = service.told()
    assert fired["status"] == "firing"
    assert fired["title"] == "Blind: rows stay without a score: shop"
    assert fired["summary"].startswith(
        "The score words covered 0 of 40 rows (0 %) between 00:40 and 00:50 UTC on 1 March; "
        "the others have none because: detector failed: ValueError (40 rows). "
        "It was 100 % of rows in the windows before."
    )
    assert "inferwatch_errors_total" in fired["description"]
    assert "not scored: detector failed: ValueError" in fired["examples"][0]
    assert len(fired["examples"]) == 3
    service.words.broken = False
    service.window()
    assert [note["status"] for note in service.told()] == ["firing", "resolved"]
    assert "covered what they usually do" in service.told()[1]["summary"]
    # The windows of the silence are no standard: it is not normal now, and neither is the recovery a rise.
    service.words.broken = True
    service.window()
    assert [note["status"] for note in service.told()] == ["firing", "resolved", "firing"]


def test_the_number_in_the_message_can_be_queried(service: Service) -> None:
    for _ in range(3):
        service.window()
    service.words.broken = True
    service.window()
    [fired] = service.told()
    row = service.store.query(fired["sql"]).to_pylist()[0]
    assert row["value"] == fired["value"] == service.values()[-1]
    assert row["value"] > 0.9


def test_a_failing_encoder_fires(service: Service) -> None:
    for _ in range(3):
        service.window()
    service.encoder.broken = True
    service.window()
    [fired] = service.told()
    assert "The score words covered 0 of 40 rows" in fired["summary"]
    assert "encoder failed: MemoryError (40 rows)" in fired["summary"]


def test_contexts_that_vanish_fire(service: Service) -> None:
    for _ in range(3):
        service.window()
    service.window(contexts=lambda row: row < 3)
    [fired] = service.told()
    assert "The score grounded covered 3 of 40 rows" in fired["summary"]
    assert "no contexts (37 rows)" in fired["summary"]


def test_a_score_that_never_covered_anything_never_fires(service: Service) -> None:
    for _ in range(8):
        service.window(contexts=lambda row: False)
    assert service.values()[3:] == [0.0] * 5
    assert service.told() == []


def test_little_traffic_never_fires(service: Service) -> None:
    for place in range(6):
        service.window(rows=ROWS if place < 3 else 12, contexts=lambda row, place=place: place < 3)  # type: ignore[misc]
    assert [isnan(value) for value in service.values()] == [True] * 6
    assert service.detail()["abstained"] == "fewer than 20 rows"
    assert service.told() == []


def test_a_new_application_has_nothing_to_be_compared_with(service: Service) -> None:
    service.window()
    assert service.detail()["abstained"] == "fewer than 3 earlier windows of 20 rows to compare with"
    service.words.broken = True
    service.window()
    service.window()
    assert service.told() == []


def test_rows_left_out_by_a_budget_are_not_missing(service: Service) -> None:
    for _ in range(4):
        service.window(rows=200)
    service.grounded.sampled = True
    for _ in range(2):
        service.window(rows=200)
    assert service.values()[3:] == [0.0, 0.0, 0.0]
    assert service.detail()["scores"]["grounded"] == [50, 50]
    service.window(rows=200, contexts=lambda row: False)
    assert len(service.told()) == 1


def test_uneven_traffic_does_not_fire(service: Service) -> None:
    """Few rows have contexts, more or fewer by chance, as where one use in ten looks something up."""
    chance = random.Random(1)
    for _ in range(40):
        service.window(rows=60, contexts=lambda row: chance.random() < 0.1)
    assert service.told() == []
    assert all(isnan(value) or value < 0.3 for value in service.values())


def test_a_long_silence_stays_a_silence(service: Service) -> None:
    for _ in range(3):
        service.window()
    service.words.broken = True
    for _ in range(30):
        service.window()
    assert [note["status"] for note in service.told()] == ["firing"]
    assert min(service.values()[3:]) > 0.9


def test_a_pause_does_not_hide_what_broke_in_it(service: Service) -> None:
    for _ in range(3):
        service.window()
    service.place += 100  # most of a day
    service.words.broken = True
    service.window()
    assert len(service.told()) == 1


def test_closing_again_gives_the_same_number(service: Service) -> None:
    for _ in range(4):
        service.window()
    service.words.broken = True
    service.window()
    before = service.store.query(
        "SELECT window_start, value, n, detail FROM window_metrics WHERE metric = 'blind'"
    ).to_pylist()
    told = service.told()
    alerting = Alerting(service.settings, service.store, {}, service.clock, THRESHOLDS)
    closer = Closer(service.settings, service.store, service.clock, alerting, "counts", THRESHOLDS)
    start = DAY + timedelta(minutes=40)
    again = closer._compute(Window(start, start + timedelta(minutes=10)), 0, late=False)
    [metric] = [one for one in again.metrics if one.metric == "blind"]
    newest = max(before, key=lambda row: row["window_start"])
    assert (metric.value, metric.n, metric.detail) == (newest["value"], newest["n"], orjson.loads(newest["detail"]))
    alerting.decide(again.window, again.metrics)
    assert service.told() == told


def test_it_can_be_switched_off_or_replaced(store: ClickHouseStore, record: Any) -> None:
    off = Service(store, record, monitoring={"blind_alert": False})
    assert off.settings.active_rules == ()
    own = {"name": "inferwatch-blind", "metric": "blind", "when": "> 20 %", "applications": ["other"]}
    replaced = Service(store, record, rules=[own])
    assert [str(rule.when) for rule in replaced.settings.active_rules] == ["> 0.2"]
    for _ in range(3):
        replaced.window()
    replaced.words.broken = True
    replaced.window()
    assert replaced.values()[3] > 0.9
    assert replaced.told() == []


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)).map(sorted), max_size=12),
    st.tuples(st.integers(0, 500), st.integers(0, 500)).map(sorted),
)
def test_a_fall_is_a_share_and_never_found_within_what_there_was(earlier: list[list[int]], now: list[int]) -> None:
    found = compare("s", (now[0], now[1]), [{"s": (low, high)} for low, high in earlier])
    standard = [low / high for low, high in earlier if high >= 20]
    if found is None:
        assert now[1] < 20 or len(standard) < 3
        return
    assert 0 <= found.share <= 1
    if now[0] / now[1] >= min(standard):
        assert found.share == 0
    assert compare("other", (now[0], now[1]), [{"s": (low, high)} for low, high in earlier]) is None
