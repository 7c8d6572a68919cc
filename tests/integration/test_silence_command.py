"""``inferwatch silence`` and ``/api/v1/silences`` on the real engine."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner
from pydantic import SecretStr

from inferwatch.infra.cli import main, silence_desk
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.infra.web.app import create_app
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.settings import Settings, StoreSettings, WebSettings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD = "open sesame"
LOGIN = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": PASSWORD}
WANTED = {
    "matchers": ["alertname=toxic", 'tenant =~ "a|b"'],
    "ends_at": (NOW + timedelta(hours=2)).isoformat(),
    "author": "ann",
    "comment": "known",
}


@pytest.fixture
def run(tmp_path: Path, migrated: Path, store_settings: StoreSettings) -> Any:
    folder = store_settings.dsn.get_secret_value().removeprefix("chdb://")
    shutil.copytree(migrated, folder, symlinks=True)
    config = tmp_path / "inferwatch.yaml"
    config.write_text(f"store:\n  dsn: chdb://{folder}\n")

    def call(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["-c", str(config), "silence", *arguments])
        assert result.exit_code == code, result.output
        return result.output

    return call


def test_a_silence_is_added_listed_and_ended_from_the_command_line(run: Any) -> None:
    assert run("list") == "there are none\n"
    said = run("add", "alertname=toxic", 'tenant=~"a|b"', "--for", "2h", "--comment", "known", "--author", "ann")
    name, state, rest = said.split(" ", 2)
    assert (state, rest.startswith('alertname="toxic" tenant=~"a|b", from 20')) == ("active:", True)
    assert said.endswith("UTC, ann: known\n")
    assert run("list") == said
    assert run("expire", name).startswith(f"{name} expired:")
    assert run("list") == "there are none\n"
    assert run("list", "--all").startswith(f"{name} expired:")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a=b", "--comment", "x"], "give either --for or --until"),
        (["a=b", "--comment", "x", "--for", "1h", "--until", "2099-01-01"], "give either --for or --until"),
        (["a=b", "--comment", "x", "--until", "2020-01-01"], "ends_at must be after now"),
        (["a=b", "--comment", "x", "--for", "soon"], "must be a duration"),
        (["a~b", "--comment", "x", "--for", "1h"], "must be a matcher"),
        (["a!=b", "--comment", "x", "--for", "1h"], "a silence of everything hides also what nobody expects"),
        (["a=b", "--comment", " ", "--for", "1h"], "comment must be a text"),
    ],
)
def test_what_cannot_be_silenced_is_said_and_nothing_is_stored(run: Any, arguments: list[str], said: str) -> None:
    assert said in run("add", *arguments, code=2)
    assert run("list", "--all") == "there are none\n"


def test_one_that_is_not_there_cannot_be_ended(run: Any) -> None:
    assert "there is no silence 'x'" in run("expire", "x", code=1)


@pytest.fixture
async def client(store: ClickHouseStore, store_settings: StoreSettings) -> AsyncIterator[TestClient[Any, Any]]:
    settings = Settings(store=store_settings, web=WebSettings(password=SecretStr(PASSWORD)))
    client = TestClient(TestServer(create_app(settings, store, clock=ManualClock(NOW))))
    await client.start_server()
    yield client
    await client.close()


async def test_over_http_with_the_services_login(client: TestClient[Any, Any]) -> None:
    async def ask(method: str, path: str = "", **request: Any) -> tuple[int, Any]:
        async with client.request(method, f"/api/v1/silences{path}", headers=LOGIN, **request) as answer:
            return answer.status, await answer.json()

    status, made = await ask("POST", json=WANTED)
    assert (status, made["state"], made["author"], made["comment"]) == (201, "active", "ann", "known")
    assert made["matchers"] == ['alertname="toxic"', 'tenant=~"a|b"']
    assert made["starts_at"] == "2026-03-01T12:00:00Z"
    assert await ask("GET") == (200, [made])
    status, ended = await ask("DELETE", f"/{made['id']}")
    assert (status, ended["state"], ended["ends_at"]) == (200, "expired", "2026-03-01T12:00:00Z")
    assert await ask("GET") == (200, [])
    assert await ask("GET", "?expired=1") == (200, [ended])
    assert (await ask("DELETE", "/nobody"))[0] == 404


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"matchers": []}, "matchers"),
        ({"matchers": ["a~b"]}, "must be a matcher"),
        ({"ends_at": "2026-03-01T12:00:00"}, "timezone"),
        ({"ends_at": NOW.isoformat()}, "ends_at must be after now"),
        ({"author": ""}, "author"),
        ({"for": "2h"}, "for: Extra inputs"),
    ],
)
async def test_a_body_that_cannot_be_is_refused(
    client: TestClient[Any, Any], change: dict[str, Any], said: str
) -> None:
    async with client.post("/api/v1/silences", json=WANTED | change, headers=LOGIN) as answer:
        assert answer.status == 400
        assert said in (await answer.json())["error"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_without_the_login_nobody_silences_anything(client: TestClient[Any, Any], method: str) -> None:
    path = "/api/v1/silences/x" if method == "DELETE" else "/api/v1/silences"
    async with client.request(method, path, json=WANTED) as answer:
        assert answer.status == 401


async def test_the_command_asks_the_service_that_holds_the_store(
    client: TestClient[Any, Any], store_settings: StoreSettings
) -> None:
    server = client.server
    web = WebSettings(port=server.port, password=SecretStr(PASSWORD))  # type: ignore[arg-type]
    desk = silence_desk._Service(Settings(store=store_settings, web=web))
    made = await asyncio.to_thread(
        desk.add,
        matchers=["application=shop"],
        ends_at=NOW + timedelta(hours=1),
        author="ann",
        comment="known",
        starts_at=None,
    )
    assert [one["id"] for one in await asyncio.to_thread(desk.list, False)] == [made["id"]]
    assert (await asyncio.to_thread(desk.expire, made["id"]))["state"] == "expired"
