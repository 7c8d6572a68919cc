"""A real Alertmanager receives, groups, silences and resolves our alerts; a real Prometheus tells it of ourselves."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from math import nan
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from aiohttp import web

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.infra.local.ports import free_port
from inferwatch.infra.notifiers.alertmanager import Alertmanager
from inferwatch.infra.repeating import EVERY, Repeating
from inferwatch.schemas.alerts import Notification, State
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.receivers import AlertmanagerReceiver
from inferwatch.schemas.settings import KafkaSettings
from inferwatch.streams.alerting import outbox
from inferwatch.streams.rows import INSTANT
from tests.integration.test_monitoring import ROOT, Worker, get, process, tool, until
from tests.support.notes import GROUP, NOTE, line
from tests.support.prometheus import Unavailable, alertmanager

CONFIG = {
    "global": {"resolve_timeout": "1s"},
    "route": {
        "receiver": "team",
        "group_by": ["alertname", "application"],
        "group_wait": "2s",
        "group_interval": "1s",
        "repeat_interval": "1h",
    },
}


@dataclass
class Peer:
    """A running Alertmanager, and what it has told its own receiver."""

    url: str
    start: Callable[[], Any]
    told: list[dict[str, Any]] = field(default_factory=list)

    def alerts(self) -> dict[str, dict[str, Any]]:
        """Return what it holds, by tenant or model."""
        status, body = get(f"{self.url}/api/v2/alerts")
        found = json.loads(body) if status == 200 else []
        return {one["labels"].get("tenant") or one["labels"].get("model", ""): one for one in found}

    def states(self) -> dict[str, str]:
        return {name: one["status"]["state"] for name, one in self.alerts().items()}

    def messages(self, status: str) -> list[list[str]]:
        """Return of each message it sent whom it named with this status."""
        found = [
            [
                one["labels"].get("tenant") or one["labels"].get("model", "")
                for one in message["alerts"]
                if one["status"] == status
            ]
            for message in self.told
        ]
        return [sorted(names) for names in found if names]


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[Peer]:
    try:
        program = alertmanager()
    except Unavailable as error:
        pytest.skip(str(error))
    peer = Peer("", lambda: None)

    async def take(request: web.Request) -> web.Response:
        peer.told.append(await request.json())
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver = {"name": "team", "webhook_configs": [{"url": f"{site.name}/hook", "send_resolved": True}]}
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(CONFIG | {"receivers": [receiver]}))
    port = free_port()
    peer.url = f"http://127.0.0.1:{port}"
    command = (
        *program, f"--config.file={tmp_path / 'alertmanager.yml'}", f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    )  # fmt: skip

    @contextmanager
    def start() -> Iterator[None]:
        with process(*command, log=tmp_path / "alertmanager.log", cwd=tmp_path):
            until(lambda: get(f"{peer.url}/-/ready")[0] == 200, "alertmanager is ready")
            yield

    peer.start = start
    yield peer
    await runner.cleanup()


@pytest.fixture
async def ours(peer: Peer) -> AsyncIterator[Alertmanager]:
    settings = {"type": "alertmanager", "name": "peer", "url": peer.url}
    notifier = Alertmanager(AlertmanagerReceiver.model_validate(settings), SystemClock())
    yield notifier
    await notifier.close()


def now(note: Notification, **changes: Any) -> Notification:
    """Return ``note`` as of now: Alertmanager has a clock of its own.

    It began now, too: for what began longer than ``group_wait`` ago it does not wait, and tells of the first alert of a
    request while it takes in the others.
    """
    at = SystemClock().now()
    times = {"since": at, "at": at}
    return replace(note, **times, alerts=tuple(replace(one, **times) for one in note.alerts), **changes)


def tell(store: ClickHouseStore, note: Notification, receiver: str) -> None:
    """Write ``note`` into the outbox."""
    row = {"id": note.id, "receiver": receiver, "alert_id": note.alert_id, "payload": outbox.encode(note)}
    times = {name: pa.array([SystemClock().now()], INSTANT) for name in ("at", "created_at")}
    store.insert(
        "outbox_raw", pa.table({name: [value] for name, value in row.items()} | times), token=f"outbox/{note.id}"
    )


async def eventually(condition: Callable[[], Any], what: str) -> Any:
    return await asyncio.to_thread(until, condition, what, 30)


async def test_it_receives_groups_and_resolves(peer: Peer, ours: Alertmanager) -> None:
    with peer.start():
        await ours.notify(now(GROUP))
        await eventually(lambda: peer.messages("firing"), "one message for the group")
        assert peer.messages("firing") == [["t-2", "t-3", "t-4"]]
        assert peer.states() == {"t-2": "active", "t-3": "active", "t-4": "active"}
        held = peer.alerts()["t-3"]
        assert held["labels"]["alertname"] == "toxic-answers"
        assert held["labels"]["severity"] == "critical"
        assert held["annotations"]["summary"] == "Toxic outputs: support, tenant t-3"
        assert held["generatorURL"] == line(3).url
        over = replace(now(GROUP, status=State.RESOLVED))
        over = replace(over, alerts=tuple(replace(one, status=State.RESOLVED, value=nan) for one in over.alerts))
        await ours.notify(over)
        await eventually(
            lambda: {"t-2", "t-3", "t-4"} <= {one for names in peer.messages("resolved") for one in names},
            "all are over",
        )
        assert peer.states() == {}


async def test_its_silences_hold(peer: Peer, ours: Alertmanager, tmp_path: Path) -> None:
    amtool = str(tool("amtool"))
    silence = (
        amtool,
        f"--alertmanager.url={peer.url}",
        "silence",
        "add",
        "tenant=t-2",
        "--comment=known",
        "--author=me",
    )
    with peer.start():
        run = partial(subprocess.run, capture_output=True, text=True, timeout=30, cwd=tmp_path)
        done = await asyncio.to_thread(run, silence, env={"HOME": str(tmp_path)})
        assert done.returncode == 0, done.stderr
        await ours.notify(now(GROUP))
        await eventually(lambda: peer.messages("firing"), "a message without the silenced one")
        assert peer.messages("firing") == [["t-3", "t-4"]]
        assert peer.states()["t-2"] == "suppressed"


async def test_two_episodes_of_one_alert_are_one_alert_there(peer: Peer, ours: Alertmanager) -> None:
    with peer.start():
        await ours.notify(now(NOTE))
        await eventually(lambda: peer.messages("firing"), "it fires")
        await ours.notify(now(NOTE, status=State.RESOLVED))
        await eventually(lambda: peer.messages("resolved"), "it is over")
        again = now(NOTE, alert_id=NOTE.alert_id.replace("T14", "T19"))
        await ours.notify(again)
        await eventually(lambda: len(peer.messages("firing")) == 2, "it fires again")
        assert list(peer.states()) == ["m-2"]


async def test_an_alert_outlives_its_resolve_timeout_and_a_restart(
    peer: Peer, ours: Alertmanager, store: ClickHouseStore
) -> None:
    """Alertmanager ends alerts that nobody repeats, here after 1 s, and has none after a restart."""
    clock = SystemClock()
    over = now(
        NOTE,
        id="over",
        dedup_key="inferwatch/over",
        alert_id="over-1",
        status=State.RESOLVED,
        labels={"tenant": "over"},
    )
    told = [now(NOTE), now(GROUP, id="group"), replace(over, id="fired", status=State.FIRING), over]
    for note in told:
        tell(store, note, "peer")
    tell(store, now(NOTE, id="other", dedup_key="other", labels={"tenant": "of another receiver"}), "else")
    with peer.start():
        await ours.notify(told[0])
        await asyncio.sleep(2.5)
        assert peer.states() == {"m-2": "active"}
    with peer.start():
        assert peer.states() == {}
        repeating = Repeating(store, {"peer": ours}, clock)
        assert await repeating.repeat_if_due() == 3
        assert await repeating.repeat_if_due() == 0, f"again before {EVERY} s"
        assert set(peer.states()) == {"m-2", *(f"t-{place}" for place in (2, 3, 4))}


@pytest.mark.kafka
@pytest.mark.slow
async def test_prometheus_tells_it_when_inferwatch_is_down(peer: Peer, source: KafkaSettings, tmp_path: Path) -> None:
    """The rules that are shipped, their waits cut short: a real worker is scraped, dies, and somebody hears of it."""
    worker = Worker(tmp_path, source)
    shipped = yaml.safe_load((ROOT / "infra/prometheus/prometheus.yml").read_text())
    shipped["scrape_configs"][0]["static_configs"] = [{"targets": [worker.url.removeprefix("http://")]}]
    shipped["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    shipped["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [peer.url.removeprefix("http://")]}]}]}
    rules = yaml.safe_load((ROOT / "infra/prometheus/rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(shipped))
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    address = f"127.0.0.1:{free_port()}"
    command = (
        str(tool("prometheus")), f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}", f"--web.listen-address={address}",
    )  # fmt: skip

    def named() -> set[str]:
        return {one["labels"]["alertname"] for message in peer.told for one in message["alerts"]}

    def up(value: int) -> bool:
        return f'"{value}"' in get(f"http://{address}/api/v1/query?query=up")[1].decode()

    with peer.start(), worker.running() as running, process(*command, log=tmp_path / "prometheus.log"):
        await eventually(lambda: up(1), "the worker is scraped")
        assert "InferwatchDown" not in named()
        worker_gone = asyncio.create_task(eventually(lambda: "InferwatchDown" in named(), "somebody hears of it"))
        running.kill()
        await worker_gone
