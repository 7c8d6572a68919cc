"""An acknowledgement reaches PagerDuty once, when everything the incident is about is acknowledged."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pyarrow as pa
import pytest

from inferwatch.infra.acknowledging import EVERY, Acknowledging
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.infra.notifiers import AnyNotifier, build, close
from inferwatch.schemas.alerts import Notification
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.settings import Settings
from inferwatch.streams.alerting.outbox import Delivery, Status, delivery_table
from inferwatch.streams.rows import INSTANT
from tests.support.notes import GROUP, NOTE, NOW, RESOLVED
from tests.support.receiving import HttpServer, http_server
from tests.unit.infra.test_repeating import MINUTE, tell

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server() as found:
        yield found


@pytest.fixture
async def notifiers(server: HttpServer) -> AsyncIterator[dict[str, AnyNotifier]]:
    receivers = [
        {"type": "pagerduty", "name": "pager", "url": server.url, "routing_key": KEY},
        {"type": "webhook", "name": "hook", "url": server.url},
    ]
    found = build(Settings.model_validate({"receivers": receivers}), ManualClock(NOW))
    yield found
    await close(found)


def sent(store: ClickHouseStore, note: Notification, receiver: str = "pager") -> None:
    tell(store, note, receiver, NOW)
    settled = Delivery(note.id, receiver, 1, Status.SENT, "", NOW, NOW, "me")
    store.insert("deliveries_raw", delivery_table([settled]), token=f"deliveries/{note.id}/{receiver}")


def acknowledge(store: ClickHouseStore, alert_id: str) -> None:
    row = {"id": alert_id, "alert_id": alert_id, "kind": "acknowledgement", "author": "ann", "text": ""}
    table = pa.table({name: [value] for name, value in row.items()} | {"at": pa.array([NOW], INSTANT)})
    store.insert("alert_notes_raw", table, token=f"notes/{alert_id}")


def actions(server: HttpServer) -> list[tuple[str, str]]:
    """Return action and key of the events since the last call."""
    found = [json.loads(body) for _, _, body in server.requests]
    server.requests.clear()
    return [(one["event_action"], one["dedup_key"]) for one in found]


async def test_it_is_told_once_and_after_a_failure_again(
    server: HttpServer, store: ClickHouseStore, notifiers: dict[str, AnyNotifier]
) -> None:
    clock = ManualClock(NOW)
    ours = Acknowledging(store, notifiers, clock)

    async def look() -> int:
        clock.advance(MINUTE * EVERY / 60)
        return await ours.acknowledge_if_due()

    for note in (NOTE, replace(NOTE, id="other", alert_id="other", dedup_key="other")):
        sent(store, note)
    sent(store, NOTE, "hook")
    assert await look() == 0
    acknowledge(store, NOTE.alert_id)
    server.status = 503
    assert await look() == 0
    assert actions(server) == [("acknowledge", NOTE.dedup_key)]
    server.status = 202
    assert (await ours.acknowledge_if_due(), await look(), await look()) == (0, 1, 0)
    assert actions(server) == [("acknowledge", NOTE.dedup_key)]


async def test_a_group_needs_all_of_its_open_alerts(
    server: HttpServer, store: ClickHouseStore, notifiers: dict[str, AnyNotifier]
) -> None:
    sent(store, GROUP)
    *some, last = (one.alert_id for one in GROUP.alerts[:3])
    for alert_id in some:
        acknowledge(store, alert_id)
    assert await Acknowledging(store, notifiers, ManualClock(NOW)).acknowledge_if_due() == 0
    acknowledge(store, last)
    assert await Acknowledging(store, notifiers, ManualClock(NOW)).acknowledge_if_due() == 1
    assert actions(server) == [("acknowledge", GROUP.dedup_key)]


async def test_what_it_never_took_or_what_is_over_is_not_acknowledged(
    server: HttpServer, store: ClickHouseStore, notifiers: dict[str, AnyNotifier]
) -> None:
    tell(store, NOTE, "pager", NOW)
    over = replace(RESOLVED, id="over", alert_id="over", dedup_key="over")
    sent(store, over)
    for note in (NOTE, over):
        acknowledge(store, note.alert_id)
    assert await Acknowledging(store, notifiers, ManualClock(NOW)).acknowledge_if_due() == 0
    assert actions(server) == []
