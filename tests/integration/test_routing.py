"""Groups, silences and receivers that are down, on the real engine: told once, whoever tells."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.alerts import Notification, State
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import DeliveryError, Misconfigured, NotFound, StoreUnavailable
from inferwatch.schemas.metrics import WindowMetric, wilson
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.alerting.dispatch import Dispatcher
from inferwatch.streams.alerting.engine import Alerting
from inferwatch.streams.alerting.outbox import LEASE
from inferwatch.streams.alerting.receivers_down import IN_A_ROW
from inferwatch.streams.alerting.silences import Silences, active
from inferwatch.streams.telemetry import SILENT
from tests.support.interrupted import Interrupted
from tests.support.stepping import Stepping

DAY = datetime(2026, 3, 1, tzinfo=UTC)
SIZE = timedelta(minutes=15)
SECOND = timedelta(seconds=1)
INSTANT = pa.timestamp("ms", tz="UTC")
RULE = {
    "name": "toxic",
    "metric": "toxicity.output.rate",
    "when": "> 5 %",
    "group_by": ["model"],
    "max_instances": 5000,
}


def window(place: int) -> Window:
    return Window(DAY + place * SIZE, DAY + (place + 1) * SIZE)


def rates(place: int, hits: Mapping[str, int], application: str = "shop") -> list[WindowMetric]:
    """Return the toxic outputs in 100 of each model in one window."""
    name = "toxicity.output.rate"
    return [
        WindowMetric(
            window(place), SeriesKey(application, "model", model), name, n / 100, 100, 100, *wilson(n, 100)
        )
        for model, n in hits.items()
    ]  # fmt: skip


def configured(*receivers: str, rules: Sequence[Mapping[str, Any]] = (RULE,), **routing: Any) -> Settings:
    return Settings.model_validate(
        {
            "rules": list(rules),
            "receivers": [{"type": "webhook", "name": name, "url": "https://x.example"} for name in receivers],
            "segments": {"dimensions": ["model"]},
            "routing": routing,
            "monitoring": {"blind_alert": False},
        }
    )


class Inbox:
    """A receiver that keeps what it accepts, and refuses while ``refuse`` is set."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.accepted: list[Notification] = []
        self.refuse: DeliveryError | None = None
        self.on_accept: Callable[[], None] = lambda: None

    async def notify(self, note: Notification) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.accepted.append(note)
        self.on_accept()

    @property
    def said(self) -> list[dict[str, str]]:
        """What each message says: model, or what else sets the alert apart -> state."""
        found = []
        for note in self.accepted:
            lines = note.alerts or (note,)
            found.append({[*line.labels.values()][-1]: line.status.value for line in lines})
        return found


def alerting(store: Any, clock: ManualClock, *inboxes: Inbox, **routing: Any) -> Alerting:
    settings = configured(*(inbox.name for inbox in inboxes), **routing)
    return Alerting(settings, store, {inbox.name: inbox for inbox in inboxes}, clock, {"toxicity.output": 0.5})


def rows(store: ClickHouseStore, sql: str) -> list[dict[str, Any]]:
    return list(store.query(sql).to_pylist())


# Groups ------------------------------------------------------------------------------------------------------


async def test_a_storm_of_five_thousand_is_one_message_and_its_end_another(
    store: ClickHouseStore, record_property: Any
) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    engine = alerting(store, clock, inbox)
    models = {f"m-{place:04}": 6 + place % 90 for place in range(5000)}
    took: list[float] = []
    for place, hits in enumerate((models, dict.fromkeys(models, 0))):
        metrics = rates(place, hits)
        started = time.perf_counter()
        engine.decide(window(place), metrics)
        took.append(time.perf_counter() - started)
        started = time.perf_counter()
        assert await engine.deliver() == 1
        took.append(time.perf_counter() - started)
    record_property("seconds", [round(one, 2) for one in took])
    print("decided, delivered, decided (resolved), delivered:", [f"{one:.2f} s" for one in took])
    fired, resolved = inbox.accepted
    assert (fired.status, len(fired.alerts), resolved.status) == (State.FIRING, 5000, State.RESOLVED)
    assert fired.title == "Toxic outputs: shop (5,000 firing)"
    assert fired.alerts[0].value == 0.95
    assert fired.examples == ()
    assert fired.labels == {"application": "shop"}
    assert fired.dedup_key == resolved.dedup_key == f"inferwatch/{fired.alerts[0].alert_id}"
    assert await engine.deliver() == 0
    assert max(took) < 30


