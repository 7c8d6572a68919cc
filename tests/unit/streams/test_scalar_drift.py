"""Columns of a window against the period of the drift reference, on the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from math import isnan
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.windows import ALL, SeriesKey
from inferwatch.streams.column_samples import Scope, samples
from tests.unit.streams.test_closing import DAY, DRIFT, closer, put

HOUR = timedelta(hours=1)
COLUMNS = ["latency_ms", "cost_usd", "scores", "model", "tags.plan"]


def rows_of(record: Any, count: int, *, first: int = 0, **fields: Any) -> Iterator[Any]:
    """Records ten a minute whose columns depend on a seeded draw; ``fields`` may be functions of it."""
    rng = np.random.default_rng(first + 1)
    for n in range(first, first + count):
        base: dict[str, Any] = {
            "latency_ms": float(rng.lognormal(6, 0.5)),
            "model": str(rng.choice(["m-1", "m-2"], p=[0.8, 0.2])),
            "output": "x" * int(rng.integers(10, 90)),
            "input": f"where is parcel {n % 7}",
            "tags": {"plan": str(rng.choice(["free", "paid"]))},
        }
        changed = {key: value(rng) if callable(value) else value for key, value in fields.items()}
        yield record(n, minute=n / 10, **(base | changed))


def told(
    store: ClickHouseStore, metric: str, dimension: str = ALL
) -> dict[tuple[int, str], tuple[float, int, dict[str, Any]]]:
    """(window's number, segment) -> value, n, detail."""
    rows = store.query(
        "SELECT window_start, segment_value, value, n, detail FROM window_metrics "
        "WHERE metric = {metric:String} AND segment_dimension = {dimension:String}",
        {"metric": metric, "dimension": dimension},
    )
    return {
        ((row["window_start"] - DAY) // timedelta(minutes=10), row["segment_value"]): (
            row["value"],
            row["n"],
            orjson.loads(row["detail"]),
        )
        for row in rows.to_pylist()
    }


@pytest.fixture
def drifted(store: ClickHouseStore, build: Any, record: Any) -> ClickHouseStore:
    """Two windows to freeze a reference from, one like them, one with slower calls and another model."""
    put(build(store), [*rows_of(record, 300)], size=300)
    changed = rows_of(
        record,
        100,
        first=300,
        latency_ms=lambda rng: float(rng.lognormal(6.5, 0.5)),
        model=lambda rng: str(rng.choice(["m-1", "m-3"])),
    )
    put(build(store), [*changed], size=100)
    return store


def test_slower_calls_and_another_model_are_told_from_no_change(drifted: ClickHouseStore) -> None:
    closer(drifted, drift=DRIFT | {"columns": COLUMNS, "reference_rows": 200}).flush()
    latency = told(drifted, "drift.latency_ms.p_value")
    value, n, detail = latency[0, ALL]
    assert isnan(value)
    assert (n, detail) == (0, {"abstained": "no reference of this encoder revision"})
    assert latency[2, ALL][0] > 0.01
    value, n, detail = latency[3, ALL]
    assert value < 1e-6
    assert n == 100
    assert detail["direction"] == "higher"
    assert detail["reference"] == "first-windows v1"
    then, now = detail["median"]
    assert (then, now) == (pytest.approx(403, rel=0.15), pytest.approx(665, rel=0.15))
    assert told(drifted, "drift.latency_ms.effect")[3, ALL][0] > 0.25
    slowest = drifted.query(
        "SELECT id FROM inferences WHERE timestamp >= {start:DateTime64(3)} ORDER BY latency_ms DESC LIMIT 5",
        {"start": DAY + timedelta(minutes=30)},
    )
    assert detail["examples"] == slowest["id"].to_pylist()
    value, _, detail = told(drifted, "drift.model.p_value")[3, ALL]
    assert value < 1e-10
    assert detail["changes"][0][:2] == ["m-3", 0.0]
    psi, usual = told(drifted, "drift.model.psi")[3, ALL][0], detail["psi_usual"]
    assert psi > 1 > usual
    for calm in ("drift.length.p_value", "drift.tags.plan.p_value"):
        assert told(drifted, calm)[3, ALL][0] > 0.001
    value, n, detail = told(drifted, "drift.cost_usd.p_value")[3, ALL]
    assert isnan(value)
    assert (n, detail["abstained"]) == (0, "too few rows in the window")


def test_a_reference_is_kept_when_its_rows_are_gone_or_more_have_come(
    drifted: ClickHouseStore, build: Any, record: Any
) -> None:
    def close() -> None:
        closer(drifted, drift=DRIFT | {"columns": COLUMNS, "reference_rows": 200}).flush()

    close()
    before = told(drifted, "drift.latency_ms.p_value")[3, ALL]
    kept = drifted.query(
        "SELECT column_name, length(numbers) AS n, length(labels) AS k FROM reference_columns ORDER BY 1"
    )
    assert kept["column_name"].to_pylist() == ["cost_usd", "latency_ms", "length", "model", "tags.plan"]
    assert kept["n"].to_pylist() == [0, 200, 200, 0, 0]
    assert kept["k"].to_pylist() == [0, 0, 0, 2, 2]
    # Rows come late into the reference's period, and one into the window, so that it is published again.
    late = [record(1000 + n, minute=5, latency_ms=9e5, model="late") for n in range(300)]
    put(build(drifted), [*late, record(2000, minute=31, latency_ms=600.0, model="m-1", output="x" * 30)], size=400)
    close()
    after = told(drifted, "drift.latency_ms.p_value")[3, ALL]
    assert after[1] == before[1] + 1
    assert after[2]["median"][0] == before[2]["median"][0]
    assert drifted.query("SELECT count() AS n FROM reference_columns_raw").to_pylist() == [{"n": 5}]


def test_segments_are_compared_with_their_own_past(drifted: ClickHouseStore) -> None:
    drift = DRIFT | {"columns": ["latency_ms"], "reference_rows": 200, "by_segment": True}
    closer(drifted, drift=drift, segments={"dimensions": ["model"]}).flush()
    found = told(drifted, "drift.latency_ms.p_value", "model")
    assert found[3, "m-1"][0] < 0.001
    assert isnan(found[3, "m-3"][0])
    assert found[3, "m-3"][2]["abstained"] == "too few rows in the reference"
    assert found[2, "m-1"][0] > 0.001


@pytest.mark.parametrize("drift", [{"columns": []}, {"fields": []}])
def test_it_can_be_switched_off(store: ClickHouseStore, build: Any, record: Any, drift: dict[str, Any]) -> None:
    put(build(store), [*rows_of(record, 100)], size=100)
    closer(store, drift=DRIFT | drift).flush()
    assert not any(
        "drift.latency" in row["metric"] for row in store.query("SELECT metric FROM window_metrics").to_pylist()
    )


def scope(**changes: Any) -> Scope:
    return Scope(**({"start": DAY, "end": DAY + HOUR, "applications": ("shop",), "pane": HOUR} | changes))


def test_of_a_conversation_one_row_in_each_pane_is_taken(store: ClickHouseStore, build: Any, record: Any) -> None:
    rows = [record(n, minute=n, conversation_id=f"c-{n % 3}" if n < 30 else "", latency_ms=n) for n in range(40)]
    put(build(store), rows)

    def taken(**changes: Any) -> int:
        found = samples(store, scope(**changes), ["latency_ms"], rows=100, max_values=5)
        return len(found[SeriesKey("shop")]["latency_ms"].values)

    assert taken() == 3 + 10
    assert taken(pane=HOUR / 6) == 3 * 3 + 10
    assert taken(start=DAY + HOUR / 2) == 10


def test_the_sample_is_capped_and_a_function_of_the_rows(store: ClickHouseStore, build: Any, record: Any) -> None:
    rows = [record(n, minute=n / 10, latency_ms=n if n % 2 else None) for n in range(200)]
    put(build(store), rows)

    def sample(rows: int) -> Any:
        return samples(store, scope(), ["latency_ms", "model"], rows=rows, max_values=5)[SeriesKey("shop")]

    first = sample(30)
    assert len(first["latency_ms"].values) == 30
    assert all(value % 2 for value in first["latency_ms"].values)
    assert first["model"].values == ()
    put(build(store), rows, size=17)
    assert sample(30) == first
    assert sample(60)["latency_ms"].values[:30] == first["latency_ms"].values


def test_a_score_that_a_budget_sampled_unevenly_is_thinned_to_even_chances(
    store: ClickHouseStore, build: Any, record: Any
) -> None:
    """Half of the rows are short, half long; long ones were scored four times as often. The sample has half of each."""
    rng = np.random.default_rng(0)
    put(build(store), [record(n, minute=n / 100, output="x" * (80 if n % 2 else 20)) for n in range(3000)], size=3000)
    table = store.query("SELECT * EXCEPT (toxicity_input, toxicity_output, hallucination) FROM inferences")
    chances = [0.8 if int(name.rsplit("-", 1)[1]) % 2 else 0.2 for name in table["id"].to_pylist()]
    drawn = [bool(rng.random() < chance) for chance in chances]

    def replaced(name: str, values: list[Any]) -> None:
        nonlocal table
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(values, table.schema.field(name).type))

    replaced("inclusion", [[("length", chance)] for chance in chances])
    replaced("scores", [scores if got else [] for scores, got in zip(table["scores"].to_pylist(), drawn, strict=True)])
    later = max(table["ingested_at"].to_pylist()) + timedelta(seconds=1)
    replaced("ingested_at", [later] * table.num_rows)
    store.insert("inferences_raw", table, token="sampled")
    found = samples(store, scope(), ["length"], rows=5000, max_values=5)[SeriesKey("shop")]["length"].values
    assert 450 < len(found) < 750
    assert np.mean([value > 0.5 for value in found]) == pytest.approx(0.5, abs=0.07)
