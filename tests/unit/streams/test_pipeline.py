"""Raw records become rows once, whatever arrives and however often."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.errors import StoreUnavailable


def ids(store: ClickHouseStore) -> list[str]:
    return sorted(store.query("SELECT id FROM inferences")["id"].to_pylist())


def reasons(store: ClickHouseStore) -> dict[int, str]:
    rows = store.query("SELECT offset, reason FROM dead_letters").to_pylist()
    return {row["offset"]: row["reason"] for row in rows}


def test_a_record_becomes_a_row_with_scores_and_vectors(store: ClickHouseStore, build: Any, record: Any) -> None:
    pipeline = build(store)
    pipeline.commit(
        pipeline.prepare([record(0, usage={"input_tokens": 7}, cost_usd=0.25, tags={"a": "b"}, region="eu")])
    )
    [row] = store.query("SELECT * FROM inferences").to_pylist()
    assert (row["id"], row["topic"], row["offset"], row["input_tokens"], row["cost_usd"]) == (
        "id-0-0",
        "logs",
        0,
        7,
        0.25,
    )
    assert dict(row["tags"]) == {"a": "b", "region": "eu"}
    assert dict(row["scores"])["length"] == pytest.approx(len(row["output"]) / 100)
    vectors = store.query("SELECT field, length(vector) AS dim FROM embeddings ORDER BY field").to_pylist()
    assert vectors == [{"field": "input", "dim": 32}, {"field": "output", "dim": 32}]


def test_every_distinct_text_is_encoded_once(store: ClickHouseStore, encoder: Any, build: Any, record: Any) -> None:
    build(store).prepare([record(n, input="same", output="words") for n in range(5)])
    assert sorted(encoder.seen) == ["same", "words"]


BAD: dict[str, dict[str, Any]] = {
    "invalid_json": {"raw": b'{"id": '},
    "not_utf8": {"raw": b'{"id": "\xff"}'},
    "not_finite": {"raw": b'{"id": "x", "latency_ms": NaN}'},
    "not_an_object": {"raw": b"[]"},
    "missing_field": {"application": None},
    "wrong_type": {"contexts": {"a": 1}},
    "empty_text": {"input": "", "output": "   "},
    "timestamp_too_old": {"timestamp": "1970-01-01T00:00:00Z"},
    "timestamp_in_future": {"timestamp": "2100-01-01T00:00:00Z"},
    "timestamp_invalid": {"timestamp": "noon"},
    "unknown_schema_version": {"schema_version": 99},
}


def test_every_bad_record_has_its_reason_and_its_neighbours_are_unharmed(
    store: ClickHouseStore, build: Any, record: Any
) -> None:
    records = []
    for place, change in enumerate(BAD.values()):
        records += [record(2 * place, **change), record(2 * place + 1)]
    tombstone = replace(record(100), value=None)
    pipeline = build(store)
    letters = pipeline.commit(pipeline.prepare([*records, tombstone]))
    expected = {2 * place: reason for place, reason in enumerate(BAD)} | {100: "tombstone"}
    assert reasons(store) == expected
    assert {letter.record.offset: letter.record.value for letter in letters} == {
        bad.offset: bad.value for bad in [*records[::2], tombstone]
    }
    assert ids(store) == sorted(f"id-0-{2 * place + 1}" for place in range(len(BAD)))
    assert store.query("SELECT next_offset FROM progress").to_pylist() == [{"next_offset": 101}]


def test_one_empty_text_is_no_reason_to_lose_the_record(store: ClickHouseStore, build: Any, record: Any) -> None:
    pipeline = build(store)
    pipeline.commit(pipeline.prepare([record(0, output="")]))
    [row] = store.query("SELECT scores, abstained FROM inferences").to_pylist()
    assert dict(row["abstained"]) == {"length": "no output"}
    assert dict(row["scores"]) == {}


def test_a_huge_text_is_cut_and_marked(store: ClickHouseStore, build: Any, record: Any) -> None:
    pipeline = build(store)
    pipeline.commit(pipeline.prepare([record(0, output="word " * 1_000_000), record(1)]))
    rows = store.query(
        "SELECT offset, truncated, output_chars, lengthUTF8(output) < 100_100 AS cut FROM inferences ORDER BY offset"
    )
    assert rows.to_pylist()[0] == {"offset": 0, "truncated": True, "output_chars": 5_000_000, "cut": 1}
    assert rows.num_rows == 2


@pytest.mark.parametrize("other_batches", [False, True])
def test_the_same_id_twice_keeps_the_first(
    store: ClickHouseStore, build: Any, record: Any, other_batches: bool
) -> None:
    pipeline = build(store)
    records = [record(0, id="twin", output="first"), record(1), record(2, minute=50, id="twin", output="second")]
    for batch in [[one] for one in records] if other_batches else [records]:
        pipeline.commit(pipeline.prepare(batch))
    assert reasons(store) == {2: "duplicate_id"}
    assert ids(store) == ["id-0-1", "twin"]
    # The two of them delivered again, alone, change nothing.
    for one in (records[2], records[0]):
        pipeline.commit(pipeline.prepare([one]))
    assert store.query("SELECT output FROM inferences WHERE id = 'twin'").to_pylist() == [{"output": "first"}]
    assert reasons(store) == {2: "duplicate_id"}


class Slow:
    """A store whose inserts arrive when they are told to; a killed worker's own last ones do as well."""

    def __init__(self, store: ClickHouseStore) -> None:
        self._store = store
        self._sent: list[tuple[str, pa.Table, str]] = []

    def query(self, sql: str, parameters: Any = None) -> pa.Table:
        return self._store.query(sql, parameters)

    def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        self._sent.append((table, rows, token))

    def arrive(self) -> None:
        for table, rows, token in self._sent:
            self._store.insert(table, rows, token=token)


