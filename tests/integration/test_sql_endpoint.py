"""The SQL endpoint over a real socket on the real engine, asked by an unmodified clickhouse-connect and as by curl."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import clickhouse_connect
import pyarrow as pa
import pytest
import urllib3
from aiohttp import web
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from pydantic import SecretStr

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.infra.web.sql import DASHBOARD, add_sql_routes
from inferwatch.schemas.settings import Settings, StoreSettings, WebSettings

START = datetime(2026, 3, 1, tzinfo=UTC)
PASSWORD = "correct horse"


@dataclass(frozen=True)
class Endpoint:
    """A running endpoint; ``ask`` is one raw request."""

    port: int

    def ask(
        self,
        sql: str = "",
        *,
        method: str = "POST",
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        **args: str,
    ) -> urllib3.BaseHTTPResponse:
        query = urlencode(args | ({"query": sql} if sql else {}))
        return urllib3.request(
            method,
            f"http://127.0.0.1:{self.port}/?{query}",
            body=body or None,
            headers=headers or {},
            retries=False,
            timeout=30,
        )


def serve(store: ClickHouseStore, settings: Settings) -> Iterator[Endpoint]:
    """Run the endpoint in a thread with a loop of its own until the test is over."""
    started, port = threading.Event(), [0]
    loop = asyncio.new_event_loop()

    async def dashboard(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<h1>dashboard</h1>", content_type="text/html")

    async def start() -> web.AppRunner:
        app = web.Application()
        add_sql_routes(app, settings, store)
        app[DASHBOARD] = dashboard
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port[0] = runner.addresses[0][1]
        started.set()
        return runner

    def run() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(30)
    yield Endpoint(port[0])
    loop.call_soon_threadsafe(loop.stop)
    thread.join(60)
    assert not thread.is_alive()


@pytest.fixture
def filled(store: ClickHouseStore) -> ClickHouseStore:
    rows = pa.table(
        {
            "id": [f"id-{n}" for n in range(100)],
            "application": ["shop" if n % 2 else "bank" for n in range(100)],
            "timestamp": pa.array([START + timedelta(minutes=n) for n in range(100)], pa.timestamp("ms", "UTC")),
            "ingested_at": pa.array([START] * 100, pa.timestamp("ms", "UTC")),
        }
    )
    store.insert("inferences_raw", rows, token="t")
    return store


@pytest.fixture
def endpoint(filled: ClickHouseStore, store_settings: StoreSettings) -> Iterator[Endpoint]:
    web_settings = WebSettings(sql_max_seconds=2, sql_max_memory_mb=400, sql_max_rows=20_000)
    yield from serve(filled, Settings(store=store_settings, web=web_settings))


@pytest.fixture
def guarded(filled: ClickHouseStore, store_settings: StoreSettings) -> Iterator[Endpoint]:
    web_settings = WebSettings(user="ana", password=SecretStr(PASSWORD))
    yield from serve(filled, Settings(store=store_settings, web=web_settings))


@pytest.fixture
def client(endpoint: Endpoint) -> Iterator[Client]:
    with clickhouse_connect.get_client(host="127.0.0.1", port=endpoint.port) as opened:
        yield opened


# An unmodified client


def test_a_client_queries_with_parameters(client: Client) -> None:
    found = client.query(
        "SELECT id, timestamp FROM inferences "
        "WHERE application = {app:String} AND timestamp >= {at:DateTime64(3, 'UTC')} ORDER BY timestamp LIMIT 2",
        parameters={"app": "shop", "at": START + timedelta(minutes=10)},
    )
    assert found.column_names == ("id", "timestamp")
    assert found.result_rows == [("id-11", datetime(2026, 3, 1, 0, 11)), ("id-13", datetime(2026, 3, 1, 0, 13))]  # noqa: DTZ001


@pytest.mark.parametrize("text", ["it's", "back\\slash", "tab\tline\n", "ünï", "x" * 200_000])
def test_a_client_sends_any_text_as_parameter(client: Client, text: str) -> None:
    assert client.query("SELECT {x:String}, {xs:Array(String)}", parameters={"x": text, "xs": [text]}).result_rows == [
        (text, [text])
    ]


def test_a_client_reads_frames_arrow_arrays_and_streams(client: Client) -> None:
    frame = client.query_df(
        "SELECT application, count() AS n FROM inferences GROUP BY application ORDER BY application"
    )
    assert frame.to_dict("list") == {"application": ["bank", "shop"], "n": [50, 50]}
    arrow = client.query_arrow("SELECT id, toString(application) AS app FROM inferences ORDER BY timestamp LIMIT 1")
    assert arrow.to_pylist() == [{"id": "id-0", "app": "bank"}]
    assert client.query_np("SELECT number FROM numbers(3)").ravel().tolist() == [0, 1, 2]
    with client.query_row_block_stream("SELECT number, repeat('x', 200) FROM numbers(20000)") as blocks:
        assert sum(row[0] for block in blocks for row in block) == 19_999 * 10_000
    assert client.raw_query("SELECT 1 AS a", fmt="JSONEachRow") == b'{"a":1}\n'
    assert client.command("SELECT count() FROM inferences") == 100
    assert client.ping()


def test_a_client_gets_the_columns_of_an_empty_result(client: Client) -> None:
    found = client.query(
        "SELECT id, timestamp, scores FROM inferences WHERE id = {id:String}", parameters={"id": "none"}
    )
    assert found.result_rows == []
    assert found.column_names == ("id", "timestamp", "scores")


def test_a_client_cannot_write(client: Client, filled: ClickHouseStore) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.command("DROP TABLE inferences_raw")
    assert caught.value.code == 164
    for compress in (False, "gzip"):
        client.write_compression = compress or None
        with pytest.raises(DatabaseError) as caught:
            client.insert("inferences_raw", [["x", "\xff"]], column_names=["id", "application"])
        assert caught.value.code == 164
    assert filled.query("SELECT count() AS n FROM inferences")["n"].to_pylist() == [100]


def test_a_client_with_a_password(guarded: Endpoint) -> None:
    with clickhouse_connect.get_client(
        host="127.0.0.1", port=guarded.port, username="ana", password=PASSWORD, database="default"
    ) as opened:
        assert opened.command("SELECT count() FROM inferences") == 100
    with pytest.raises(DatabaseError) as caught:
        clickhouse_connect.get_client(host="127.0.0.1", port=guarded.port, username="ana", password="wrong")
    assert caught.value.code == 516


# curl


def test_the_query_comes_as_argument_as_body_or_as_both(endpoint: Endpoint) -> None:
    assert endpoint.ask("SELECT 1", method="GET").data == b"1\n"
    assert endpoint.ask("SELECT 1").data == b"1\n"
    assert endpoint.ask(body=b"SELECT 2;").data == b"2\n"
    assert endpoint.ask("SELECT count()", body=b"FROM inferences -- all of them").data == b"100\n"
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # what curl -d says
    assert endpoint.ask(body=b"SELECT 'a=b&c'", headers=form).data == b"a=b&c\n"
    assert endpoint.ask(body=gzip.compress(b"SELECT 3"), headers={"Content-Encoding": "gzip"}).data == b"3\n"


def test_parameters_come_as_arguments_or_form_fields(endpoint: Endpoint) -> None:
    sql = "SELECT count() FROM inferences WHERE application = {app:String}"
    assert endpoint.ask(sql, method="GET", param_app="shop").data == b"50\n"
    body, kind = urllib3.encode_multipart_formdata({"query": sql, "param_app": "shop"})
    assert endpoint.ask(body=body, headers={"Content-Type": kind}).data == b"50\n"
    assert endpoint.ask("SELECT {x:String} FORMAT JSONCompactEachRow", param_x="a\\tb'").data == b'["a\\tb\'"]\n'
    assert (
        endpoint.ask("SELECT sum(x) FROM (SELECT arrayJoin({xs:Array(UInt8)}) AS x)", param_xs="[1,2]").data == b"3\n"
    )
    assert endpoint.ask("SELECT count() FROM {table:Identifier}", param_table="inferences").data == b"100\n"


def test_the_format_is_the_querys_the_headers_or_the_default(endpoint: Endpoint) -> None:
    def told(answer: urllib3.BaseHTTPResponse) -> tuple[str, str]:
        return answer.headers["X-ClickHouse-Format"], answer.headers["Content-Type"].partition(";")[0]

    assert told(endpoint.ask("SELECT 1")) == ("TabSeparated", "text/tab-separated-values")
    answer = endpoint.ask("SELECT 1 AS a FORMAT JSONEachRow", default_format="CSV")
    assert (answer.data, told(answer)) == (b'{"a":1}\n', ("JSONEachRow", "application/x-ndjson"))
    answer = endpoint.ask("SELECT 'a'", default_format="CSV")
    assert (answer.data, told(answer)) == (b'"a"\n', ("CSV", "text/csv"))
    answer = endpoint.ask("SELECT 1 AS a", headers={"X-ClickHouse-Format": "JSON"})
    assert (json.loads(answer.data)["data"], told(answer)) == ([{"a": 1}], ("JSON", "application/json"))
    assert endpoint.ask("SELECT 'FORMAT CSV' AS `FORMAT`").data == b"FORMAT CSV\n"
    assert endpoint.ask("SELECT 1", default_format="Nonsense").status == 404
    assert endpoint.ask("SELECT 1", default_format="CSV SETTINGS x=1").status == 404


def test_answers_carry_clickhouse_headers(endpoint: Endpoint) -> None:
    answer = endpoint.ask("SELECT 1", query_id="mine")
    assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
    assert answer.headers["X-ClickHouse-Timezone"] == "UTC"
    summary = json.loads(answer.headers["X-ClickHouse-Summary"])
    assert summary["result_bytes"] == "2"
    assert int(summary["elapsed_ns"]) > 0


def test_answers_are_compressed_when_asked(endpoint: Endpoint) -> None:
    headers = {"Accept-Encoding": "gzip"}
    small = endpoint.ask("SELECT repeat('x', 100000)", headers=headers, enable_http_compression="1")
    assert small.headers["Content-Encoding"] == "gzip"
    assert small.data == b"x" * 100_000 + b"\n"
    assert "Content-Encoding" not in endpoint.ask("SELECT 1", headers=headers).headers


def test_the_root_answers_health_checks_and_browsers(endpoint: Endpoint) -> None:
    assert endpoint.ask(method="GET").data == b"Ok.\n"
    assert b"dashboard" in endpoint.ask(method="GET", headers={"Accept": "text/html,*/*"}).data
    assert endpoint.ask("SELECT 1", method="GET", headers={"Accept": "text/html,*/*"}).data == b"1\n"
    ping = urllib3.request("GET", f"http://127.0.0.1:{endpoint.port}/ping", timeout=30)
    assert (ping.status, ping.data) == (200, b"Ok.\n")


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELEC 1", 400, 62),
        ("SELECT 1; SELECT 2", 400, 62),
        ("", 400, 62),
        ("SELECT * FROM nope", 404, 60),
        ("SELECT nope FROM inferences", 404, 47),
        ("SELECT nope(1)", 404, 46),
        ("SELECT * FROM nope.nope", 404, 81),
        ("SELECT {x:String}", 400, 456),
        ("SELECT throwIf(1)", 500, 395),
        ("SELECT count() FROM numbers(1000000000000)", 408, 159),
        ("SELECT sum(sleepEachRow(1)) FROM numbers(100) SETTINGS max_block_size = 1", 403, 164),
        ("SELECT length(range(100000000 + number)) FROM numbers(1)", 500, 241),
        ("SELECT * FROM numbers(20001)", 500, 396),
        ("SELECT repeat('x', 1000000) FROM numbers(1000)", 500, 241),
    ],
)
def test_failures_have_clickhouse_status_and_code(endpoint: Endpoint, sql: str, status: int, code: int) -> None:
    answer = endpoint.ask(body=sql.encode() or b" ")
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (status, str(code)), answer.data
    assert answer.data.startswith(f"Code: {code}. DB::Exception: ".encode())


def test_a_client_may_lower_limits_and_not_raise_them(endpoint: Endpoint) -> None:
    ask = "SELECT getSetting({name:String})"
    assert endpoint.ask(ask, param_name="max_execution_time", max_execution_time="1").data == b"1\n"
    assert endpoint.ask(ask, param_name="max_execution_time", max_execution_time="1000").data == b"2\n"
    assert endpoint.ask(ask, param_name="max_execution_time", max_execution_time="0").data == b"2\n"
    assert endpoint.ask(ask, param_name="max_result_rows", max_result_rows="-1").data == b"20000\n"
    assert endpoint.ask(ask, param_name="readonly", readonly="0").data == b"1\n"
    assert endpoint.ask(ask, param_name="result_overflow_mode", result_overflow_mode="break").data == b"throw\n"


def test_settings_of_clients_do_no_harm(endpoint: Endpoint, tmp_path: Path) -> None:
    answer = endpoint.ask(
        "SELECT 1 AS a FORMAT JSONEachRow",
        session_id="s",
        session_timeout="60",
        wait_end_of_query="1",
        client_protocol_version="54468",
        buffer_size="1000",
        send_progress_in_http_headers="1",
        output_format_json_quote_64bit_integers="1",
        output_format_schema=str(tmp_path / "schema"),
        nonsense="1",
    )
    assert (answer.status, answer.data) == (200, b'{"a":1}\n')
    assert not (tmp_path / "schema").exists()


def test_many_ask_at_once(endpoint: Endpoint) -> None:
    answers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(endpoint.ask(f"SELECT {n} FROM inferences LIMIT 1").data))
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, answers)) == list(range(16))


def test_a_client_that_leaves_frees_its_thread(endpoint: Endpoint) -> None:
    for _ in range(8):
        with pytest.raises(urllib3.exceptions.TimeoutError):
            urllib3.request(
                "POST",
                f"http://127.0.0.1:{endpoint.port}/",
                body=b"SELECT count() FROM numbers(1000000000000)",
                timeout=0.05,
                retries=False,
            )
    assert endpoint.ask("SELECT 1").data == b"1\n"


# Who may ask


@pytest.mark.parametrize(
    "headers",
    [
        {"X-ClickHouse-User": "ana", "X-ClickHouse-Key": PASSWORD},
        {"X-ClickHouse-Key": PASSWORD},
        urllib3.make_headers(basic_auth=f"ana:{PASSWORD}"),
    ],
)
def test_credentials_are_taken_from_headers(guarded: Endpoint, headers: dict[str, str]) -> None:
    assert guarded.ask("SELECT 1", headers=headers).data == b"1\n"


def test_credentials_are_taken_from_arguments(guarded: Endpoint) -> None:
    assert guarded.ask("SELECT 1", user="ana", password=PASSWORD).data == b"1\n"
    assert guarded.ask("SELECT 1", user="ana", password="x").status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"X-ClickHouse-User": "ana"},
        {"X-ClickHouse-User": "default", "X-ClickHouse-Key": PASSWORD},
        {"X-ClickHouse-User": "ana", "X-ClickHouse-Key": PASSWORD + "x"},
        urllib3.make_headers(basic_auth="ana:"),
        {"Authorization": "Basic %%%"},
        {"Authorization": "Bearer x"},
        # The first that is there counts, and only that.
        {"X-ClickHouse-Key": "wrong"} | urllib3.make_headers(basic_auth=f"ana:{PASSWORD}"),
    ],
)
def test_wrong_credentials_are_refused(guarded: Endpoint, headers: dict[str, str]) -> None:
    answer = guarded.ask("SELECT 1", headers=headers)
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
    assert PASSWORD.encode() not in answer.data


def test_missing_credentials_are_asked_for(guarded: Endpoint) -> None:
    answer = guarded.ask("SELECT 1")
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (401, "194")
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_without_a_password_the_default_user_needs_none_and_others_are_refused(endpoint: Endpoint) -> None:
    assert endpoint.ask("SELECT 1", headers={"X-ClickHouse-User": "default"}).data == b"1\n"
    assert endpoint.ask("SELECT 1", user="admin").status == 403


def test_without_a_password_a_foreign_host_name_is_refused(endpoint: Endpoint) -> None:
    assert endpoint.ask("SELECT 1", headers={"Host": f"localhost:{endpoint.port}"}).status == 200
    assert endpoint.ask("SELECT 1", headers={"Host": "rebound.example"}).status in (401, 403)


# What must not be possible

WRITES = [
    "INSERT INTO inferences_raw (id) VALUES ('x')",
    "INSERT INTO FUNCTION file('{out}') SELECT 1",
    "WITH x AS (SELECT 1) INSERT INTO inferences_raw (id) SELECT '1' FROM x",
    "CREATE TABLE x (a Int8) ENGINE = Memory",
    "CREATE TABLE x ENGINE = File(CSV) AS SELECT 1",
    "CREATE TEMPORARY TABLE x (a Int8)",
    "CREATE DATABASE x",
    "CREATE FUNCTION f AS x -> x",
    "CREATE USER u",
    "CREATE NAMED COLLECTION n AS a = 1",
    "DROP TABLE inferences_raw",
    "/* harmless */ DROP TABLE inferences_raw",
    "-- harmless\nDROP TABLE inferences_raw",
    "# harmless\nTRUNCATE TABLE inferences_raw",
    "ALTER TABLE inferences_raw DELETE WHERE 1",
    "DELETE FROM inferences_raw WHERE 1",
    "UPDATE inferences_raw SET output = '' WHERE 1",
    "RENAME TABLE inferences_raw TO y",
    "OPTIMIZE TABLE inferences_raw FINAL",
    "ATTACH TABLE x FROM '/tmp/x' (a Int8) ENGINE = MergeTree ORDER BY a",
    "DETACH TABLE inferences_raw",
    "BACKUP TABLE inferences_raw TO File('{out}')",
    "RESTORE TABLE inferences_raw FROM File('{out}')",
    "SYSTEM FLUSH LOGS",
    "SYSTEM SHUTDOWN",
    "SYSTEM STOP MERGES",
    "KILL QUERY WHERE 1",
    "GRANT ALL ON *.* TO default",
    "SET readonly = 0",
    "SET max_execution_time = 1000",
    "SET param_x = 1",
    "USE default",
    "CHECK TABLE inferences_raw",
    "BEGIN TRANSACTION",
    "SELECT 1; DROP TABLE inferences_raw",
    "SELECT 1 PARALLEL WITH SELECT 2",
    "SELECT 1 PARALLEL WITH DROP TABLE inferences_raw",
    "SELECT 1 PARALLEL WITH SYSTEM STOP MERGES",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_execution_time = 1000",
    "SELECT 1 FORMAT Template SETTINGS format_template_row = '/etc/passwd'",
    "SELECT 1 FORMAT CapnProto SETTINGS output_format_schema = '{out}'",
    "SELECT 1 INTO OUTFILE '{out}'",
    "select 1 into/**/outfile '{out}' format CSV",
    "SELECT 1 INTO -- x\n OUTFILE ‘{out}’",
    "(SELECT 1) INTO OUTFILE '{out}' APPEND",
    "SELECT 'it''s \\' INTO' INTO OUTFILE '{out}' TRUNCATE",
    "SELECT 1 INTO OUTFILE '{out}' AND STDOUT",
    "SHOW TABLES INTO OUTFILE '{out}'",
    "EXPLAIN SELECT 1 INTO OUTFILE '{out}'",
    "DESCRIBE TABLE inferences INTO OUTFILE '{out}'",
    "SELECT $$x$$ INTO OUTFILE $${out}$$",
]
READS = [
    "SELECT file('{secret}')",
    "SELECT FiLe('{secret}')",
    "SELECT `file`('{secret}')",
    "SELECT \"file\" ( '{secret}' )",
    "WITH (SELECT file('{secret}')) AS x SELECT x",
    "SELECT arrayMap(x -> file(x), ['{secret}'])",
    "SELECT arrayMap(file, ['{secret}'])",
    "WITH file AS f SELECT arrayMap(f, ['{secret}'])",
    "SELECT arrayFilter(`file`, ['{secret}'])",
    "SELECT * APPLY(file) FROM (SELECT '{secret}' AS a)",
    "SELECT * APPLY file FROM (SELECT '{secret}' AS a)",
    "SELECT COLUMNS('a') APPLY(`file`) FROM (SELECT '{secret}' AS a)",
    "SELECT * APPLY(x -> file(x)) FROM (SELECT '{secret}' AS a)",
    "SELECT * FROM file('{secret}')",
    "SELECT * FROM view(SELECT * FROM file('{secret}'))",
    "SELECT * FROM (SELECT * FROM file('{secret}', 'LineAsString'))",
    "DESCRIBE file('{secret}')",
    "DESCRIBE TABLE file('{secret}')",
    "EXPLAIN SELECT * FROM file('{secret}')",
    "SELECT * FROM filesystem('/')",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM `{secret}`",
    "SELECT * FROM default.`{secret}`",
    'SELECT * FROM "default"."{secret}"',
    "DESCRIBE default.`{secret}`",
    "SHOW CREATE TABLE default.`{secret}`",
    "EXISTS TABLE default.`{secret}`",
    "SELECT 1 WHERE '' IN default.`{secret}`",
    "SELECT hasColumnInTable('default', '{secret}', 'a')",
    "SELECT * FROM merge('default', '.*')",
    "SELECT * FROM python('store')",
    "SELECT * FROM Python(store)",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT * FROM arrowstream('x')",
    "SELECT * FROM url('http://127.0.0.1:{port}/ping', 'LineAsString')",
    "DESCRIBE url('http://127.0.0.1:{port}/ping', 'CSV')",
    "SELECT * FROM s3('http://127.0.0.1:{port}/bucket/ping', 'LineAsString')",
    "SELECT * FROM remote('127.0.0.1:{port}', system.one)",
    "SELECT * FROM remoteSecure('127.0.0.1:{port}', system.one)",
    "SELECT * FROM clusterAllReplicas('default', system.one)",
    "SELECT * FROM mysql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "SELECT * FROM postgresql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "SELECT * FROM mongodb('127.0.0.1:{port}', 'd', 't', 'u', 'p', 'a String')",
    "SELECT * FROM redis('127.0.0.1:{port}', 'k', 'k String')",
    "SELECT * FROM sqlite('{secret}', 't')",
    "SELECT * FROM jdbc('jdbc:x', 't')",
    "SELECT * FROM hdfs('hdfs://127.0.0.1:{port}/x', 'LineAsString')",
    "SELECT * FROM azureBlobStorage('x', 'y', 'z')",
    "SELECT * FROM icebergLocal('/tmp')",
    "SELECT * FROM deltaLakeLocal('/tmp')",
    "SELECT * FROM executable('id', 'CSV', 'a String')",
    "SELECT * FROM dictionary('x')",
    "SELECT * FROM input('a String')",
    "SELECT * FROM loop(system.one)",
    "SELECT aiGenerate('x')",
    "SELECT getClientHTTPHeader('Authorization')",
    "SELECT * FROM system.stack_trace",
    "SELECT * FROM `system`.`named_collections`",
]


@pytest.mark.timeout(240)
def test_nothing_is_written_and_nothing_but_the_tables_is_read(
    endpoint: Endpoint, filled: ClickHouseStore, tmp_path: Path
) -> None:
    out, secret = tmp_path / "out.csv", tmp_path / "secret.csv"
    secret.write_text("a,b\ntop,secret\n")
    tables = filled.query("SHOW TABLES").num_rows
    for attack in WRITES + READS:
        sql = attack.replace("{out}", str(out)).replace("{secret}", str(secret)).replace("{port}", str(endpoint.port))
        answer = endpoint.ask(body=sql.encode())
        assert answer.status in (400, 403, 404), (sql, answer.status, answer.data)
        assert b"secret\n" not in answer.data
        assert not out.exists(), sql
    found = filled.query("SELECT count() AS n, countIf(output != '') AS changed FROM inferences_raw")
    assert found.to_pylist() == [{"n": 100, "changed": 0}]
    assert filled.query("SHOW TABLES").num_rows == tables


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("SELECT * FROM {db:Identifier}.{t:Identifier}", {"param_db": "default", "param_t": "SECRET"}),
        ("SELECT * FROM {t:Identifier}", {"param_t": "default.SECRET"}),
        ("SELECT * FROM {t:Identifier}", {"param_t": "SECRET", "database": "default"}),
        ("SELECT * FROM {t:Identifier}", {"param_t": "`default`.`SECRET`"}),
        ("SELECT * FROM {db:Identifier}.stack_trace", {"param_db": "system"}),
        ("SELECT * FROM `SECRET`", {"database": "default"}),
        ("SELECT arrayMap({f:Identifier}, ['SECRET'])", {"param_f": "file"}),
        ("SELECT * FROM stack_trace", {"database": "system"}),
        ("SELECT 1", {"database": "x`; DROP TABLE inferences_raw"}),
    ],
)
def test_parameters_and_databases_lead_nowhere_else(
    endpoint: Endpoint, tmp_path: Path, sql: str, parameters: dict[str, str]
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\ntop,secret\n")
    arguments = {name: value.replace("SECRET", str(secret)) for name, value in parameters.items()}
    answer = endpoint.ask(sql.replace("SECRET", str(secret)), **arguments)
    assert answer.status in (400, 403, 404), answer.data
    assert b"top" not in answer.data


HARMLESS = [
    "SELECT 'x' AS into, 1 AS outfile",
    "SELECT 'INTO OUTFILE' AS text",
    "SELECT format('{}-{}', 'a', 'b')",
    "SELECT tags['file'], 'file(x)' FROM inferences",
    "SELECT max(id) AS `default` FROM inferences",
    "WITH 1 AS x SELECT x",
    "FROM inferences SELECT count()",
    "(SELECT 1) UNION ALL (SELECT 2)",
    "SELECT i.id FROM inferences AS i JOIN embeddings AS e USING (application, id)",
    "SELECT arrayMap(x -> x + 1, [1, 2]), CASE WHEN 1 THEN 2 ELSE 3 END, now() - INTERVAL 1 DAY",
    "SELECT application, quantile(0.95)(latency_ms) OVER (PARTITION BY application) FROM inferences",
    "SELECT * EXCEPT (contexts) FROM inferences ORDER BY timestamp LIMIT 5 BY application",
    "SELECT toStartOfHour(timestamp) AS hour, uniq(id) FROM inferences GROUP BY hour WITH TOTALS",
    "SHOW TABLES",
    "SHOW DATABASES",
    "SHOW CREATE TABLE inferences",
    "DESCRIBE TABLE inferences",
    "EXISTS TABLE inferences",
    "EXPLAIN indexes = 1 SELECT * FROM inferences WHERE application = 'shop'",
    "SELECT name FROM system.tables WHERE database = currentDatabase()",
    "SELECT * FROM information_schema.tables LIMIT 1",
    "SELECT number FROM numbers(5)",
    "SELECT * FROM values('a UInt8, b String', (1, 'x'))",
    "SELECT 1 FORMAT Null",
]


@pytest.mark.parametrize("sql", HARMLESS)
def test_ordinary_queries_pass(endpoint: Endpoint, sql: str) -> None:
    answer = endpoint.ask(body=sql.encode())
    assert answer.status == 200, answer.data


def test_the_sql_command_asks_the_service_that_holds_the_folder(
    endpoint: Endpoint, store_settings: StoreSettings
) -> None:
    environ = os.environ | {
        "INFERWATCH__STORE__DSN": store_settings.dsn.get_secret_value(),
        "INFERWATCH__WEB__PORT": str(endpoint.port),
    }
    script = "from inferwatch.infra.cli import main; main()"
    command = [sys.executable, "-c", script, "sql", "--format", "CSV"]

    def run(query: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, query], env=environ, capture_output=True, text=True, timeout=120, cwd="/")

    assert run("SELECT count(), 'ü' FROM inferences").stdout == '100,"ü"\n'
    refused = run("DROP TABLE inferences_raw")
    assert refused.returncode == 1
    assert "Only reading statements" in refused.stderr
    environ["INFERWATCH__WEB__PORT"] = "1"
    nobody = run("SELECT 1")
    assert nobody.returncode == 2
    assert "inferwatch up" in nobody.stderr
