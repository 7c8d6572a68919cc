"""Migrations on the real engine: applied once, safe to repeat and to race, and the views use the keys."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from inferwatch.infra.cli.migrate import migrate as migrate_command
from inferwatch.infra.cli.options import Configuration
from inferwatch.infra.cli.sql import sql as sql_command
from inferwatch.infra.clickhouse import migrate as module
from inferwatch.infra.clickhouse.migrate import LONGEST_DAYS, Migration, migrate, migrations
from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.schemas.errors import Misconfigured, Permanent
from inferwatch.schemas.settings import StoreSettings

MILLIS = pa.timestamp("ms", "UTC")
START = datetime(2026, 3, 1, tzinfo=UTC)


def with_retention(settings: StoreSettings, **days: int) -> StoreSettings:
    return settings.model_copy(update={"retention": settings.retention.model_copy(update=days)})


def test_the_first_start_applies_every_file_and_the_second_none(store_settings: StoreSettings) -> None:
    assert migrate(store_settings) == [migration.name for migration in migrations()]
    assert migrate(store_settings) == []


def test_starts_at_once_do_no_harm(store_settings: StoreSettings) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(migrate, [store_settings] * 4))
    assert {name for names in done for name in names} == {migration.name for migration in migrations()}
    assert migrate(store_settings) == []
    with open_store(store_settings) as store:
        assert store.query("SELECT count() AS n FROM inferences")["n"].to_pylist() == [0]
        assert store.query("SELECT count() AS n FROM schema_migrations FINAL")["n"].to_pylist() == [len(migrations())]


def test_a_start_that_crashed_half_way_is_completed(
    store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = migrations()[0]
    torn = Migration(first.name, first.script + ";\nSELECT throwIf(1, 'crash')")
    with monkeypatch.context() as patched:
        patched.setattr(module, "migrations", lambda: [torn])
        with pytest.raises(Permanent, match="crash"):
            migrate(store_settings)
    assert migrate(store_settings) == [migration.name for migration in migrations()]


def test_an_applied_file_that_changed_is_refused_by_name(
    store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(store_settings)
    first, *rest = migrations()
    monkeypatch.setattr(module, "migrations", lambda: [Migration(first.name, first.script + "\n-- edited"), *rest])
    with pytest.raises(Misconfigured, match=rf"{first.name} was changed .* put the change into a new one"):
        migrate(store_settings)


def test_a_new_file_is_applied_alone(store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(store_settings)
    script = "CREATE TABLE IF NOT EXISTS ${database}.extra ${on_cluster} (a Int8) ENGINE = MergeTree ORDER BY a"
    monkeypatch.setattr(module, "migrations", lambda: [*migrations(), Migration("9999_extra", script)])
    assert migrate(store_settings) == ["9999_extra"]


def test_a_changed_retention_moves_the_ttl_of_the_tables_it_is_about(store_settings: StoreSettings) -> None:
    migrate(store_settings)
    done = migrate(with_retention(store_settings, embeddings_days=9_000))
    assert len(done) == 2
    assert "embeddings_raw" in done[0]
    assert "drift_windows_raw" in done[1]
    assert migrate(with_retention(store_settings, embeddings_days=9_000)) == []
    with open_store(store_settings) as store:
        ddl = store.query(
            "SELECT name, create_table_query AS ddl FROM system.tables WHERE database = currentDatabase() "
            "AND name IN ('embeddings_raw', 'inferences_raw')"
        ).to_pylist()
    assert {row["name"]: "toIntervalDay(9000)" in row["ddl"] for row in ddl} == {
        "embeddings_raw": True,
        "inferences_raw": False,
    }


def test_rows_past_their_retention_go_and_the_others_stay(store_settings: StoreSettings) -> None:
    settings = with_retention(store_settings, inferences_days=5_000)
    migrate(settings)
    with open_store(settings) as store:
        arrived = [datetime(2010, 1, 1, tzinfo=UTC), START]
        rows = {"id": ["old", "new"], "timestamp": [START] * 2, "ingested_at": arrived}
        for n in range(2):
            part = pa.table({name: values[n : n + 1] for name, values in rows.items()})
            store.insert("inferences_raw", part, token=str(n))
        assert store.query("SELECT id FROM inferences")["id"].to_pylist() == ["new"]


@pytest.mark.parametrize("days", [LONGEST_DAYS + 1, 100_000])
def test_a_retention_beyond_the_end_of_time_is_refused(store_settings: StoreSettings, days: int) -> None:
    with pytest.raises(Misconfigured, match=rf"retention\.inferences_days must be at most {LONGEST_DAYS}, got {days}"):
        migrate(with_retention(store_settings, inferences_days=days))


def test_the_longest_retention_keeps_rows(store_settings: StoreSettings) -> None:
    settings = with_retention(store_settings, inferences_days=LONGEST_DAYS)
    migrate(settings)
    with open_store(settings) as store:
        row = {"id": ["x"], "timestamp": pa.array([START], MILLIS), "ingested_at": pa.array([START], MILLIS)}
        store.insert("inferences_raw", pa.table(row), token="t")
        assert store.query("SELECT id FROM inferences")["id"].to_pylist() == ["x"]


def test_two_databases_live_in_one_folder(store_settings: StoreSettings) -> None:
    other = store_settings.model_copy(update={"database": "other"})
    migrate(store_settings)
    migrate(other)
    with open_store(store_settings) as one, open_store(other) as two:
        row = {"id": ["x"], "timestamp": pa.array([START], MILLIS), "ingested_at": pa.array([START], MILLIS)}
        one.insert("inferences_raw", pa.table(row), token="t")
        assert one.query("SELECT id FROM inferences").num_rows == 1
        assert two.query("SELECT id FROM inferences").num_rows == 0


# Reading through the views is cheap


@pytest.fixture
def ten_days(store: ClickHouseStore) -> ClickHouseStore:
    """Ten days of 30,000 rows in two applications, with their metrics."""
    size = 30_000
    for day in range(10):
        start = START + timedelta(days=day)
        times = pa.array([start + timedelta(seconds=2 * n) for n in range(size)], MILLIS)
        rows: dict[str, Any] = {
            "application": ["a" if n % 2 else "b" for n in range(size)],
            "timestamp": times,
            "id": [f"{day}-{n}" for n in range(size)],
            "ingested_at": times,
        }
        store.insert("inferences_raw", pa.table(rows), token=f"i{day}")
        store.insert("embeddings_raw", pa.table({**rows, "field": ["input"] * size}), token=f"e{day}")
        windows = {"window_start": times[:1], "window_end": times[1:2], "revision": pa.array([1], pa.uint32())}
        store.insert("windows_raw", pa.table({**windows, "closed_at": times[:1]}), token=f"w{day}")
        metrics = {**windows, "application": ["a"], "metric": ["m"], "published_at": times[:1]}
        store.insert("window_metrics_raw", pa.table(metrics), token=f"m{day}")
    return store


WINDOW = "application = 'a' AND timestamp >= '2026-03-04 10:00:00' AND timestamp < '2026-03-04 10:05:00'"


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT id, toxicity_input FROM inferences WHERE {WINDOW}",
        f"SELECT tags['x'] AS x, count(), avg(hallucination) FROM inferences WHERE {WINDOW} GROUP BY x",
        f"SELECT vector FROM embeddings WHERE field = 'input' AND {WINDOW}",
    ],
)
def test_a_window_reads_one_part_and_few_granules(ten_days: ClickHouseStore, sql: str) -> None:
    plan = "\n".join(ten_days.query(f"EXPLAIN indexes = 1 {sql}").column(0).to_pylist())
    total = ten_days.query(
        "SELECT count() AS parts, sum(marks) AS marks FROM system.parts WHERE active AND table = 'inferences_raw' "
        "AND database = currentDatabase()"
    ).to_pylist()[0]
    assert total["parts"] >= 10
    assert total["marks"] > 40
    assert "FINAL: 1" in plan
    assert "Parts: 1 | Granules: 1" in plan


def test_metrics_of_one_day_read_that_days_part(ten_days: ClickHouseStore) -> None:
    sql = (
        "SELECT value FROM window_metrics WHERE application = 'a' AND metric = 'm' "
        "AND window_start >= '2026-03-04 00:00:00' AND window_start < '2026-03-05 00:00:00'"
    )
    assert ten_days.query(sql).num_rows == 1
    plan = "\n".join(ten_days.query(f"EXPLAIN indexes = 1 {sql}").column(0).to_pylist())
    assert "Parts: 1 | Granules: 1" in plan


def test_metrics_show_the_latest_published_revision_only(store: ClickHouseStore) -> None:
    window = {"window_start": pa.array([START], MILLIS), "window_end": pa.array([START + timedelta(minutes=5)], MILLIS)}
    for revision in (1, 2, 3):
        stamp = {"revision": pa.array([revision], pa.uint32()), "published_at": pa.array([START], MILLIS)}
        row = {**window, **stamp, "application": ["a"], "metric": ["m"], "value": [float(revision)]}
        store.insert("window_metrics_raw", pa.table(row), token=f"m{revision}")
        if revision < 3:  # The third crashed before its window row was written: it does not exist yet.
            row = {**window, "revision": stamp["revision"], "closed_at": stamp["published_at"]}
            row["rows"] = pa.array([revision * 10], pa.uint64())
            store.insert("windows_raw", pa.table(row), token=f"w{revision}")
    assert store.query("SELECT value FROM window_metrics")["value"].to_pylist() == [2.0]
    assert store.query("SELECT rows, revision FROM windows").to_pylist() == [{"rows": 20, "revision": 2}]


# The commands


class Fixed(Configuration):
    """A configuration that is already read."""

    def __init__(self, store: StoreSettings, port: int = 1) -> None:
        from inferwatch.schemas.settings import Settings, WebSettings

        super().__init__()
        self.__dict__["settings"] = Settings(store=store, web=WebSettings(port=port))


def run(command: Any, store: StoreSettings, *arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(command, arguments, input=text, obj=Fixed(store))


def test_the_commands_migrate_and_query_a_free_store(store_settings: StoreSettings) -> None:
    first = run(migrate_command, store_settings)
    assert first.output.splitlines() == [f"applied {migration.name}" for migration in migrations()]
    assert "up to date" in run(migrate_command, store_settings).output
    answer = run(sql_command, store_settings, "SELECT count() AS n FROM inferences", "--format", "JSONEachRow")
    assert answer.output == '{"n":0}\n'
    assert (
        run(sql_command, store_settings, "-", "--format", "CSV", text="SELECT 'from stdin';").output == '"from stdin"\n'
    )
    refused = run(sql_command, store_settings, "DROP TABLE inferences_raw")
    assert "Only reading statements" in str(refused.exception)
