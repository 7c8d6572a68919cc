"""Alerts on the real engine: decided once, delivered once, in order, and by whoever is there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from inspect import isawaitable
from typing import Any

import pyarrow as pa
import pytest
from aiohttp import web

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.infra.notifiers import build, close
from inferwatch.schemas.alerts import Notification, State, Transition
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import DeliveryError, Permanent, StoreUnavailable
from inferwatch.schemas.metrics import WindowMetric, wilson
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.alerting import delivering, outbox
from inferwatch.streams.alerting.breaker import DEAD_AFTER
from inferwatch.streams.alerting.engine import Alerting
from inferwatch.streams.alerting.outbox import GIVE_UP, LEASE
from inferwatch.streams.publication import publication
from tests.support.interrupted import Interrupted

DAY = datetime(2026, 3, 1, tzinfo=UTC)
SIZE = timedelta(minutes=15)
EPISODE = (0, 20, 30, 25, 1, 0)
"""Toxic outputs in 100, window by window: one alert that fires and resolves."""
THRESHOLDS = {"toxicity.output": 0.5}
KEY = "0123456789abcdef0123456789abcdef"
SECOND = timedelta(seconds=1)
EACH = {"group_by": ["..."]}
"""Routing that sends a message for each alert."""


def window(place: int) -> Window:
    return Window(DAY + place * SIZE, DAY + (place + 1) * SIZE)


def rate(place: int, hits: int, n: int = 100, series: SeriesKey = SeriesKey("shop")) -> WindowMetric:  # noqa: B008
    return WindowMetric(window(place), series, "toxicity.output.rate", hits / n, n, n, *wilson(hits, n))


def configured(
    *receivers: str, rules: Sequence[Mapping[str, Any]] | None = None, routing: Mapping[str, Any] | None = None
) -> Settings:
    rule = {"name": "toxic", "metric": "toxicity.output.rate", "when": "> 5 %", "for": "15m"}
    return Settings.model_validate(
        {
            "rules": rules or [rule],
            "receivers": [{"type": "webhook", "name": name, "url": "https://x.example"} for name in receivers],
            "segments": {"dimensions": ["model"]},
            "routing": routing or {},
        }
    )


class Inbox:
    """A receiver that keeps what it accepts, and refuses what ``refuse`` says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.accepted: list[Notification] = []
        self.tried: list[str] = []
        self.refuse: dict[State | None, Exception] = {}
        self.on_accept: Callable[[], None] = lambda: None

    async def notify(self, note: Notification) -> None:
        self.tried.append(note.id)
        if (error := self.refuse.get(note.status) or self.refuse.get(None)) is not None:
            raise error
        self.accepted.append(note)
        self.on_accept()

    @property
    def states(self) -> list[State]:
        return [note.status for note in self.accepted]


def alerting(store: Any, clock: ManualClock, *inboxes: Inbox, settings: Settings | None = None) -> Alerting:
    settings = settings or configured(*(inbox.name for inbox in inboxes))
    return Alerting(settings, store, {inbox.name: inbox for inbox in inboxes}, clock, THRESHOLDS)


def count(store: ClickHouseStore, table: str) -> int:
    return int(store.query(f"SELECT count() AS n FROM {table}")["n"][0].as_py())


def rows(store: ClickHouseStore, sql: str) -> list[dict[str, Any]]:
    return list(store.query(sql).to_pylist())


# Deciding ----------------------------------------------------------------------------------------------------


def test_an_episode_is_stored_once_however_often_it_is_decided(store: ClickHouseStore) -> None:
    clock = ManualClock(DAY)
    engine = alerting(store, clock, Inbox("a"), Inbox("b"))
    found: list[Transition] = []
    for place, hits in enumerate(EPISODE):
        first = engine.decide(window(place), [rate(place, hits)])
        clock.advance(SECOND)
        assert engine.decide(window(place), [rate(place, hits)]) == first
        assert alerting(store, clock, Inbox("a"), Inbox("b")).decide(window(place), [rate(place, hits)]) == first
        found += first
    assert [one.to_state for one in found] == [State.PENDING, State.FIRING, State.RESOLVED]
    assert (count(store, "alerts"), count(store, "outbox")) == (3, 4)
    assert (count(store, "alerts_raw"), count(store, "outbox_raw")) == (3, 4)