async def test_one_alert_of_a_group_is_told_in_full_and_more_by_the_worst(store: ClickHouseStore) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    engine = alerting(store, clock, inbox)
    engine.decide(window(0), rates(0, {"m-1": 20}))
    engine.decide(window(1), rates(1, {"m-1": 20, "m-2": 40, "m-3": 30}))
    engine.decide(window(2), rates(2, {"m-1": 0, "m-2": 40, "m-3": 30}))
    assert await engine.deliver() == 3
    alone, more, less = inbox.accepted
    assert (alone.title, alone.alerts) == ("Toxic outputs: shop, model m-1", ())
    assert alone.summary.startswith("20 % of inferences (20 of 100 scored)")
    assert more.title == "Toxic outputs: shop (3 firing)"
    assert more.summary.startswith("3 firing. The worst: Toxic outputs: shop, model m-2. 40 % of inferences")
    assert [line.labels["model"] for line in more.alerts] == ["m-2", "m-3", "m-1"]
    assert [line.url.rpartition("/alerts/")[2] for line in more.alerts] == [line.alert_id for line in more.alerts]
    assert less.title == "Toxic outputs: shop (2 firing, 1 resolved)"
    assert {note.dedup_key for note in inbox.accepted} == {f"inferwatch/{alone.alert_id}"}


async def test_a_group_that_waits_is_told_by_whoever_is_there_when_its_time_has_come(store: ClickHouseStore) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    waits = {"group_wait": "30s", "group_interval": "5m"}
    engine = alerting(store, clock, inbox, **waits)
    engine.decide(window(0), rates(0, {"m-1": 20, "short": 20}))
    assert await engine.deliver() == 0
    clock.advance(20 * SECOND)
    engine.decide(window(1), rates(1, {"m-1": 20, "m-2": 30, "short": 0}))
    # The process dies here, and the wait goes on.
    successor = alerting(store, clock, inbox, **waits)
    assert await successor.deliver() == 0
    clock.advance(10 * SECOND)
    assert await successor.deliver() == 1
    assert inbox.said == [{"m-2": "firing", "m-1": "firing"}]
    successor.decide(window(2), rates(2, {"m-1": 0, "m-2": 30}))
    assert await successor.deliver() == 0
    clock.advance(timedelta(minutes=5))
    assert await successor.deliver() == 1
    assert inbox.said[1:] == [{"m-2": "firing", "m-1": "resolved"}]


@pytest.mark.parametrize("wrong", [timedelta(days=6), -timedelta(days=6)], ids=str)
async def test_no_wait_is_as_long_as_another_workers_clock_is_wrong(store: ClickHouseStore, wrong: timedelta) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    alerting(store, ManualClock(DAY + wrong), inbox, group_wait="30s").decide(window(0), rates(0, {"m-1": 20}))
    engine = alerting(store, clock, inbox, group_wait="30s")
    sent = await engine.deliver()
    clock.advance(30 * SECOND)
    assert sent + await engine.deliver() == 1