@pytest.mark.parametrize("killed", [0, 1])
def test_an_insert_that_arrives_after_its_successor_gave_the_record_up_leaves_one_row_and_no_dead_letter(
    store: ClickHouseStore, build: Any, record: Any, killed: int
) -> None:
    copies = [record(0, minute=5, id="twin"), record(1, minute=5, id="twin")]
    slow = Slow(store)
    dying, living = build(slow), build(store)
    dying.commit(dying.prepare([copies[killed]]))
    living.commit(living.prepare([copies[1 - killed]]))
    living.commit(living.prepare([copies[killed]]))
    assert reasons(store) == {killed: "duplicate_id"}
    slow.arrive()
    assert ids(store) == ["twin"]
    assert reasons(store) == {}


def test_the_same_id_beyond_the_horizon_is_another_record_however_batches_are_cut(
    store: ClickHouseStore, build: Any, record: Any
) -> None:
    pipeline = build(store, limits={"duplicate_horizon": "30m"})
    records = [record(0, minute=0, id="twin"), record(1, minute=31, id="twin"), record(2, minute=60, id="twin")]
    for batch in (records, [records[2]], [records[1]], records[:2]):
        pipeline.commit(pipeline.prepare(batch))
    assert ids(store) == ["twin", "twin"]
    assert reasons(store) == {2: "duplicate_id"}


def test_the_same_id_in_another_application_is_another_record(store: ClickHouseStore, build: Any, record: Any) -> None:
    pipeline = build(store)
    pipeline.commit(pipeline.prepare([record(0, id="x"), record(1, id="x", application="other")]))
    assert ids(store) == ["x", "x"]


