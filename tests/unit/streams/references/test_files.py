"""A reference from log files: read as the stream reads, and nothing of it lands in the inferences."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import Settings
from inferwatch.streams.references import References
from inferwatch.streams.references.files import rows_of
from inferwatch.streams.replay import read

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def call(n: int, **fields: Any) -> dict[str, Any]:
    at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=n)
    base = {"id": f"id-{n}", "timestamp": at.isoformat(), "application": "shop", "input": f"where is parcel {n}"}
    return base | {"output": f"on its way {n}"} | fields


def write(path: Path, calls: list[Any]) -> Path:
    text = b"\n".join(one if isinstance(one, bytes) else orjson.dumps(one) for one in calls)
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def test_a_file_gives_the_vectors_that_the_stream_would_give(
    store: ClickHouseStore, tmp_path: Path, encoder: Any, build: Any, record: Any
) -> None:
    calls = [call(n, input=f"mail me at someone{n}@example.org about parcel {n}") for n in range(80)]
    path = write(tmp_path / "calls.jsonl.gz", [*calls, b"{broken", call(80, application="other"), call(81, input="  ")])
    settings = Settings()
    found = rows_of(read(path, NOW), settings, encoder, "shop", "input", 60)
    assert (found.records, len(found.rows.ids)) == (83, 60)
    assert found.refused == {"invalid_json": 1, "another application": 1, "no input": 1}
    assert not any("@example.org" in text for text in encoder.seen)
    desk = References(store, ManualClock(NOW), settings)
    made = desk.build_of(found.rows, name="day one", application="shop", field="input", revision=encoder.revision)
    assert (made.rows, made.origin, made.encoder_revision) == (60, "file", "hashed-words-1")
    assert store.query("SELECT count() AS n FROM inferences_raw").to_pylist() == [{"n": 0}]
    pipeline = build(store)
    pipeline.commit(pipeline.prepare(list(read(path, NOW))))
    streamed = store.query("SELECT id, vector FROM embeddings WHERE field = 'input' AND application = 'shop'")
    vectors = dict(zip(streamed["id"].to_pylist(), streamed["vector"].to_pylist(), strict=True))
    frozen = desk.versions.load("shop", "input", "day one", 1).whole
    for id_, vector in zip(frozen.ids, frozen.vectors, strict=True):
        np.testing.assert_allclose(vector, vectors[id_], atol=4e-3)  # the stream's are stored as BFloat16


def test_which_rows_are_taken_depends_on_no_order_and_one_of_a_conversation_is(tmp_path: Path, encoder: Any) -> None:
    calls = [call(n, conversation_id=f"c-{n // 3}" if n < 150 else "") for n in range(500)]
    one = write(tmp_path / "one.jsonl", calls)
    two = write(tmp_path / "two.jsonl", calls[::-1])
    found = [rows_of(read(path, NOW), Settings(), encoder, "shop", "output", 60) for path in (one, two)]
    assert found[0].rows.ids == found[1].rows.ids
    assert list(found[0].rows.timestamps) == sorted(found[0].rows.timestamps)
    everything = rows_of(read(one, NOW), Settings(), encoder, "shop", "output", 500).rows
    assert len(everything.ids) == 400
    assert set(found[0].rows.ids) <= set(everything.ids)


def test_a_file_of_another_application_or_of_few_rows_is_refused(
    store: ClickHouseStore, tmp_path: Path, encoder: Any
) -> None:
    path = write(tmp_path / "calls.jsonl", [call(n) for n in range(20)])
    with pytest.raises(Misconfigured, match="no record is of application 'shoop'; those in the files: shop"):
        rows_of(read(path, NOW), Settings(), encoder, "shoop", "input", 60)
    few = rows_of(read(path, NOW), Settings(), encoder, "shop", "input", 60)
    with pytest.raises(Misconfigured, match="20 rows have a vector, at least 50"):
        References(store, ManualClock(NOW)).build_of(
            few.rows, name="few", application="shop", field="input", revision="hashed-words-1"
        )