async def test_no_wait_is_as_long_as_this_workers_clock_is_set_back(store: ClickHouseStore) -> None:
    clock, inbox = Stepping(DAY), Inbox("a")
    clock.step(timedelta(minutes=10))
    engine = alerting(store, clock, inbox)
    engine.decide(window(0), rates(0, {"m-1": 20}))
    assert await engine.deliver() == 1
    clock.advance(timedelta(minutes=1))
    assert await engine.deliver() == 0, "it has seen by its wrong clock when the message was written"
    clock.step(-timedelta(minutes=10))
    engine.decide(window(1), rates(1, {"m-1": 0}))
    assert await engine.deliver() == 1
    assert inbox.said == [{"m-1": "firing"}, {"m-1": "resolved"}]


async def test_what_lasts_is_repeated_with_its_newest_number_until_it_is_acknowledged(store: ClickHouseStore) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    engine = alerting(store, clock, inbox, repeat_interval="1h")
    engine.decide(window(0), rates(0, {"m-1": 20}))
    assert await engine.deliver() == 1
    publish(store, rates(3, {"m-1": 33}))
    clock.advance(timedelta(minutes=59))
    assert await engine.deliver() == 0
    clock.advance(timedelta(minutes=1))
    assert await engine.deliver() == 1
    [first, again] = inbox.accepted
    assert again.summary.startswith("This is still so. 33 % of inferences (33 of 100 scored)")
    assert (again.value, again.dedup_key, again.alert_id) == (0.33, first.dedup_key, first.alert_id)
    acknowledge(store, first.alert_id)
    clock.advance(timedelta(hours=2))
    assert await engine.deliver() == 0


def publish(store: ClickHouseStore, metrics: Sequence[WindowMetric]) -> None:
    columns = {
        "window_start": pa.array([one.window.start for one in metrics], INSTANT),
        "window_end": pa.array([one.window.end for one in metrics], INSTANT),
        "application": [one.series.application for one in metrics],
        "segment_dimension": [one.series.dimension for one in metrics],
        "segment_value": [one.series.value for one in metrics],
        "metric": [one.metric for one in metrics],
        "value": pa.array([one.value for one in metrics], pa.float64()),
        "n": pa.array([one.n for one in metrics], pa.uint64()),
        "total": pa.array([one.total for one in metrics], pa.uint64()),
        "ci_low": pa.array([one.ci_low for one in metrics], pa.float64()),
        "ci_high": pa.array([one.ci_high for one in metrics], pa.float64()),
        "published_at": pa.array([DAY for _ in metrics], INSTANT),
    }
    store.insert("window_metrics_raw", pa.table(columns), token=f"metrics/{metrics[0].window}")


def acknowledge(store: ClickHouseStore, alert_id: str) -> None:
    columns = {"id": ["n"], "alert_id": [alert_id], "kind": ["acknowledgement"], "author": ["ann"]}
    store.insert("alert_notes_raw", pa.table(columns | {"at": pa.array([DAY], INSTANT)}), token="note")


# Told once ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_two_processes_that_see_different_news_tell_each_of_them_once(store: ClickHouseStore) -> None:
    """One is stopped at every call in turn; meanwhile another decides a later window, and delivers."""
    k = 0
    while True:
        k += 1
        clock, inbox = ManualClock(DAY), Inbox("a")
        shop = f"shop-{k}"
        # A rule of its own: a window decided again without the numbers of earlier shops would resolve their alerts.
        rules = (RULE | {"name": f"toxic-{k}"},)
        alerting(store, clock, inbox, rules=rules).decide(window(0), rates(0, {"m-1": 20}, shop))
        other = alerting(store, clock, inbox, rules=rules)

        def meanwhile(other: Alerting = other, shop: str = shop) -> None:
            other.decide(window(1), rates(1, {"m-1": 20, "m-2": 20}, shop))
            asyncio.run(other.deliver())
            other.decide(window(2), rates(2, {"m-1": 0, "m-2": 20}, shop))
            asyncio.run(other.deliver())

        stopped = Interrupted(store, k, meanwhile)
        process = alerting(stopped, clock, inbox, rules=rules)
        await asyncio.to_thread(process.decide, window(0), rates(0, {"m-1": 20}, shop))
        await asyncio.to_thread(process.decide, window(1), rates(1, {"m-1": 20, "m-2": 20}, shop))
        await process.deliver()
        for _ in range(2):
            clock.advance(LEASE)
            await other.deliver()
            await process.deliver()
        if stopped.calls < k:
            break
        assert told(inbox) == {"m-1": ["firing", "resolved"], "m-2": ["firing"]}, k
    assert k > 15