@pytest.mark.parametrize("seed", range(5))
def test_redelivery_in_any_cut_counts_once(store: ClickHouseStore, build: Any, record: Any, seed: int) -> None:
    records = [record(n, minute=(n - 20) * 60) for n in range(40)]  # two days: an insert is two parts
    records[7] = record(7, raw=b"nonsense")
    pipeline = build(store)
    rng = np.random.default_rng(seed)
    done = 0
    while done < len(records):
        start = int(rng.integers(0, done + 1))
        end = int(rng.integers(done + 1, len(records) + 1))
        pipeline.commit(pipeline.prepare(records[start:end]))
        done = end
    assert len(ids(store)) == 39
    assert store.query("SELECT count() AS n FROM embeddings").to_pylist() == [{"n": 78}]
    assert reasons(store) == {7: "invalid_json"}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_a_commit_that_failed_anywhere_can_be_repeated(
    store: ClickHouseStore, failing_at: Any, build: Any, record: Any, k: int, after: bool
) -> None:
    pipeline = build(failing_at(store, k, after=after))
    prepared = pipeline.prepare([record(0), record(1, raw=b"?"), record(2)])
    with pytest.raises(StoreUnavailable):
        pipeline.commit(prepared)
    assert [letter.reason for letter in pipeline.commit(prepared)] == ["invalid_json"]
    assert ids(store) == ["id-0-0", "id-0-2"]
    assert reasons(store) == {1: "invalid_json"}


def test_a_detector_that_fails_on_one_record_scores_the_others(store: ClickHouseStore, build: Any, record: Any) -> None:
    pipeline = build(store)
    pipeline.commit(pipeline.prepare([record(0), record(1, output="explode"), record(2)]))
    rows = store.query("SELECT scores, abstained FROM inferences ORDER BY offset").to_pylist()
    assert [dict(row["abstained"]) for row in rows] == [{}, {"length": "detector failed: ArithmeticError"}, {}]
    assert [len(row["scores"]) for row in rows] == [1, 0, 1]


def test_personal_data_reaches_neither_encoder_nor_store(
    store: ClickHouseStore, encoder: Any, build: Any, record: Any
) -> None:
    secret = "ann@example.com"
    pipeline = build(store)
    fields = {"input": f"I am {secret}", "system": secret, "contexts": [secret], "error": secret, "note": secret}
    pipeline.commit(pipeline.prepare([record(0, **fields), record(1, raw=f"broken {secret}".encode())]))
    assert not any(secret in text for text in encoder.seen)
    for table in ("inferences_raw", "dead_letters_raw"):
        shown = str(store.query(f"SELECT * FROM {table}").to_pylist())
        assert secret not in shown
        assert "[EMAIL]" in shown


def test_detectors_get_everything_that_was_said_and_redacted(store: ClickHouseStore, build: Any, record: Any) -> None:
    fields = {"system": "Write to ann@example.com.", "samples": ["ann@example.com", "no"], "logprobs": [-0.5, -2]}
    [entry] = build(store).prepare([record(0, **fields)]).entries
    assert entry.item.system == "Write to [EMAIL]."
    assert entry.item.samples == ("[EMAIL]", "no")
    assert entry.item.logprobs == (-0.5, -2.0)
    assert entry.redactions == 2


def test_without_text_only_scores_and_lengths_are_stored(store: ClickHouseStore, build: Any, record: Any) -> None:
    pipeline = build(store, privacy={"store_text": False})
    pipeline.commit(pipeline.prepare([record(0, output="unmistakable", contexts=["unmistakable"])]))
    [row] = store.query("SELECT * FROM inferences").to_pylist()
    assert "unmistakable" not in str(row)
    assert row["output_chars"] == 12
    assert row["scores"]


def test_a_future_timestamp_is_judged_by_the_record_not_by_the_clock(
    store: ClickHouseStore, build: Any, record: Any
) -> None:
    early = record(0, minute=10)
    skewed = replace(early, timestamp=early.timestamp - timedelta(days=1, minutes=-4))
    pipeline = build(store)
    assert pipeline.prepare([early]).entries
    assert not pipeline.prepare([skewed]).entries
