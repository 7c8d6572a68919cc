"""What every Store must do, on the real engine: embedded, and over HTTP as a server is reached.

Over HTTP the engine answers through ``tests.support.engine_server``; INFERWATCH_TEST_CLICKHOUSE may add the DSN of a
ClickHouse server.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from pydantic import SecretStr

from inferwatch.infra.clickhouse.connection import connect
from inferwatch.infra.clickhouse.migrate import migrate
from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.schemas.errors import Misconfigured, Permanent, StoreUnavailable
from inferwatch.schemas.settings import StoreSettings
from tests.support.databases import copied
from tests.support.engine import EngineServer

SERVER = os.environ.get("INFERWATCH_TEST_CLICKHOUSE", "")
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MILLIS = pa.timestamp("ms", "UTC")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServer]:
    with EngineServer(tmp_path_factory.mktemp("engine") / "store") as server:
        yield server


@pytest.fixture(params=["embedded", "http", *(["server"] if SERVER else [])])
def opened(request: pytest.FixtureRequest) -> Iterator[ClickHouseStore]:
    if request.param == "embedded":
        yield request.getfixturevalue("store")
        return
    embedded: StoreSettings = request.getfixturevalue("store_settings")
    own = f"inferwatch_test_{uuid4().hex[:12]}"
    if request.param == "server":
        settings = embedded.model_copy(update={"dsn": SecretStr(SERVER), "database": own})
        migrate(settings)
    else:
        first = embedded.model_copy(update={"dsn": SecretStr(request.getfixturevalue("engine").dsn)})
        migrate(first)  # once: from the second test on there is nothing to do
        settings = copied(first, own)
    with open_store(settings) as store:
        yield store
    with connect(settings, {}, database=False) as client:
        client.command(f"DROP DATABASE {settings.database}")


def inferences(
    first: int, last: int, *, step: timedelta = timedelta(seconds=1), ingested: datetime = START
) -> pa.Table:
    """Rows of offsets [first, last): a pure function of the offset, but for ``ingested``."""
    offsets = range(first, last)
    return pa.table(
        {
            "topic": pa.array(["logs"] * len(offsets)).dictionary_encode(),
            "partition": pa.array([0] * len(offsets), pa.uint32()),
            "offset": pa.array(offsets, pa.uint64()),
            "id": [f"id-{offset}" for offset in offsets],
            "timestamp": pa.array([START + step * offset for offset in offsets], MILLIS),
            "application": ["app"] * len(offsets),
            "output": ["naïve 'quoted' \\ text\n\t\0"] * len(offsets),
            "contexts": pa.array([["a", "b"]] * len(offsets), pa.list_(pa.string())),
            "truncated": [False] * len(offsets),
            "cost_usd": pa.array([None if offset % 2 else 0.5 for offset in offsets], pa.float64()),
            "scores": pa.array([[("toxicity.input", 0.25)]] * len(offsets), pa.map_(pa.string(), pa.float32())),
            "ingested_at": pa.array([ingested] * len(offsets), MILLIS),
        }
    )


def count(store: ClickHouseStore, table: str) -> int:
    return int(store.query(f"SELECT count() AS n FROM {table}")["n"][0].as_py())


def test_what_goes_in_comes_out(opened: ClickHouseStore) -> None:
    rows = inferences(0, 3)
    opened.insert("inferences_raw", rows, token="t")
    found = opened.query(f"SELECT {', '.join(rows.column_names)} FROM inferences ORDER BY offset")
    assert found.to_pylist() == rows.to_pylist()
    assert found.schema.field("timestamp").type == MILLIS


SAMPLES: dict[str, Any] = {
    "String": "text",
    "UInt16": 7,
    "UInt32": 7,
    "UInt64": 7,
    "Float64": 0.5,
    "Float32": 0.5,
    "Bool": True,
    "DateTime64(3, 'UTC')": START,
    "Array(String)": ["a", "b"],
    "Array(Float32)": [0.5, -1.0],
    "Array(Float64)": [0.5, -1.0],
    "Array(UInt64)": [7, 0],
    "Array(BFloat16)": [0.5, -1.0],
    "Map(String, String)": [("k", "v")],
    "Map(String, Float32)": [("k", 0.5)],
}
ARROW = {
    "UInt16": pa.uint16(),
    "UInt32": pa.uint32(),
    "UInt64": pa.uint64(),
    "Float64": pa.float64(),
    "Float32": pa.float32(),
    "Bool": pa.bool_(),
    "DateTime64(3, 'UTC')": MILLIS,
    "Array(String)": pa.list_(pa.string()),
    "Array(Float32)": pa.list_(pa.float32()),
    "Array(Float64)": pa.list_(pa.float64()),
    "Array(UInt64)": pa.list_(pa.uint64()),
    "Array(BFloat16)": pa.list_(pa.float32()),
    "Map(String, String)": pa.map_(pa.string(), pa.string()),
    "Map(String, Float32)": pa.map_(pa.string(), pa.float32()),
}


INTERNAL = {("progress_raw", "pane"), ("progress_raw", "noted_at")}
"""Columns that no view shows: rows of ``progress_raw`` with another pane are notes of one process to another."""


def test_every_column_of_every_table_makes_the_round_trip_through_its_view(opened: ClickHouseStore) -> None:
    columns = opened.query(
        "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() AND table LIKE '%\\_raw' "
        "ORDER BY table, position"
    ).to_pylist()
    tables: dict[str, dict[str, pa.Array]] = {}
    for column in columns:
        if (column["table"], column["name"]) in INTERNAL:
            continue
        kind = column["type"]
        for wrapper in ("SimpleAggregateFunction(max, ", "Nullable(", "LowCardinality("):
            if kind.startswith(wrapper):
                kind = kind.removeprefix(wrapper).removesuffix(")")
        kind = kind.replace("LowCardinality(String)", "String")
        value = pa.array([SAMPLES[kind]], ARROW.get(kind, pa.string()))
        tables.setdefault(column["table"], {})[column["name"]] = value
    assert len(tables) >= 14
    # Metrics are shown once their window's row is there; it sorts after them.
    for table, arrays in tables.items():
        opened.insert(table, pa.table(arrays), token="once")
    for table, arrays in tables.items():
        names = ", ".join(f"`{name}`" for name in arrays)
        found = opened.query(f"SELECT {names} FROM `{table.removesuffix('_raw')}`").to_pylist()
        assert found == pa.table(arrays).to_pylist(), table


def test_an_insert_made_again_counts_once(opened: ClickHouseStore) -> None:
    opened.insert("inferences_raw", inferences(0, 10), token="t")
    opened.insert("inferences_raw", inferences(0, 10), token="t")
    assert count(opened, "inferences") == 10


def test_an_insert_made_again_counts_once_across_many_days_and_blocks(opened: ClickHouseStore) -> None:
    rows = inferences(0, 3_000, step=timedelta(hours=1))
    opened.insert("inferences_raw", rows, token="t")
    opened.insert("inferences_raw", rows, token="t")
    assert count(opened, "inferences") == 3_000


def test_a_retry_after_only_some_partitions_were_written_completes_it(opened: ClickHouseStore) -> None:
    rows = inferences(0, 72, step=timedelta(hours=1))
    # 12 rows of the first day: what a server killed between two partitions leaves behind.
    opened.insert("inferences_raw", rows.slice(0, 12), token="t")
    opened.insert("inferences_raw", rows, token="t")
    assert count(opened, "inferences") == 72


def test_no_table_remembers_inserts_it_may_not_have_made(opened: ClickHouseStore) -> None:
    found = opened.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' "
        "AND toUInt64OrZero(extract(engine_full, 'non_replicated_deduplication_window = (\\d+)')) > 0"
    )
    assert found["name"].to_pylist() == []


def test_rows_redelivered_with_other_batch_borders_count_once_in_the_view(opened: ClickHouseStore) -> None:
    opened.insert("inferences_raw", inferences(0, 60), token="0-60")
    opened.insert("inferences_raw", inferences(30, 100, ingested=START + timedelta(hours=1)), token="30-100")
    assert count(opened, "inferences_raw") == 130
    assert count(opened, "inferences") == 100
    later = opened.query("SELECT max(ingested_at) AS at FROM inferences WHERE offset = 45")["at"][0].as_py()
    assert later == START + timedelta(hours=1)


def test_times_in_parameters_keep_zone_and_milliseconds(opened: ClickHouseStore) -> None:
    opened.insert("inferences_raw", inferences(0, 10, step=timedelta(milliseconds=1)), token="t")
    plus_five = timezone(timedelta(hours=5))
    found = opened.query(
        "SELECT count() AS n FROM inferences "
        "WHERE timestamp >= {start:DateTime64(3)} AND timestamp < {end:DateTime64(3)}",
        {"start": START.astimezone(plus_five), "end": START + timedelta(milliseconds=4)},
    )
    assert found["n"].to_pylist() == [4]
    times = opened.query("SELECT {times:Array(DateTime64(3))} AS times", {"times": [START]})
    assert times["times"].to_pylist() == [[START]]


def test_a_naive_time_is_refused_by_name(opened: ClickHouseStore) -> None:
    with pytest.raises(Permanent, match="'start' must be an aware time"):
        opened.query("SELECT {start:DateTime64(3)}", {"start": datetime(2026, 1, 1)})  # noqa: DTZ001


@pytest.mark.parametrize("text", ["it's", 'say "hi"', "back\\slash", "tab\tline\n", "ünï", "{x:String}", "%s", ""])
def test_texts_in_parameters_arrive_as_they_are(opened: ClickHouseStore, text: str) -> None:
    found = opened.query("SELECT {x:String} AS x, {xs:Array(String)} AS xs", {"x": text, "xs": [text]})
    assert found.to_pylist() == [{"x": text, "xs": [text]}]


def test_no_rows_are_no_insert_and_an_empty_result_keeps_its_columns(opened: ClickHouseStore) -> None:
    opened.insert("inferences_raw", inferences(0, 0), token="t")
    found = opened.query("SELECT id, timestamp FROM inferences")
    assert found.num_rows == 0
    assert found.column_names == ["id", "timestamp"]


def test_an_abstained_score_is_null_and_not_zero(opened: ClickHouseStore) -> None:
    opened.insert("inferences_raw", inferences(0, 1), token="t")
    found = opened.query("SELECT toxicity_input, toxicity_output, hallucination FROM inferences")
    assert found.to_pylist() == [{"toxicity_input": 0.25, "toxicity_output": None, "hallucination": None}]


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT nope FROM inferences", "SELECT * FROM nope", "SELECT 1 +"])
def test_a_bad_query_is_permanent(opened: ClickHouseStore, sql: str) -> None:
    with pytest.raises(Permanent, match="cannot query"):
        opened.query(sql)


def test_a_wrong_column_is_permanent_and_named(opened: ClickHouseStore) -> None:
    rows = inferences(0, 1).append_column("wrong_column", pa.array([1]))
    with pytest.raises(Permanent, match=r"inferences_raw.*wrong_column"):
        opened.insert("inferences_raw", rows, token="t")


def test_a_value_that_does_not_fit_is_permanent_and_its_column_named(opened: ClickHouseStore) -> None:
    rows = inferences(0, 1).drop_columns("timestamp").append_column("timestamp", pa.array(["noon"]))
    with pytest.raises(Permanent, match=r"timestamp"):
        opened.insert("inferences_raw", rows, token="t")


def test_a_query_that_takes_too_much_is_worth_a_retry(opened: ClickHouseStore) -> None:
    with pytest.raises(StoreUnavailable, match="TIMEOUT_EXCEEDED"):
        opened.query("SELECT count() FROM numbers(1000000000000) SETTINGS max_execution_time = 1")
    with pytest.raises(StoreUnavailable, match="MEMORY_LIMIT_EXCEEDED"):
        opened.query("SELECT groupArray(number) FROM numbers(100000000) SETTINGS max_memory_usage = 10000000")


def test_threads_share_the_store(opened: ClickHouseStore) -> None:
    def work(worker: int) -> int:
        for turn in range(4):
            first = worker * 1000 + turn * 10
            opened.insert("inferences_raw", inferences(first, first + 10), token=f"{first}")
        return opened.query("SELECT {worker:UInt32} AS worker", {"worker": worker})["worker"][0].as_py()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == list(range(8))
    assert count(opened, "inferences") == 8 * 4 * 10


def test_a_closed_store_says_so(opened: ClickHouseStore) -> None:
    opened.close()
    with pytest.raises(Permanent, match="closed"):
        opened.query("SELECT 1")


def test_what_was_inserted_survives_closing(store_settings: StoreSettings) -> None:
    migrate(store_settings)
    with open_store(store_settings) as first:
        first.insert("inferences_raw", inferences(0, 5), token="t")
    with open_store(store_settings) as second:
        second.insert("inferences_raw", inferences(0, 5), token="t")
        assert count(second, "inferences") == 5


def test_what_a_killed_server_had_taken_is_there_when_it_is_back(tmp_path: Path, store_settings: StoreSettings) -> None:
    with EngineServer(tmp_path / "shared") as server:
        settings = store_settings.model_copy(update={"dsn": SecretStr(server.dsn)})
        migrate(settings)
        with open_store(settings) as store:
            store.insert("inferences_raw", inferences(0, 5), token="t")
            server.kill()
            with pytest.raises(StoreUnavailable):
                store.insert("inferences_raw", inferences(0, 5), token="t")
            server.start()
            store.insert("inferences_raw", inferences(0, 5), token="t")
            assert count(store, "inferences") == 5


def test_a_second_process_is_told_who_holds_the_folder_and_where_to_ask(
    store: ClickHouseStore, store_settings: StoreSettings, tmp_path: Path
) -> None:
    script = (
        "import sys; from pydantic import SecretStr; from inferwatch.schemas.settings import StoreSettings;"
        "from inferwatch.schemas.errors import Misconfigured;"
        "from inferwatch.infra.clickhouse.store import open_store\n"
        "try: open_store(StoreSettings(dsn=SecretStr(sys.argv[1])))\n"
        "except Misconfigured as error: print(error)"
    )
    dsn = store_settings.dsn.get_secret_value()
    done = subprocess.run([sys.executable, "-c", script, dsn], capture_output=True, text=True, timeout=120)
    assert str(tmp_path / "store") in done.stdout
    assert "One process" in done.stdout
    assert "HTTP endpoint" in done.stdout


@pytest.mark.parametrize(
    "dsn",
    [
        "mysql://user:geheim@host/db",
        "clickhouse://user:ge/heim@host:x",
        "clickhouse://user:geheim@host:99999",
        "geheim",
    ],
)
def test_a_wrong_dsn_names_the_allowed_forms_and_not_the_password(dsn: str) -> None:
    with pytest.raises(Misconfigured, match=r"store\.dsn") as caught:
        open_store(StoreSettings(dsn=SecretStr(dsn)))
    assert "clickhouses://" in str(caught.value)
    assert "chdb:///" in str(caught.value)
    assert "heim" not in str(caught.value)


def test_a_server_that_does_not_answer_is_worth_a_retry() -> None:
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1") as caught:
        open_store(StoreSettings(dsn=SecretStr("clickhouse://user:geheim@127.0.0.1:1")))
    assert "geheim" not in str(caught.value)


def test_a_missing_database_names_the_remedy(store_settings: StoreSettings) -> None:
    with pytest.raises(Misconfigured, match="inferwatch migrate"):
        open_store(store_settings)


def test_a_relative_folder_is_taken_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = StoreSettings(dsn=SecretStr("chdb://deep/down/store"))
    migrate(settings)
    open_store(settings).close()
    assert (tmp_path / "deep" / "down" / "store").is_dir()


def test_an_answer_that_ends_in_the_middle_is_asked_for_again(tmp_path: Path, store_settings: StoreSettings) -> None:
    with EngineServer(tmp_path / "shared", faults=True) as server:
        shared = store_settings.model_copy(update={"dsn": SecretStr(server.dsn)})
        migrate(shared)
        with open_store(shared) as store:
            store.insert("inferences_raw", inferences(0, 5), token="t")
            server.disturb("broken", 60)
            with pytest.raises(StoreUnavailable, match="cannot read the answer"):
                store.query("SELECT id, input, output FROM inferences")
            server.disturb("none", 0)
            assert count(store, "inferences") == 5


def test_a_server_that_answers_too_late_has_done_the_work_once(tmp_path: Path, store_settings: StoreSettings) -> None:
    with EngineServer(tmp_path / "shared", faults=True) as server:
        migrate(store_settings.model_copy(update={"dsn": SecretStr(server.dsn)}))
        quick = {"dsn": SecretStr(server.dsn), "answer_timeout": timedelta(seconds=1)}
        with open_store(store_settings.model_copy(update=quick)) as store:
            server.disturb("late", 2)
            with pytest.raises(StoreUnavailable, match="timed out"):
                store.insert("inferences_raw", inferences(0, 5), token="t")
            server.disturb("none", 0)
            assert count(store, "inferences_raw") == 5
            store.insert("inferences_raw", inferences(0, 5), token="t")
            assert count(store, "inferences") == 5