def told(inbox: Inbox) -> dict[str, list[str]]:
    """Return alert -> the states it was told to be in; no two messages may say the same."""
    found: dict[str, list[str]] = {}
    seen: Counter[str] = Counter()
    for place, message in enumerate(inbox.said):
        seen[str(sorted(message.items()))] += 1
        for name, state in message.items():
            states = found.setdefault(name, [])
            if not states or states[-1] != state:
                states.append(state)
        assert max(seen.values()) == 1, (place, inbox.said)
    return found


async def test_of_two_messages_after_the_same_one_only_one_is_sent_and_nothing_is_lost(store: ClickHouseStore) -> None:
    """Both were written before either process had seen the other's."""
    clock, inbox = ManualClock(DAY), Inbox("a")
    early, late = alerting(store, clock, inbox), alerting(store, clock, inbox)
    early.decide(window(0), rates(0, {"m-1": 20}))
    # What the other process wrote, knowing of one alert more, and not of that message.
    [row] = rows(store, "SELECT * FROM outbox_raw")
    fork = {"id": "0" * 24, "told": [*dict(row["told"]).items(), ("x-1", "firing")]}
    columns = {
        name: pa.array([value]) for name, value in (row | fork).items() if name not in ("told", "at", "created_at")
    }
    columns |= {
        "told": pa.array([fork["told"]], pa.map_(pa.string(), pa.string())),
        "at": pa.array([row["at"]], INSTANT),
        "created_at": pa.array([row["created_at"]], INSTANT),
    }
    store.insert("outbox_raw", pa.table(columns), token="fork")
    sent = await early.deliver() + await late.deliver()
    for _ in range(3):
        clock.advance(LEASE)
        sent += await early.deliver() + await late.deliver()
    assert sent == 1
    statuses = Counter(row["status"] for row in rows(store, "SELECT id, status FROM deliveries"))
    assert (statuses["sent"], statuses["superseded"]) == (1, 1)
    late.decide(window(1), rates(1, {"m-1": 20, "m-2": 20}))
    assert await late.deliver() == 1
    assert inbox.said[1:] == [{"m-1": "firing", "m-2": "firing"}]


async def test_what_an_older_version_told_is_not_told_again_and_ends_under_its_own_key(store: ClickHouseStore) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    with pytest.raises(StoreUnavailable):
        alerting(NoOutbox(store), clock, inbox).decide(window(0), rates(0, {"m-1": 20, "m-2": 30}))
    raw = rows(store, "SELECT alert_id, labels['model'] AS model FROM alerts_raw ORDER BY model")
    old = pa.table(
        {
            "id": [f"old-{row['model']}" for row in raw],
            "receiver": ["a"] * 2,
            "alert_id": [row["alert_id"] for row in raw],
            "payload": ['{"status":"firing"}'] * 2,
            "at": pa.array([window(0).end] * 2, INSTANT),
            "created_at": pa.array([DAY] * 2, INSTANT),
        }
    )
    store.insert("outbox_raw", old, token="old")
    sent = pa.table(
        {
            "id": [f"old-{row['model']}" for row in raw],
            "receiver": ["a"] * 2,
            "attempt": pa.array([1, 1], pa.uint32()),
            "status": ["sent"] * 2,
            "at": pa.array([DAY] * 2, INSTANT),
        }
    )
    store.insert("deliveries_raw", sent, token="sent")
    upgraded = alerting(store, clock, inbox)
    assert await upgraded.deliver() == 0
    upgraded.decide(window(1), rates(1, {"m-1": 0, "m-2": 30, "m-3": 30}))
    assert await upgraded.deliver() == 2
    assert sorted(inbox.said, key=str) == [{"m-1": "resolved"}, {"m-3": "firing"}]
    assert f"inferwatch/{raw[0]['alert_id']}" in {note.dedup_key for note in inbox.accepted}