def test_every_window_may_be_decided_by_another_worker(store: ClickHouseStore) -> None:
    one = alerting(store, ManualClock(DAY), Inbox("a"))
    for place, hits in enumerate(EPISODE):
        one.decide(window(place), [rate(place, hits, series=SeriesKey("alone"))])
    for place, hits in enumerate(EPISODE):
        taken_over = alerting(store, ManualClock(DAY), Inbox("a"))
        taken_over.decide(window(place), [rate(place, hits, series=SeriesKey("shared"))])
    steps = "SELECT at, to_state, since, value FROM alerts WHERE labels['application'] = '{}' ORDER BY at"
    assert len(rows(store, steps.format("alone"))) == 3
    assert rows(store, steps.format("shared")) == rows(store, steps.format("alone"))


def test_an_old_window_changes_nothing(store: ClickHouseStore) -> None:
    engine = alerting(store, ManualClock(DAY), Inbox("a"))
    for place, hits in enumerate(EPISODE):
        engine.decide(window(place), [rate(place, hits)])
    before = rows(store, "SELECT * FROM alerts ORDER BY at")
    assert [one.to_state for one in engine.decide(window(2), [rate(2, 0)])] == [State.FIRING]
    assert engine.decide(window(0), [rate(0, 90)]) == []
    assert rows(store, "SELECT * FROM alerts ORDER BY at") == before
    assert count(store, "outbox") == 2


def test_what_late_rows_have_corrected_before_it_was_told_is_not_told(store: ClickHouseStore) -> None:
    """A crash after the transitions, and late rows before the repetition: the alert is on record, and its end."""
    broken = Breaking(store)
    engine = alerting(broken, ManualClock(DAY), Inbox("a"))
    engine.decide(window(1), [rate(1, 20)])
    broken.refuse = "outbox_raw"
    with pytest.raises(StoreUnavailable):
        engine.decide(window(2), [rate(2, 20)])
    broken.refuse = ""
    fired, resolved = alerting(broken, ManualClock(DAY), Inbox("a")).decide(window(2), [rate(2, 0, 500)])
    assert (fired.to_state, fired.value, fired.sequence) == (State.FIRING, 0.2, 2)
    assert (resolved.to_state, resolved.value, resolved.sequence) == (State.RESOLVED, 0.0, 3)
    assert rows(store, "SELECT payload FROM outbox") == []
    assert alerting(store, ManualClock(DAY), Inbox("a")).decide(window(3), [rate(3, 0)]) == []


def revised(place: int, hits: int, revision: int) -> WindowMetric:
    return replace(rate(place, hits), revision=revision)


def test_a_revision_resolves_what_it_takes_back_and_never_pages_twice(store: ClickHouseStore) -> None:
    engine = alerting(store, ManualClock(DAY), Inbox("a"))
    engine.decide(window(1), [rate(1, 20)])
    assert [one.to_state for one in engine.decide(window(2), [rate(2, 20)])] == [State.FIRING]
    for revision, hits in enumerate((0, 30, 0, 40), start=1):
        found = alerting(store, ManualClock(DAY), Inbox("a")).decide(window(2), [revised(2, hits, revision)])
        assert [one.to_state for one in found] == [State.FIRING, State.RESOLVED]
    assert len({one.alert_id for one in found}) == 1
    assert count(store, "outbox") == 2


