"""Alertmanager is told again, every minute, what its outbox says last: by the store alone, whoever sent it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.infra.notifiers import build, close
from inferwatch.infra.repeating import EVERY, RESOLVED_FOR, Repeating
from inferwatch.schemas.alerts import Notification
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.settings import Settings
from inferwatch.streams.alerting import outbox
from inferwatch.streams.rows import INSTANT
from tests.support.notes import GROUP, NOTE, NOW, RESOLVED
from tests.support.receiving import HttpServer, http_server

MINUTE = timedelta(seconds=EVERY)


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server() as found:
        yield found


def tell(store: ClickHouseStore, note: Notification, receiver: str, now: datetime) -> None:
    row = {"id": [note.id], "receiver": [receiver], "alert_id": [note.alert_id], "payload": [outbox.encode(note)]}
    times = {"at": pa.array([note.at], INSTANT), "created_at": pa.array([now], INSTANT)}
    store.insert("outbox_raw", pa.table(row | times), token=f"outbox/{note.id}/{receiver}")


def told(server: HttpServer) -> list[dict[str, str]]:
    """Return the alerts of the requests since the last call: how each begins, and when it ends."""
    found = [alert for _, _, body in server.requests for alert in json.loads(body)]
    server.requests.clear()
    return [{"alert": one["labels"]["inferwatch_alert"], "endsAt": one["endsAt"]} for one in found]


async def test_what_stands_is_repeated_and_what_is_over_for_a_while(server: HttpServer, store: ClickHouseStore) -> None:
    clock = ManualClock(NOW)
    settings = Settings.model_validate(
        {
            "receivers": [
                {"type": "alertmanager", "name": "peer", "url": server.url},
                {"type": "webhook", "name": "hook", "url": server.url},
            ]
        }
    )
    notifiers = build(settings, clock)
    tell(store, NOTE, "peer", NOW)
    tell(store, replace(NOTE, id="of-hook", dedup_key="of-hook"), "hook", NOW)
    one, other = Repeating(store, notifiers, clock), Repeating(store, notifiers, clock)

    assert (await one.repeat_if_due(), await one.repeat_if_due()) == (1, 0)
    [first] = told(server)
    clock.advance(MINUTE)
    assert await other.repeat_if_due() == 1
    [second] = told(server)
    assert datetime.fromisoformat(second["endsAt"]) - datetime.fromisoformat(first["endsAt"]) == MINUTE

    tell(store, replace(RESOLVED, id="over", at=NOW + MINUTE), "peer", clock.now())
    clock.advance(MINUTE)
    assert await one.repeat_if_due() == 1
    [over] = told(server)
    assert over["endsAt"] == (NOW + MINUTE).isoformat(timespec="milliseconds")
    clock.advance(RESOLVED_FOR)
    assert await one.repeat_if_due() == 0
    assert told(server) == []
    await close(notifiers)


async def test_a_group_is_repeated_as_it_was_told_last(server: HttpServer, store: ClickHouseStore) -> None:
    clock = ManualClock(NOW)
    notifiers = build(
        Settings.model_validate({"receivers": [{"type": "alertmanager", "name": "peer", "url": server.url}]}), clock
    )
    tell(store, GROUP, "peer", NOW)
    tell(store, replace(GROUP, id="later", alerts=GROUP.alerts[:1]), "peer", NOW + MINUTE)
    clock.advance(MINUTE)
    assert await Repeating(store, notifiers, clock).repeat_if_due() == 1
    assert [one["alert"] for one in told(server)] == [GROUP.alerts[0].alert_id.partition("-")[0]]
    await close(notifiers)


async def test_an_alertmanager_that_is_away_stops_nothing(
    server: HttpServer, store: ClickHouseStore, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock(NOW)
    receivers = [
        {"type": "alertmanager", "name": "gone", "url": "http://127.0.0.1:1"},
        {"type": "alertmanager", "name": "peer", "url": server.url},
    ]
    notifiers = build(Settings.model_validate({"receivers": receivers}), clock)
    for name in notifiers:
        tell(store, NOTE, name, NOW)
    assert await Repeating(store, notifiers, clock).repeat_if_due() == 1
    assert "receiver 'gone'" in caplog.text
    await close(notifiers)