class NoOutbox:
    """The real store, which takes transitions and no messages."""

    def __init__(self, store: ClickHouseStore) -> None:
        self._store = store

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        return self._store.query(sql, parameters)

    def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        if table == "outbox_raw":
            raise StoreUnavailable("planted")
        self._store.insert(table, rows, token=token)


async def test_what_was_decided_when_there_was_nobody_to_tell_pages_nobody_later(store: ClickHouseStore) -> None:
    """An old log was replayed, and then the service is started with receivers."""
    clock, inbox = ManualClock(DAY), Inbox("a")
    alerting(store, clock).decide(window(0), rates(0, {"m-1": 20}))
    engine = alerting(store, clock, inbox)
    assert await engine.deliver() == 0
    engine.decide(window(1), rates(1, {"m-1": 20, "m-2": 20}))
    engine.decide(window(2), rates(2, {"m-1": 0, "m-2": 20}))
    assert await engine.deliver() == 1
    assert inbox.said == [{"m-2": "firing"}]
    assert [row["receiver"] for row in rows(store, "SELECT receiver FROM outbox")] == ["a"]


async def test_where_no_alert_stands_the_store_is_hardly_asked(store: ClickHouseStore) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    counted = Interrupted(store, 0, lambda: None)
    engine = alerting(counted, clock, inbox)
    assert await engine.deliver() == 0
    before = counted.calls
    for _ in range(60):
        clock.advance(SECOND)
        assert await engine.deliver() == 0
    # Every second for messages, every five for alerts; all of it two and four times.
    assert counted.calls - before <= 60 + 12 + 2 * 4 + 4


@pytest.mark.parametrize("left", ["alert", "message"])
async def test_what_another_process_left_behind_is_told_by_one_at_rest(store: ClickHouseStore, left: str) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    engine = alerting(store, clock, inbox)
    for _ in range(8):
        assert await engine.deliver() == 0
        clock.advance(SECOND)
    if left == "message":
        alerting(store, clock, inbox).decide(window(0), rates(0, {"m-1": 20}))
    else:
        with pytest.raises(StoreUnavailable):
            alerting(NoOutbox(store), clock, inbox).decide(window(0), rates(0, {"m-1": 20}))
    clock.advance(5 * SECOND)
    assert await engine.deliver() == 1
    assert inbox.said == [{"m-1": "firing"}]


async def test_the_end_of_an_alert_whose_rule_is_gone_is_told(store: ClickHouseStore) -> None:
    clock = ManualClock(DAY)
    engine = alerting(NoOutbox(store), clock, Inbox("a"))
    dispatcher = Dispatcher(configured("a"), store, clock, {}, SILENT)
    with pytest.raises(StoreUnavailable):
        engine.decide(window(0), rates(0, {"m-1": 20}))
    assert dispatcher.dispatch() == 1
    with pytest.raises(StoreUnavailable):
        engine.decide(window(1), rates(1, {"m-1": 0}))
    dispatcher.use(configured("a", rules=()), [Rule.model_validate(RULE)])
    assert dispatcher.dispatch() == 1
    assert [row["reason"] for row in rows(store, "SELECT reason FROM outbox ORDER BY at")] == [
        "first alerts",
        "all resolved",
    ]


# Silences ----------------------------------------------------------------------------------------------------