def test_a_revision_of_the_newest_window_may_fire_and_one_of_an_older_window_changes_nothing(
    store: ClickHouseStore,
) -> None:
    engine = alerting(store, ManualClock(DAY), Inbox("a"))
    metrics = [rate(place, 0) for place in range(4)]
    store.insert("window_metrics_raw", publication(window(3), 0, 100, metrics[3:]).metric_rows(DAY), token="3")
    assert engine.decide(window(2), [revised(2, 90, 1)]) == []
    assert [one.to_state for one in engine.decide(window(3), [revised(3, 90, 1)])] == [State.PENDING]
    assert engine.decide(window(3), [revised(3, 0, 2)])[-1].to_state is State.INACTIVE


def test_a_source_that_goes_silent_is_told_once_whoever_looks(store: ClickHouseStore) -> None:
    rule = {"name": "toxic", "metric": "toxicity.output.rate", "when": "> 5 %", "no_data_after": "1h"}
    settings = Settings.model_validate(configured("a", rules=[rule]).model_dump() | {"windows": {"size": "15m"}})
    clock = ManualClock(DAY)
    numbers = [rate(0, 0), rate(0, 20, series=SeriesKey("bank"))]
    store.insert("window_metrics_raw", publication(window(0), 0, 200, numbers).metric_rows(DAY), token="0")
    alerting(store, clock, Inbox("a"), settings=settings).decide(window(0), numbers)
    silent = {
        ("bank", State.FIRING, State.NO_DATA, window(4).end),
        ("shop", State.INACTIVE, State.NO_DATA, window(4).end),
    }
    for expected in (silent, set()):
        engine = alerting(store, clock, Inbox("a"), settings=settings)
        assert engine.let_pass(window(0).end, window(3).end) == []
        found = engine.let_pass(window(0).end, window(40).end)
        assert {(one.labels["application"], one.from_state, one.to_state, one.at) for one in found} == expected
    assert count(store, "outbox") == 3


def test_a_rule_names_its_receivers_or_tells_all(store: ClickHouseStore) -> None:
    base = {"metric": "toxicity.output.rate", "when": "> 5 %"}
    rules = [base | {"name": "all"}, base | {"name": "one", "receivers": ["b"]}]
    engine = alerting(store, ManualClock(DAY), settings=configured("a", "b", rules=rules))
    engine.decide(window(0), [rate(0, 20)])
    told = rows(
        store, "SELECT receiver, alert_id IN (SELECT alert_id FROM alerts WHERE rule = 'one') AS one FROM outbox"
    )
    assert Counter((row["receiver"], row["one"]) for row in told) == {("a", 0): 1, ("b", 0): 1, ("b", 1): 1}


@pytest.mark.parametrize("pages", [False, True], ids=["quiet", "all fire"])
def test_ten_thousand_instances_are_decided_in_seconds(
    store: ClickHouseStore, pages: bool, record_property: Any
) -> None:
    rule = {
        "name": "toxic",
        "metric": "toxicity.output.rate",
        "when": "> 5 %",
        "group_by": ["model"],
        "max_instances": 10_000,
    }
    engine = alerting(store, ManualClock(DAY), settings=configured("a", rules=[rule]))
    series = [SeriesKey("shop", "model", f"m-{place}") for place in range(10_000)]
    engine.decide(window(0), [rate(0, 20, series=series[0])])
    started = time.perf_counter()
    found = engine.decide(
        window(1), [rate(1, 20 if pages or not place else 0, series=one) for place, one in enumerate(series)]
    )
    took = time.perf_counter() - started
    record_property("seconds", round(took, 2))
    print(f"10,000 instances, {len(found):,} transitions: {took:.2f} s")
    assert len(found) == (9_999 if pages else 0)
    assert took < 30


# Crashing ----------------------------------------------------------------------------------------------------


