"""Dashboard, JSON API, health and metrics over HTTP, on the real engine."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from aiohttp import encode_basic_auth
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner
from pydantic import SecretStr

from inferwatch.infra.cli import main
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.infra.web.app import create_app
from inferwatch.infra.web.status import Status
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import Settings, StoreSettings, WebSettings
from inferwatch.streams.references import References

T0 = datetime(2026, 1, 31, 8, tzinfo=UTC)
STEP = timedelta(minutes=5)
MS = pa.timestamp("ms", "UTC")
EVIL = "<img src=x onerror=alert(1)>"
TYPES = {
    "window_start": MS,
    "window_end": MS,
    "closed_at": MS,
    "published_at": MS,
    "at": MS,
    "since": MS,
    "decided_at": MS,
    "created_at": MS,
    "timestamp": MS,
    "ingested_at": MS,
    "labels": pa.map_(pa.string(), pa.string()),
    "n": pa.uint64(),
    "total": pa.uint64(),
    "rows": pa.uint64(),
    "offset": pa.uint64(),
    "revision": pa.uint32(),
    "partition": pa.uint32(),
    "attempt": pa.uint32(),
    "next_attempt_at": MS,
}


def insert(store: ClickHouseStore, table: str, rows: list[dict[str, Any]]) -> None:
    columns = {name: pa.array([row[name] for row in rows], TYPES.get(name)) for name in rows[0]}
    store.insert(table, pa.table(columns), token=f"test/{table}")


def metric(start: datetime, name: str, value: float, *, revision: int = 0, segment: str = "") -> dict[str, Any]:
    return {
        "window_start": start,
        "window_end": start + STEP,
        "application": "support",
        "segment_dimension": "model" if segment else "__all__",
        "segment_value": segment or "__all__",
        "metric": name,
        "value": value,
        "n": 40,
        "total": 50,
        "ci_low": max(0.0, value - 0.1),
        "ci_high": value + 0.1,
        "revision": revision,
        "detail": "{}",
        "published_at": start + STEP,
    }


def transition(alert_id: str, frm: str, to: str, at: datetime) -> dict[str, Any]:
    return {
        "id": f"{alert_id}-{to}",
        "alert_id": alert_id,
        "fingerprint": alert_id[:4],
        "rule": "toxic-answers",
        "severity": "critical",
        "labels": [("application", "support"), ("model", EVIL)],
        "from_state": frm,
        "to_state": to,
        "at": at,
        "since": T0,
        "metric": "toxicity.output.rate",
        "value": 0.3,
        "threshold": "> 0.02",
        "n": 40,
        "detail": "{}",
        "decided_at": at,
    }


@pytest.fixture
def filled(store: ClickHouseStore) -> ClickHouseStore:
    """Three windows, the second published twice; one alert resolved, one firing, one given up; two dead letters."""
    windows, metrics = [], []
    for i, revision in ((0, 0), (1, 0), (1, 1), (2, 0)):
        start = T0 + i * STEP
        windows.append(
            {
                "window_start": start,
                "window_end": start + STEP,
                "revision": revision,
                "rows": 50,
                "closed_at": start + STEP,
            }
        )
        metrics.append(metric(start, "inferences", 50, revision=revision))
        metrics.append(metric(start, "inferences", 20, revision=revision, segment=EVIL))
        value = nan if i == 2 else 0.2 + revision
        metrics.append(metric(start, "toxicity.output.rate", value, revision=revision))
    insert(store, "window_metrics_raw", metrics)
    insert(store, "windows_raw", windows)
    insert(
        store,
        "alerts_raw",
        [
            # Pending and firing at one instant, as a rule without `for` has them.
            transition("aaaa-1", "inactive", "pending", T0 + STEP),
            transition("aaaa-1", "pending", "firing", T0 + STEP),
            transition("bbbb-1", "pending", "firing", T0),
            transition("bbbb-1", "firing", "resolved", T0 + STEP),
            transition("cccc-1", "inactive", "pending", T0),
            transition("cccc-1", "pending", "inactive", T0 + STEP),
        ],
    )
    note = {"status": "firing", "title": "Toxic answers", "summary": "30 %", "examples": [EVIL], "sql": "SELECT 1"}
    insert(
        store,
        "outbox_raw",
        [
            {
                "id": "n1",
                "receiver": "team",
                "alert_id": "aaaa-1",
                "payload": json.dumps(note),
                "at": T0,
                "created_at": T0,
            }
        ],
    )
    insert(
        store,
        "deliveries_raw",
        [
            {
                "id": "n1",
                "receiver": "team",
                "attempt": 1,
                "status": "sent",
                "error": "",
                "next_attempt_at": T0,
                "at": T0,
            }
        ],
    )
    letter = {"topic": "t", "partition": 0, "detail": EVIL, "key": "", "value": "{", "timestamp": T0, "ingested_at": T0}
    insert(
        store,
        "dead_letters_raw",
        [letter | {"offset": 1, "reason": "invalid_json"}, letter | {"offset": 2, "reason": "invalid_json"}],
    )
    return store


Start = Callable[..., Awaitable[TestClient[Any, Any]]]


@pytest.fixture
async def start(store_settings: StoreSettings) -> AsyncIterator[Start]:
    """Start the application on a free port; ``password`` and ``status`` as given."""
    running: list[TestClient[Any, Any]] = []

    async def begin(
        store: ClickHouseStore, *, password: str = "", status: Status | None = None
    ) -> TestClient[Any, Any]:
        settings = Settings(store=store_settings, web=WebSettings(password=SecretStr(password)))
        said: Status = status or {}
        app = create_app(settings, store, status=lambda: said, clock=ManualClock(T0 + 4 * STEP))
        client = TestClient(TestServer(app))
        await client.start_server()
        running.append(client)
        return client

    yield begin
    for client in running:
        await client.close()


async def get(client: TestClient[Any, Any], path: str) -> Any:
    async with client.get(path) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_overview_shows_the_newest_window_the_series_and_what_fires(
    filled: ClickHouseStore, start: Start
) -> None:
    found = await get(await start(filled), "/api/v1/overview")
    assert found["last_window"]["window_start"] == "2026-01-31T08:10:00Z"
    assert found["totals"] == {"windows": 3, "rows": 150}, "a window published twice counts once"
    assert [(one["dimension"], one["value"], one["rows"]) for one in found["series"]] == [
        ("__all__", "__all__", 150),
        ("model", EVIL, 60),
    ]
    assert found["firing"] == 1


async def test_an_empty_store_has_an_overview_too(store: ClickHouseStore, start: Start) -> None:
    client = await start(store)
    found = await get(client, "/api/v1/overview")
    assert found["last_window"] is None
    assert found["series"] == []
    assert await get(client, "/api/v1/alerts") == []
    assert (await get(client, "/api/v1/series?application=none"))["metrics"] == {}


async def test_a_series_has_the_latest_revision_and_null_for_what_does_not_exist(
    filled: ClickHouseStore, start: Start
) -> None:
    client = await start(filled)
    found = await get(client, "/api/v1/series?application=support&metric=toxicity.output.rate")
    points = found["metrics"]["toxicity.output.rate"]
    assert [point[0] for point in points] == ["2026-01-31T08:00:00Z", "2026-01-31T08:05:00Z", "2026-01-31T08:10:00Z"]
    assert [point[1] for point in points] == [0.2, 1.2, None]
    assert points[0][2:] == pytest.approx([0.1, 0.3, 40, 50])


async def test_a_series_can_be_one_segment_and_a_short_time(filled: ClickHouseStore, start: Start) -> None:
    client = await start(filled)
    query = {"application": "support", "dimension": "model", "value": EVIL, "hours": "0.1"}
    async with client.get("/api/v1/series", params=query) as response:
        found = await response.json()
    assert found["start"] == "2026-01-31T08:09:00Z"
    assert [point[1] for point in found["metrics"]["inferences"]] == [20]


async def test_alerts_are_episodes_with_what_people_were_told(filled: ClickHouseStore, start: Start) -> None:
    found = await get(await start(filled), "/api/v1/alerts")
    assert [(one["alert_id"], one["state"]) for one in found] == [("aaaa-1", "firing"), ("bbbb-1", "resolved")]
    firing, resolved = found
    assert firing["title"] == "Toxic answers"
    assert firing["examples"] == [EVIL]
    assert firing["fired"] == "2026-01-31T08:05:00Z"
    assert firing["resolved"] is None
    assert resolved["resolved"] == "2026-01-31T08:05:00Z"
    assert firing["labels"] == {"application": "support", "model": EVIL}


async def test_one_alert_has_its_transitions_and_deliveries(filled: ClickHouseStore, start: Start) -> None:
    client = await start(filled)
    found = await get(client, "/api/v1/alerts/aaaa-1")
    assert [one["to_state"] for one in found["transitions"]] == ["pending", "firing"]
    assert [(one["receiver"], one["status"]) for one in found["deliveries"]] == [("team", "sent")]
    async with client.get("/api/v1/alerts/none") as response:
        assert response.status == 404


async def test_dead_letters_are_counted_by_reason(filled: ClickHouseStore, start: Start) -> None:
    found = await get(await start(filled), "/api/v1/dead_letters?limit=1")
    assert [(one["reason"], one["count"]) for one in found["reasons"]] == [("invalid_json", 2)]
    assert len(found["newest"]) == 1


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/v1/series", "application is required"),
        ("/api/v1/series?application=a&hours=soon", "hours must be a number"),
        ("/api/v1/series?application=a&hours=nan", "hours must be a number"),
        ("/api/v1/alerts?limit=0", "limit must be a number"),
    ],
)
async def test_a_wrong_question_is_told_what_is_allowed(
    store: ClickHouseStore, start: Start, path: str, said: str
) -> None:
    async with (await start(store)).get(path) as response:
        assert response.status == 400
        assert said in (await response.json())["error"]


async def test_a_closed_store_is_not_ready_and_the_service_still_healthy(store: ClickHouseStore, start: Start) -> None:
    client = await start(store)
    async with client.get("/ready") as response:
        assert response.status == 200
    store.close()
    async with client.get("/ready") as response:
        assert response.status == 503
        assert await response.json() == {"status": "failing", "parts": {"store": "does not answer (Permanent)"}}
    async with client.get("/health") as response:
        assert response.status == 200
    async with client.get("/api/v1/overview") as response:
        assert response.status == 500
        assert "closed" in (await response.json())["error"]


async def test_a_browser_gets_the_dashboard_and_others_the_sql_endpoint(store: ClickHouseStore, start: Start) -> None:
    client = await start(store)
    async with client.get("/", headers={"Accept": "text/html,*/*"}) as response:
        assert response.content_type == "text/html"
        page = await response.text()
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "http" not in page.replace("http-equiv", ""), "nothing is loaded from elsewhere"
    for name in ("dashboard.css", "dashboard.js"):
        assert f"/ui/{name}" in page
        async with client.get(f"/ui/{name}") as response:
            assert response.status == 200
    async with client.get("/") as response:
        assert await response.text() == "Ok.\n"
    async with client.get("/", params={"query": "SELECT 1 + 1"}, headers={"Accept": "text/html"}) as response:
        assert (await response.text()).strip() == "2"


async def test_the_script_builds_no_markup_from_text(store: ClickHouseStore, start: Start) -> None:
    async with (await start(store)).get("/ui/dashboard.js") as response:
        script = await response.text()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in script


@pytest.mark.parametrize("path", ["/api/v1/overview", "/metrics", "/ui", "/ui/dashboard.js", "/api/v1/references"])
async def test_a_password_guards_everything_but_health(store: ClickHouseStore, start: Start, path: str) -> None:
    client = await start(store, password="s3cret")
    async with client.get(path) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Basic")
    async with client.get(path, headers={"Authorization": encode_basic_auth("default", "wrong")}) as response:
        assert response.status == 401
    async with client.get(path, headers={"Authorization": encode_basic_auth("default", "s3cret")}) as response:
        assert response.status == 200
    async with client.get("/", headers={"Accept": "text/html"}) as response:
        assert response.status == 401
    for free in ("/health", "/ready"):
        async with client.get(free) as response:
            assert response.status == 200


async def test_without_a_password_another_host_name_is_refused(store: ClickHouseStore, start: Start) -> None:
    async with (await start(store)).get("/api/v1/overview", headers={"Host": "evil.example.com"}) as response:
        assert response.status == 403


def embeddings(store: ClickHouseStore, n: int) -> None:
    vectors = np.random.default_rng(1).normal(size=(n, 8)).astype(np.float32)
    table = pa.table(
        {
            "application": ["support"] * n,
            "field": ["input"] * n,
            "timestamp": pa.array([T0 + timedelta(seconds=i) for i in range(n)], MS),
            "id": [f"call-{i}" for i in range(n)],
            "encoder_revision": ["r1"] * n,
            "vector": pa.array(vectors.tolist(), pa.list_(pa.float32())),
            "ingested_at": pa.array([T0] * n, MS),
        }
    )
    store.insert("embeddings_raw", table, token="test/embeddings")


async def test_a_reference_is_built_listed_and_promoted(store: ClickHouseStore, start: Start) -> None:
    embeddings(store, 80)
    client = await start(store)
    body = {"application": "support", "field": "input", "start": "2026-01-31T08:00:00Z", "end": "2026-01-31T09:00:00Z"}
    async with client.post("/api/v1/references", json=body | {"rows": 60}) as response:
        assert response.status == 201, await response.text()
        made = await response.json()
    assert (made["name"], made["version"], made["rows"], made["findings"]) == ("baseline", 1, 60, [])
    assert [one["active"] for one in await get(client, "/api/v1/references")] == [False]
    chosen = {"application": "support", "field": "input", "name": "baseline", "version": 1}
    async with client.post("/api/v1/references/promote", json=chosen) as response:
        assert response.status == 200
    assert [one["active"] for one in await get(client, "/api/v1/references")] == [True]
    async with client.post("/api/v1/references/promote", json=chosen | {"version": 9}) as response:
        assert response.status == 400
        assert "baseline v1" in (await response.json())["error"]


async def test_a_reference_is_imported_described_and_retired(store: ClickHouseStore, start: Start) -> None:
    client = await start(store)
    vectors = np.random.default_rng(1).standard_normal((4_000, 64)).astype("<f4")  # more than a body may usually have
    place = {"application": "support", "field": "input"}
    body = place | {
        "name": "file",
        "encoder_revision": "r1",
        "ids": [f"f-{n}" for n in range(len(vectors))],
        "timestamps": [(T0 + timedelta(seconds=n)).isoformat() for n in range(len(vectors))],
        "vectors": base64.b64encode(vectors.tobytes()).decode(),
    }
    send = {"headers": {"Content-Type": "application/json"}, "path": "/api/v1/references/import"}
    async with client.post(**send, data=io.BytesIO(json.dumps(body).encode())) as response:
        assert response.status == 201, await response.text()
        made = await response.json()
    assert (made["rows"], made["origin"], made["encoder_revision"]) == (4_000, "file", "r1")
    query = "application=support&field=input&name=file&version="
    assert (await get(client, f"/api/v1/references/verdict?{query}1"))["verdict"]["blocks"] == 8
    for wrong, message in (
        (body | {"ids": body["ids"][:-1]}, "vectors must be base64 of 3999 rows"),
        (body | {"timestamps": []}, "4000 ids need as many timestamps"),
        (body | {"vectors": "?"}, "vectors must be base64"),
    ):
        async with client.post(**send, data=io.BytesIO(json.dumps(wrong).encode())) as response:
            assert response.status == 400
            assert message in (await response.json())["error"]
    for version, message in (("9", "it has: file v1"), ("x", "version must be a whole number, got 'x'")):
        async with client.get(f"/api/v1/references/verdict?{query}{version}") as response:
            assert response.status == 400
            assert message in (await response.json())["error"]
    chosen = place | {"name": "file", "version": 1, "effective_from": T0.isoformat()}
    async with client.post("/api/v1/references/promote", json=chosen) as response:
        assert (await response.json())["effective_from"] == "2026-01-31T08:00:00Z"
    async with client.post("/api/v1/references/retire", json=place) as response:
        assert response.status == 200, await response.text()
    assert [one["active"] for one in await get(client, "/api/v1/references")] == [True]  # it was promoted for later


async def test_a_form_of_another_site_builds_nothing(store: ClickHouseStore, start: Start) -> None:
    client = await start(store)
    async with client.post(
        "/api/v1/references/promote", data=b"{}", headers={"Content-Type": "text/plain"}
    ) as response:
        assert response.status == 400
    async with client.post("/api/v1/references/promote", json={"application": "a"}) as response:
        assert response.status == 400
        assert "field" in (await response.json())["error"]


def drifted(store: ClickHouseStore) -> None:
    """A reference of 80 calls, and a later window of 40 about something else whose alert fires."""
    embeddings(store, 80)
    references = References(store, ManualClock(T0))
    references.build("support", "input", T0, T0 + timedelta(hours=1), rows=60)
    start = T0 + timedelta(hours=2)
    rng = np.random.default_rng(2)
    vectors = (rng.normal(size=(40, 8)) + np.array([6] + [0] * 7)).astype(np.float32)
    rows = {
        "application": ["support"] * 40,
        "timestamp": pa.array([start + timedelta(seconds=i) for i in range(40)], MS),
        "id": [f"new-{i}" for i in range(40)],
        "ingested_at": pa.array([T0] * 40, MS),
    }
    own = {
        "topic": ["t"] * 40,
        "partition": pa.array([0] * 40, pa.uint32()),
        "offset": pa.array(range(40), pa.uint64()),
        "input": [f"{EVIL} my solar panels, call {i}" for i in range(40)],
    }
    store.insert("inferences_raw", pa.table(rows | own), token="test/rows")
    own = {
        "field": ["input"] * 40,
        "encoder_revision": ["r1"] * 40,
        "vector": pa.array(vectors.tolist(), pa.list_(pa.float32())),
    }
    store.insert("embeddings_raw", pa.table(rows | own), token="test/new embeddings")
    number = metric(start, "drift.input.p_value", 0.001) | {"detail": json.dumps({"reference": "baseline v1"})}
    insert(store, "window_metrics_raw", [number])
    window = {"window_start": start, "window_end": start + STEP, "revision": 0, "rows": 40, "closed_at": start + STEP}
    insert(store, "windows_raw", [window])
    fired = transition("dddd-1", "pending", "firing", start + STEP) | {
        "metric": "drift.input.p_value",
        "labels": [("application", "support")],
        "detail": json.dumps({"window_start": start.isoformat(), "total": 40}),
    }
    insert(store, "alerts_raw", [fired])


async def test_a_drift_alert_is_explained_as_json_and_as_pictures_behind_the_login(
    store: ClickHouseStore, start: Start
) -> None:
    drifted(store)
    client = await start(store, password="s3cret")
    path = "/api/v1/alerts/dddd-1/explanation"
    login = {"Authorization": encode_basic_auth("default", "s3cret")}
    for form in ("", ".svg", ".png"):
        async with client.get(path + form) as response:
            assert response.status == 401
    async with client.get(path, headers=login) as response:
        found = await response.json()
    assert (found["alert_id"], found["reference"], found["rows"]) == ("dddd-1", "baseline v1", 40)
    assert found["brief"]["new"]["low"] > 0.5
    assert "solar panels" in found["brief"]["keywords"]
    assert all(one["text"].startswith(EVIL) for one in found["examples"])
    async with client.get("/api/v1/alerts/latest/explanation.svg", headers=login) as response:
        assert response.content_type == "image/svg+xml"
        assert (await response.read()).startswith(b"<?xml")
    async with client.get(f"{path}.png", headers=login) as response:
        assert response.content_type == "image/png"
        assert (await response.read()).startswith(b"\x89PNG")
    async with client.get("/api/v1/alerts/zzzz/explanation", headers=login) as response:
        assert response.status == 404
        assert "dddd-1 (toxic-answers)" in (await response.json())["error"]


async def test_the_command_explains_through_the_service_that_holds_the_store(
    store: ClickHouseStore, store_settings: StoreSettings, start: Start, tmp_path: Path
) -> None:
    drifted(store)
    client = await start(store)
    address = client.make_url("/")
    configuration = {
        "store": {"dsn": store_settings.dsn.get_secret_value()},
        "web": {"host": address.host, "port": address.port},
    }
    (tmp_path / "c.yaml").write_text(json.dumps(configuration))

    def run(*arguments: str) -> Any:
        command = ["-c", str(tmp_path / "c.yaml"), "explain", *arguments]
        return CliRunner().invoke(main, command, env={"INFERWATCH_CONFIG": ""})

    with pytest.MonkeyPatch.context() as patch:
        # The embedded engine refuses its folder to another process, not to this one.
        patch.setattr("inferwatch.infra.clickhouse.migrate.migrate", _held)
        told = await asyncio.to_thread(run)
        assert told.exit_code == 0, told.stderr
        assert "New: " in told.stdout
        assert "solar panels" in told.stdout
        assert f"“{EVIL} my solar panels, call" in told.stdout
        drawn = await asyncio.to_thread(run, "dddd-1", "-o", str(tmp_path / "p.svg"))
        assert drawn.exit_code == 0, drawn.stderr
        assert (tmp_path / "p.svg").read_bytes().startswith(b"<?xml")
        missing = await asyncio.to_thread(run, "zzzz")
        assert (missing.exit_code, missing.stderr.startswith("inferwatch: there is no drift alert 'zzzz'")) == (1, True)


def _held(settings: StoreSettings) -> list[str]:
    raise Misconfigured("another process holds the store")