async def test_a_silence_holds_back_until_it_is_over_or_ended(store: ClickHouseStore) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    silences = Silences(store, clock)
    made = silences.add(['model=~"m-[12]"'], DAY + timedelta(hours=2), "ann", "known, being mended")
    engine = alerting(store, clock, inbox)
    engine.decide(window(0), rates(0, {"m-1": 20, "m-3": 20}))
    assert await engine.deliver() == 1
    assert inbox.said == [{"m-3": "firing"}]
    labels = {"alertname": "toxic", "application": "shop", "model": "m-1"}
    assert [one.comment for one in active(store, labels, clock.now())] == ["known, being mended"]
    assert active(store, labels | {"model": "m-3"}, clock.now()) == []
    clock.advance(timedelta(hours=1))
    assert await engine.deliver() == 0
    ended = silences.expire(made.id)
    assert (ended.ends_at, ended.state(clock.now())) == (clock.now(), "expired")
    clock.advance(5 * SECOND)
    assert await engine.deliver() == 1
    assert inbox.said[1] == {"m-1": "firing", "m-3": "firing"}
    assert silences.list() == []
    assert [one.id for one in silences.list(expired=True)] == [made.id]
    assert silences.expire(made.id) == ended


@pytest.mark.parametrize(
    ("matchers", "hours", "said"),
    [
        ([], 1, "matchers must have one that is not satisfied by alerts without its label"),
        (["application!=shop"], 1, "matchers must have one that is not satisfied by alerts without its label"),
        (["application"], 1, "must be a matcher"),
        (["application=shop"], 0, "ends_at must be after now"),
    ],
)
def test_a_silence_that_cannot_be_is_refused(
    store: ClickHouseStore, matchers: list[str], hours: int, said: str
) -> None:
    with pytest.raises(Misconfigured, match=said):
        Silences(store, ManualClock(DAY)).add(matchers, DAY + timedelta(hours=hours), "ann", "why")


def test_a_silence_that_is_not_there_cannot_be_ended(store: ClickHouseStore) -> None:
    with pytest.raises(NotFound, match="there is no silence 'x'"):
        Silences(store, ManualClock(DAY)).expire("x")


# Receivers that are down -------------------------------------------------------------------------------------


async def test_a_receiver_that_is_down_is_told_through_the_others_once(store: ClickHouseStore) -> None:
    clock, dead, well = ManualClock(DAY), Inbox("dead"), Inbox("well")
    dead.refuse = DeliveryError("receiver 'dead': answered 500", retryable=True)
    engine = alerting(store, clock, dead, well)
    engine.decide(window(0), rates(0, {"m-1": 20}))
    for _ in range(40):
        await engine.deliver()
        clock.advance(10 * SECOND)
    fired, down = well.accepted
    assert fired.metric == "toxicity.output.rate"
    assert down.title == "A receiver does not take notifications: inferwatch, receiver dead"
    assert f"Receiver 'dead' has refused or not answered {IN_A_ROW} deliveries in a row" in down.summary
    assert "answered 500" in down.summary
    assert "FROM deliveries" in down.sql
    dead.refuse = None
    clock.advance(timedelta(minutes=15))
    assert await engine.deliver() == 1
    clock.advance(5 * SECOND)
    assert await engine.deliver() == 1
    assert [note.status for note in well.accepted] == [State.FIRING, State.FIRING, State.RESOLVED]
    assert dead.said == [{"m-1": "firing"}]
    episodes = rows(store, "SELECT to_state FROM alerts WHERE rule = 'inferwatch-receiver-down' ORDER BY at")
    assert [row["to_state"] for row in episodes] == ["firing", "resolved"]


async def test_an_alert_that_a_receiver_refused_for_good_is_told_at_once(store: ClickHouseStore) -> None:
    clock, dead, well = ManualClock(DAY), Inbox("dead"), Inbox("well")
    dead.refuse = DeliveryError("receiver 'dead': answered 404", retryable=False)
    engine = alerting(store, clock, dead, well)
    engine.decide(window(0), rates(0, {"m-1": 20}))
    await engine.deliver()
    clock.advance(5 * SECOND)
    await engine.deliver()
    assert [note.metric for note in well.accepted] == ["toxicity.output.rate", "receiver.failures"]
    assert "1 delivery in a row" in well.accepted[1].summary