class Breaking:
    """The real store, until the process that uses it dies: at call ``die_at``, before it is done or after.

    After that every call fails, as for a dead process, until a new one is started.
    """

    def __init__(self, store: ClickHouseStore) -> None:
        self._store = store
        self.calls = 0
        self.inserts: list[int] = []
        self.die_at = 0
        self.after = False
        self.dead = False
        self.refuse = ""

    def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
        if table == self.refuse:
            raise StoreUnavailable("planted")
        self.inserts.append(self.calls + 1)
        self._call(lambda: self._store.insert(table, rows, token=token))

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        return self._call(lambda: self._store.query(sql, parameters))

    def _call(self, work: Any) -> Any:
        self.calls += 1
        dies = self.calls == self.die_at
        if self.dead or (dies and not self.after):
            self.dead = True
            raise StoreUnavailable("planted, before")
        found = work()
        if dies:
            self.dead = True
            raise StoreUnavailable("planted, after")
        return found


class Pager:
    """Stands where PagerDuty stands: takes events over HTTP and folds them by ``dedup_key`` as PagerDuty does."""

    def __init__(self) -> None:
        self.url = ""
        self.requests = 0
        self.incidents: dict[str, list[str]] = {}

    async def take(self, request: web.Request) -> web.Response:
        self.requests += 1
        event = await request.json()
        history = self.incidents.setdefault(event["dedup_key"], [])
        if event["event_action"] == "trigger" and (not history or history[-1] == "resolve"):
            history.append("trigger")
        if event["event_action"] == "resolve" and history[-1:] == ["trigger"]:
            history.append("resolve")
        return web.json_response({"status": "success"}, status=202)


