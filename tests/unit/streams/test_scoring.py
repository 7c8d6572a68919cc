"""What the encoder or a detector cannot do costs the rows concerned their scores, and nobody else's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from inferwatch.detectors.base import F32, Batch, Detector, Encoded, Field, Item, Scores
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.inference import InferenceLog
from inferwatch.schemas.settings import Settings
from inferwatch.streams.pipeline import Pipeline
from inferwatch.streams.plans import Plans
from inferwatch.streams.scoring import Scored, Scoring
from inferwatch.streams.telemetry import ABSTENTIONS, ERRORS, EVENT_TO_ROW, SCORES, Histogram, Values
from inferwatch.streams.telemetry import Counter as CounterMetric

CLOCK = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))


class Tally:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.values: dict[str, list[float]] = {}

    def add(self, counter: CounterMetric, by: float, *labels: str) -> None:
        assert len(labels) == len(counter.labels)
        self.counts[counter.name, *labels] += int(by)

    def observe(self, histogram: Histogram, values: Values, *labels: str) -> None:
        assert len(labels) == len(histogram.labels)
        self.values.setdefault(histogram.name, []).extend(values)


class Words:
    """One number a text: how many words it has. ``fails`` says for which calls it raises."""

    revision = family = "words"
    dim = 1

    def __init__(self, fails: Callable[[Sequence[str]], Exception | None]) -> None:
        self.fails = fails
        self.calls = 0

    def encode(self, texts: Sequence[str]) -> F32:
        self.calls += 1
        if (error := self.fails(texts)) is not None:
            raise error
        return np.array([[len(text.split())] for text in texts], np.float32)


class Untouched:
    """Implements ``Store``; without budgets there is nothing to ask it."""

    def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        raise AssertionError(table)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        raise AssertionError(sql)


class Counting(Detector):
    """A tenth of the words of the output."""

    name, version, reads = "counting", "1", frozenset({Field.OUTPUT})
    emits: Mapping[str, float] = {"counting": 0.5}

    def texts(self, item: Item) -> list[str]:
        if item.output == "no texts of me":
            raise LookupError("planted")
        return [item.output] if item.output else []

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        if any(item.output == "choke" for item in batch.items):
            raise ArithmeticError("planted")
        values = [batch.embed([item.output])[0, 0] / 10 if item.output else np.nan for item in batch.items]
        reasons = tuple("" if item.output else "no output" for item in batch.items)
        return (Scores("counting", np.array(values, np.float32), reasons, ((),) * len(values)),)


def run(outputs: Sequence[str], fails: Callable[[Sequence[str]], Exception | None]) -> tuple[Scored, Tally, Words]:
    tally, encoder = Tally(), Words(fails)
    scoring = Scoring(encoder, [Counting()], ["output"], {}, Plans(Untouched(), {}, CLOCK), CLOCK, tally)
    return scoring.score(*logged(outputs)), tally, encoder


def logged(outputs: Sequence[str]) -> tuple[list[InferenceLog], list[Item]]:
    items = [Item(output=text) for text in outputs]
    return [
        InferenceLog(application="shop", id=str(n), timestamp=CLOCK.now(), output="text") for n in range(len(items))
    ], items


def numbered(n: int) -> list[str]:
    return [" ".join(["word"] * (1 + row % 9)) + f" {row}" for row in range(n)]


@pytest.mark.parametrize("poison", [(), (0,), (63,), (3, 4, 40), tuple(range(0, 64, 2)), tuple(range(64))], ids=str)
def test_a_text_the_encoder_cannot_take_costs_only_its_own_row(poison: tuple[int, ...]) -> None:
    outputs = numbered(64)
    bad = {outputs[row] for row in poison}
    scored, tally, encoder = run(outputs, lambda texts: MemoryError("planted") if bad & set(texts) else None)
    [scores] = scored.scores
    for row, text in enumerate(outputs):
        if row in poison:
            assert scores.abstained[row] == "encoder failed: MemoryError"
            assert np.isnan(scores.values[row])
            assert np.isnan(scored.encoded["output"].vectors[row]).all()
        else:
            assert scores.abstained[row] == ""
            assert scores.values[row] == pytest.approx(len(text.split()) / 10)
    assert tally.counts[ABSTENTIONS.name, "counting", "encoder failed"] == len(poison)
    assert tally.counts[SCORES.name, "counting"] == 64 - len(poison)
    assert encoder.calls <= 1 + 14 * len(poison)


def test_half_a_batch_fits_where_a_whole_one_does_not() -> None:
    scored, tally, _ = run(numbered(100), lambda texts: MemoryError("planted") if len(texts) > 30 else None)
    assert not any(scored.scores[0].abstained)
    assert tally.counts[ERRORS.name, "encoder", "MemoryError"] == 3


def test_a_dead_encoder_is_not_asked_for_every_text() -> None:
    scored, _, encoder = run(numbered(1000), lambda texts: RuntimeError("planted"))
    assert set(scored.scores[0].abstained) == {"encoder failed: RuntimeError"}
    assert encoder.calls < 20


def test_vectors_that_are_no_numbers_are_none() -> None:
    class Overflowing(Words):
        def encode(self, texts: Sequence[str]) -> F32:
            found = super().encode(texts)
            found[[text == "over flow" for text in texts]] = np.inf
            return found

    encoder = Overflowing(lambda texts: None)
    scoring = Scoring(encoder, [Counting()], [], {}, Plans(Untouched(), {}, CLOCK), CLOCK)
    [scores] = scoring.score(*logged(["fine", "over flow"])).scores
    assert scores.abstained == ("", "encoder failed: not finite")


def test_a_detector_that_chokes_on_one_item_scores_the_others() -> None:
    scored, tally, _ = run(["one", "choke", "no texts of me", "", "one two"], lambda texts: None)
    [scores] = scored.scores
    assert scores.abstained == ("", "detector failed: ArithmeticError", "detector failed: LookupError", "no output", "")
    assert scores.values[[0, 4]] == pytest.approx([0.1, 0.2])
    assert tally.counts[ABSTENTIONS.name, "counting", "detector failed"] == 2
    assert tally.counts[ABSTENTIONS.name, "counting", "no output"] == 1
    assert tally.counts[ERRORS.name, "detector", "ArithmeticError"] == 1


def test_no_items_are_no_work() -> None:
    scored, tally, encoder = run([], lambda texts: None)
    assert (scored.scores, scored.encoded["output"].vectors.shape, encoder.calls) == ((), (0, 1), 0)
    assert not tally.values


def test_rows_of_a_failing_encoder_are_stored_without_scores(store: ClickHouseStore, record: Any) -> None:
    tally = Tally()
    encoder = Words(lambda texts: MemoryError("planted") if any("number 3" in text for text in texts) else None)
    pipeline = Pipeline(Settings(), encoder, [Counting()], store, CLOCK, tally)
    prepared = pipeline.prepare([record(n, output=f"number {n}") for n in range(6)])
    assert pipeline.commit(prepared) == ()
    rows = store.query("SELECT id, abstained['counting'] AS why FROM inferences ORDER BY offset").to_pylist()
    assert [row["why"] for row in rows] == ["", "", "", "encoder failed: MemoryError", "", ""]
    # Neither its input nor its output has a vector: both hold the words.
    found = store.query("SELECT field, count() AS n FROM embeddings GROUP BY field ORDER BY field").to_pylist()
    assert found == [{"field": "input", "n": 5}, {"field": "output", "n": 5}]
    assert len(tally.values[EVENT_TO_ROW.name]) == 6


def test_a_row_says_how_its_texts_were_read(store: ClickHouseStore, record: Any) -> None:
    class Chunking(Words):
        def encode_all(self, texts: Sequence[str]) -> Encoded:
            words = np.array([len(text.split()) for text in texts])
            return Encoded(self.encode(texts), 1 + words // 10, words > 30)

    pipeline = Pipeline(Settings(), Chunking(lambda texts: None), [Counting()], store, CLOCK)
    outputs = ["one two", "word " * 25, "word " * 35]
    pipeline.commit(pipeline.prepare([record(n, output=text) for n, text in enumerate(outputs)]))
    rows = store.query("SELECT chunks, truncated FROM inferences ORDER BY offset").to_pylist()
    assert [(row["chunks"], row["truncated"]) for row in rows] == [(1, False), (3, False), (4, True)]