@pytest.fixture
async def pager() -> AsyncIterator[Pager]:
    found = Pager()
    app = web.Application()
    app.router.add_post("/v2/enqueue", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"{site.name}/v2/enqueue"
    yield found
    await runner.cleanup()


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_crash_at_any_call_loses_no_page_and_repeats_none(store: ClickHouseStore, pager: Pager) -> None:
    """The process dies at every store call of an episode in turn, before or after it took effect; another goes on.

    A query takes no effect: to die before it and after it is the same.
    """
    settings = Settings.model_validate(
        {
            "rules": [{"name": "toxic", "metric": "toxicity.output.rate", "when": "> 5 %", "for": "5m"}],
            "receivers": [{"type": "pagerduty", "name": "pager", "url": pager.url, "routing_key": KEY}],
        }
    )
    clock = ManualClock(DAY)
    notifiers = build(settings, clock)

    async def live(application: str, die_at: int, after: bool) -> Breaking:
        """Run one episode from window to window as the closer does; return the store, which counted its calls."""
        breaking = Breaking(store)
        breaking.die_at, breaking.after = die_at, after
        process = Alerting(settings, breaking, notifiers, clock, THRESHOLDS)

        async def until_done(work: Callable[[], Any]) -> None:
            nonlocal process
            try:
                found = work()
                if isawaitable(found):
                    await found
            except StoreUnavailable:
                breaking.dead, breaking.die_at = False, 0
                process = Alerting(settings, breaking, notifiers, clock, THRESHOLDS)
                await process.deliver()
                clock.advance(LEASE)
                await until_done(work)

        for place, hits in enumerate((20, 30, 1, 0)):
            metrics = [rate(place, hits, series=SeriesKey(application))]
            await until_done(lambda place=place, metrics=metrics: process.decide(window(place), metrics))
            await until_done(lambda: process.deliver())
        return breaking

    whole = await live("whole", 0, after=False)
    runs = [(die_at, False) for die_at in range(1, whole.calls + 1)] + [(die_at, True) for die_at in whole.inserts]
    for die_at, after in runs:
        await live(f"{die_at}-{after}", die_at, after)
    await close(notifiers)

    assert whole.calls > 20
    assert len(whole.inserts) > 5
    assert len(pager.incidents) == len(runs) + 1
    assert all(history == ["trigger", "resolve"] for history in pager.incidents.values()), pager.incidents
    # Repeated only where accepting and recording were cut apart: once for the trigger, once for the resolve.
    assert pager.requests == 2 * (len(runs) + 1) + 2
    assert count(store, "outbox") == 2 * (len(runs) + 1)


# Delivering ----------------------------------------------------------------------------------------------------


def decided(store: Any, clock: ManualClock, *inboxes: Inbox, until: int = len(EPISODE)) -> Alerting:
    """Return the alerting after the first windows of an episode, nothing delivered yet."""
    engine = alerting(store, clock, *inboxes)
    for place, hits in enumerate(EPISODE[:until]):
        engine.decide(window(place), [rate(place, hits)])
    return engine


async def test_trigger_and_resolve_arrive_once_and_in_order(store: ClickHouseStore) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    engine = decided(store, clock, inbox)
    assert await engine.deliver() == 2
    assert await engine.deliver() == 0
    assert await alerting(store, clock, inbox).deliver() == 0
    assert inbox.states == [State.FIRING, State.RESOLVED]
    assert len({note.dedup_key for note in inbox.accepted}) == 1
    statuses = rows(store, "SELECT status, count() AS n FROM deliveries GROUP BY status ORDER BY status")
    assert statuses == [{"status": "attempting", "n": 2}, {"status": "sent", "n": 2}]


async def test_a_dead_receiver_holds_up_no_other(store: ClickHouseStore) -> None:
    clock, dead, well = ManualClock(DAY), Inbox("dead"), Inbox("well")
    dead.refuse[None] = DeliveryError("dead", retryable=True)
    engine = decided(store, clock, dead, well)
    assert await engine.deliver() == 2
    assert well.states == [State.FIRING, State.RESOLVED]
    assert len(dead.tried) == 1
    clock.advance(timedelta(minutes=1))
    dead.refuse.clear()
    assert await engine.deliver() == 2
    assert dead.states == [State.FIRING, State.RESOLVED]


async def test_waiting_grows_and_a_receiver_is_not_hammered(store: ClickHouseStore) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    inbox.refuse[None] = DeliveryError("busy", retryable=True)
    engine = decided(store, clock, inbox)
    for _ in range(200):
        await engine.deliver()
        clock.advance(timedelta(seconds=3))
    assert 6 <= len(inbox.tried) <= 12


async def test_retry_after_is_obeyed(store: ClickHouseStore) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    inbox.refuse[None] = DeliveryError("slow down", retryable=True, retry_after=120)
    engine = decided(store, clock, inbox, until=3)
    await engine.deliver()
    inbox.refuse.clear()
    clock.advance(timedelta(seconds=119))
    assert await engine.deliver() == 0
    assert await alerting(store, clock, inbox).deliver() == 0
    clock.advance(timedelta(seconds=2))
    assert await engine.deliver() == 1


async def test_a_refusal_for_good_is_recorded_and_holds_up_nothing(
    store: ClickHouseStore, caplog: pytest.LogCaptureFixture
) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    inbox.refuse[State.FIRING] = DeliveryError("receiver 'a': answered 400", retryable=False)
    engine = decided(store, clock, inbox)
    with caplog.at_level(logging.ERROR):
        assert await engine.deliver() == 1
    assert inbox.states == [State.RESOLVED]
    [failed] = rows(store, "SELECT error, attempt FROM deliveries WHERE status = 'failed'")
    assert failed == {"error": "receiver 'a': answered 400", "attempt": 1}
    assert "answered 400" in caplog.text


async def test_a_message_that_a_receiver_chokes_on_does_not_stop_the_rest(store: ClickHouseStore) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    inbox.refuse[State.FIRING] = RuntimeError("secret https://hooks/T0PSECRET")
    engine = alerting(store, clock, inbox, settings=configured("a", rules=[
        {"name": "toxic", "metric": "toxicity.output.rate", "when": "> 5 %"},
        {"name": "calm", "metric": "toxicity.output.rate", "when": "> 50 %"},
    ]))  # fmt: skip
    shop, bank = SeriesKey("shop"), SeriesKey("bank")
    engine.decide(window(0), [rate(0, 90, series=bank)])
    inbox.refuse, choking = {}, inbox.refuse
    assert await engine.deliver() == 2
    inbox.refuse = choking
    engine.decide(window(1), [rate(1, 20, series=shop), rate(1, 90, series=bank)])
    engine.decide(window(2), [rate(2, 20, series=shop), rate(2, 0, series=bank)])
    for _ in range(3):
        await engine.deliver()
        clock.advance(timedelta(minutes=1))
    assert inbox.states[2:] == [State.RESOLVED, State.RESOLVED]
    errors = rows(store, "SELECT DISTINCT error FROM deliveries WHERE status = 'retrying'")
    assert errors == [{"error": "unexpected RuntimeError"}]


async def test_after_a_day_it_gives_up_and_says_so(store: ClickHouseStore, caplog: pytest.LogCaptureFixture) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    inbox.refuse[None] = DeliveryError("down", retryable=True)
    engine = decided(store, clock, inbox, until=3)
    for _ in range(DEAD_AFTER):
        await engine.deliver()
        clock.advance(timedelta(hours=1))
    clock.advance(GIVE_UP)
    with caplog.at_level(logging.ERROR):
        assert await engine.deliver() == 0
    inbox.refuse.clear()
    clock.advance(timedelta(days=1))
    assert await engine.deliver() == 0
    assert "gave up" in caplog.text
    assert [row["status"] for row in rows(store, "SELECT status FROM deliveries WHERE error LIKE 'gave up%'")] == [
        "failed"
    ]


async def test_what_nobody_tried_for_a_day_is_still_sent(store: ClickHouseStore) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    decided(store, clock, inbox, until=3)
    clock.advance(timedelta(days=2))
    assert await alerting(store, clock, inbox).deliver() == 1


async def test_an_attempt_without_a_result_is_repeated_after_its_lease_only(store: ClickHouseStore) -> None:
    """The process died between the receiver's yes and the record of it."""
    clock, inbox, breaking = ManualClock(DAY), Inbox("a"), Breaking(store)
    engine = decided(breaking, clock, inbox, until=3)
    inbox.on_accept = lambda: setattr(breaking, "dead", True)
    with pytest.raises(StoreUnavailable):
        await engine.deliver()
    assert len(inbox.accepted) == 1
    successor = alerting(store, clock, inbox)
    assert await successor.deliver() == 0
    clock.advance(LEASE)
    assert await successor.deliver() == 1
    first, again = inbox.accepted
    assert str(first) == str(again)


@pytest.mark.parametrize("paused", [timedelta(0), SECOND, LEASE], ids=["no time", "a second", "the lease"])
async def test_a_process_stopped_at_any_call_repeats_nothing_that_another_sent(
    store: ClickHouseStore, paused: timedelta
) -> None:
    k = 0
    while True:
        k += 1
        clock, inbox = ManualClock(DAY), Inbox("a")
        unrecorded: list[int] = []
        engine = alerting(store, clock, inbox)
        key = SeriesKey(f"shop-{paused.seconds}-{k}")
        for place, hits in enumerate(EPISODE[:3]):
            engine.decide(window(place), [rate(place, hits, series=key)])
        other = alerting(store, clock, inbox)

        def meanwhile(
            other: Alerting = other, clock: ManualClock = clock, inbox: Inbox = inbox, found: list[int] = unrecorded
        ) -> None:
            found.append(len(inbox.accepted))
            asyncio.run(other.deliver())
            clock.advance(paused)
            asyncio.run(other.deliver())

        stopped = Interrupted(store, k, meanwhile)
        await alerting(stopped, clock, inbox).deliver()
        for _ in range(3):
            clock.advance(LEASE)
            await other.deliver()
        # Only what was sent and not recorded before the lease was over is sent again: nobody else can know of it.
        assert len(inbox.accepted) == 1 + (paused >= LEASE and unrecorded == [1]), k
        if stopped.calls < k:
            break
    assert k > 4


async def test_a_process_stopped_after_taking_its_lease_does_not_send_when_it_is_over(store: ClickHouseStore) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    decided(store, clock, inbox, until=3)

    class Stopping(Interrupted):
        def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
            found = super().query(sql, parameters)
            if "owner !=" in sql:
                clock.advance(LEASE)
            return found

    assert await alerting(Stopping(store, 0, lambda: None), clock, inbox).deliver() == 0
    assert inbox.accepted == []
    successor = alerting(store, clock, inbox)
    assert await successor.deliver() == 0
    clock.advance(LEASE)
    assert await successor.deliver() == 1


async def test_an_answer_that_could_not_be_recorded_is_recorded_later_not_repeated(store: ClickHouseStore) -> None:
    clock, inbox, breaking = ManualClock(DAY), Inbox("a"), Breaking(store)
    engine = decided(breaking, clock, inbox, until=3)
    inbox.on_accept = lambda: setattr(breaking, "dead", True)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await engine.deliver()
        clock.advance(LEASE * 2)
    breaking.dead = False
    assert await engine.deliver() == 0
    assert len(inbox.accepted) == 1
    assert Counter(row["status"] for row in rows(store, "SELECT status FROM deliveries")) == {
        "attempting": 1,
        "sent": 1,
    }


async def test_one_pass_is_bounded(store: ClickHouseStore) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    rule = {"name": "toxic", "metric": "toxicity.output.rate", "when": "> 5 %", "group_by": ["model"]}
    engine = alerting(store, clock, inbox, settings=configured("a", rules=[rule], routing=EACH))
    engine.decide(window(0), [rate(0, 20, series=SeriesKey("shop", "model", f"m-{place}")) for place in range(45)])
    assert [await engine.deliver() for _ in range(4)] == [20, 20, 5, 0]
    assert len({note.id for note in inbox.accepted}) == 45


def fire_many(engine: Alerting, place: int, models: int, prefix: str) -> None:
    """Let a rule by model fire for that many models in one window."""
    series = [SeriesKey("shop", "model", f"{prefix}-{number}") for number in range(models)]
    engine.decide(window(place), [rate(place, 20, series=one) for one in series])


BY_MODEL = {"name": "toxic", "metric": "toxicity.output.rate", "when": "> 5 %", "group_by": ["model"]}


async def test_the_backlog_of_a_dead_receiver_hides_nothing_of_the_others(
    store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "OPEN_ROWS", 30)
    clock, dead, well = ManualClock(DAY), Inbox("dead"), Inbox("well")
    dead.refuse[None] = DeliveryError("dead", retryable=True)
    engine = alerting(store, clock, dead, well, settings=configured("dead", "well", rules=[BY_MODEL], routing=EACH))
    fire_many(engine, 0, 40, "m")
    assert [await engine.deliver() for _ in range(4)] == [20, 20, 0, 0]
    assert len({note.id for note in well.accepted}) == 40


async def test_a_listing_that_was_cut_off_forgets_nothing(
    store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old logs are replayed while a page of today waits: more messages, of earlier events, than one listing holds."""
    monkeypatch.setattr(outbox, "OPEN_ROWS", 30)
    clock, inbox = ManualClock(DAY), Inbox("a")
    engine = alerting(store, clock, inbox, settings=configured("a", rules=[BY_MODEL], routing=EACH))
    fire_many(engine, 50, 1, "today")
    clock.advance(timedelta(hours=3))
    fire_many(engine, 0, 40, "replayed")
    assert sum([await engine.deliver() for _ in range(4)]) == 41
    assert "today-0" in {note.labels["model"] for note in inbox.accepted}


async def test_a_receiver_that_never_answers_is_cut_off(
    store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hung(Inbox):
        async def notify(self, note: Notification) -> None:
            self.tried.append(note.id)
            await asyncio.Event().wait()

    monkeypatch.setattr(delivering, "ANSWER_SECONDS", 0.05)
    clock, hung, well = ManualClock(DAY), Hung("hung"), Inbox("well")
    engine = decided(store, clock, hung, well)
    async with asyncio.timeout(30):
        assert await engine.deliver() == 2
    assert len(hung.tried) == 1
    [retrying] = rows(store, "SELECT receiver, error FROM deliveries WHERE status = 'retrying'")
    assert retrying == {"receiver": "hung", "error": "receiver 'hung': no answer in time"}


async def test_a_slow_receiver_gets_little_in_one_pass(store: ClickHouseStore) -> None:
    clock, slow = ManualClock(DAY), Inbox("slow")
    slow.on_accept = lambda: clock.advance(4 * SECOND)
    engine = alerting(store, clock, slow, settings=configured("slow", rules=[BY_MODEL], routing=EACH))
    fire_many(engine, 0, 5, "m")
    assert [await engine.deliver() for _ in range(3)] == [3, 2, 0]


async def test_all_that_waits_for_a_dead_receiver_is_given_up_after_a_day(
    store: ClickHouseStore, caplog: pytest.LogCaptureFixture
) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    inbox.refuse[None] = DeliveryError("down", retryable=True)
    engine = alerting(store, clock, inbox, settings=configured("a", rules=[BY_MODEL], routing=EACH))
    fire_many(engine, 0, 25, "m")
    for _ in range(DEAD_AFTER):
        await engine.deliver()
        clock.advance(timedelta(hours=1))
    assert count(store, "deliveries WHERE status = 'failed'") == 0
    clock.advance(GIVE_UP)
    with caplog.at_level(logging.ERROR):
        assert await engine.deliver() == 0
    inbox.refuse.clear()
    clock.advance(timedelta(hours=1))
    assert await engine.deliver() == 0
    assert count(store, "deliveries WHERE status = 'failed'") == 25
    assert caplog.text.count("gave up") == 25


async def test_a_receiver_that_is_only_busy_still_gets_what_nobody_tried_for_a_day(store: ClickHouseStore) -> None:
    clock, inbox = ManualClock(DAY), Inbox("a")
    engine = alerting(store, clock, inbox, settings=configured("a", rules=[BY_MODEL], routing=EACH))
    fire_many(engine, 0, 3, "m")
    clock.advance(timedelta(days=2))
    inbox.refuse[None] = DeliveryError("busy", retryable=True, retry_after=1)
    assert await engine.deliver() == 0
    inbox.refuse.clear()
    clock.advance(timedelta(minutes=1))
    assert await engine.deliver() == 3


@pytest.mark.parametrize("wrong", [timedelta(minutes=10), timedelta(days=6)], ids=str)
@pytest.mark.parametrize("ahead", [True, False], ids=["ahead", "behind"])
@pytest.mark.parametrize("watching", [True, False], ids=["a worker that ran beside it", "one that starts"])
async def test_what_a_worker_with_a_wrong_clock_left_is_sent_in_time(
    store: ClickHouseStore, wrong: timedelta, ahead: bool, watching: bool
) -> None:
    """It wrote a message, was refused, and died; a worker whose clock is right sends it a few seconds later."""
    clock, inbox = ManualClock(DAY), Inbox("a")
    beside, starting = alerting(store, clock, inbox), alerting(store, clock, inbox)
    assert await beside.deliver() == 0
    inbox.refuse[None] = DeliveryError("busy", retryable=True)
    await decided(store, ManualClock(DAY + wrong if ahead else DAY - wrong), inbox, until=3).deliver()
    inbox.refuse.clear()
    successor, other = (beside, starting) if watching else (starting, beside)
    sent = await successor.deliver()
    clock.advance(3 * SECOND)
    assert sent + await successor.deliver() == 1
    clock.advance(LEASE)
    assert [await other.deliver(), await alerting(store, clock, inbox).deliver()] == [0, 0]


async def test_a_message_goes_out_without_what_could_not_be_read(store: ClickHouseStore) -> None:
    class Blind(Breaking):
        def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
            if "FROM window_metrics AS" in sql or "FROM inferences" in sql:
                raise Permanent("planted")
            return super().query(sql, parameters)

    clock, inbox = ManualClock(DAY), Inbox("a")
    engine = decided(Blind(store), clock, inbox, until=3)
    assert await engine.deliver() == 1
    assert inbox.accepted[0].sql
