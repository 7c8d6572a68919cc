"""Alerts on single rows: at once, once, and by whoever is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from inferwatch.detectors.base import Detector
from inferwatch.infra.assembly import thresholds
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.alerts import State
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import Misconfigured, StoreUnavailable
from inferwatch.schemas.event_rules import EventRule
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import Window
from inferwatch.streams.alerting.engine import Alerting
from inferwatch.streams.alerting.events import EventWatch
from inferwatch.streams.rows import INSTANT
from tests.support.mortal import Mortal

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LEAKED = {"name": "leaked", "event": "secret.output", "when": ">= 0.9", "resolve_after": "10m"}
RULE = EventRule.model_validate(LEAKED)


def note(store: ClickHouseStore, *minutes: float, application: str = "shop", score: float = 0.95) -> None:
    """Note a severe row at each of ``minutes`` after noon, as the pipeline does."""
    rows = pa.table(
        {
            "rule": pa.array(["leaked"] * len(minutes), pa.string()),
            "application": pa.array([application] * len(minutes), pa.string()),
            "timestamp": pa.array([NOON + one * MINUTE for one in minutes], INSTANT),
            "id": pa.array([f"id-{one}" for one in minutes], pa.string()),
            "score": pa.array([score] * len(minutes), pa.float64()),
            "noted_at": pa.array([NOON] * len(minutes), INSTANT),
        }
    )
    store.insert("severe_rows_raw", rows, token=f"{application}/{minutes}/{score}")


def watch(store: Any) -> EventWatch:
    return EventWatch(store, [RULE], ManualClock(NOON))


def looks(store: ClickHouseStore, *marks: float) -> list[tuple[str, State]]:
    """Return what changes at each mark, in minutes after noon, every time by another process."""
    found = [watch(store).look(NOON + mark * MINUTE) for mark in marks]
    return [(one.labels["application"], one.to_state) for changed in found for one in changed]


def test_one_row_is_enough_and_many_are_one_alert(store: ClickHouseStore) -> None:
    note(store, 0)
    assert looks(store, 0, 0) == [("shop", State.FIRING)]
    note(store, 1, 2, 3)
    note(store, 2, application="bank")
    assert looks(store, 3, 12) == [("bank", State.FIRING)]
    assert looks(store, 12.5) == [("bank", State.RESOLVED)]
    assert looks(store, 13, 14) == [("shop", State.RESOLVED)]
    taken = store.query("SELECT uniqExact(alert_id) AS alerts, countIf(alert_id = '') AS open FROM severe_rows")
    assert taken.to_pylist() == [{"alerts": 2, "open": 0}]


def test_the_next_page_is_another_alert(store: ClickHouseStore) -> None:
    note(store, 0)
    looks(store, 0, 11)
    note(store, 30)
    assert looks(store, 30, 41) == [("shop", State.FIRING), ("shop", State.RESOLVED)]
    rows = store.query("SELECT alert_id, sequence FROM alerts ORDER BY sequence").to_pylist()
    assert [row["sequence"] for row in rows] == [1, 2, 3, 4]
    assert len({row["alert_id"] for row in rows}) == 2


def test_a_row_that_comes_late_is_told(store: ClickHouseStore) -> None:
    note(store, 0)
    looks(store, 0, 11)
    note(store, -60)
    assert looks(store, 11, 12, 22) == [("shop", State.FIRING), ("shop", State.RESOLVED)]


def test_without_a_watermark_it_fires_and_does_not_resolve(store: ClickHouseStore) -> None:
    note(store, 0)
    assert [one.to_state for one in watch(store).look(None)] == [State.FIRING]
    assert watch(store).look(None) == []


def test_the_same_rows_stored_again_are_the_same_rows(store: ClickHouseStore) -> None:
    note(store, 0, 1)
    looks(store, 1)
    note(store, 0, 1, score=0.96)
    assert looks(store, 1, 12) == [("shop", State.RESOLVED)]


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_call_pages_once(store: ClickHouseStore, after: bool) -> None:
    for die_at in range(1, 8):
        application = f"a{die_at}"
        note(store, 0, 1, application=application)
        try:
            watch(Mortal(store, die_at, after=after)).look(NOON)
        except StoreUnavailable:
            pass
        else:
            assert die_at > 5, "a look that takes rows in makes five calls"
        looks(store, 0, 5)
    looks(store, 20)
    told = store.query(
        "SELECT labels['application'] AS application, groupArray(to_state) AS states FROM alerts GROUP BY 1"
    )
    assert [sorted(row["states"]) for row in told.to_pylist()] == [["firing", "resolved"]] * 7


def test_rows_are_noted_as_they_are_stored_and_page(store: ClickHouseStore, build: Any, record: Any) -> None:
    rule = {"name": "long", "event": "length", "when": ">= 0.9", "applications": ["shop"]}
    pipeline = build(store, event_rules=[rule])
    batch = [record(0, output="x" * 95), record(1, output="short"), record(2, output="x" * 95, application="bank")]
    for _ in range(2):
        pipeline.commit(pipeline.prepare(batch))
    [noted] = store.query("SELECT rule, application, id, score FROM severe_rows").to_pylist()
    assert noted == {"rule": "long", "application": "shop", "id": "id-0-0", "score": pytest.approx(0.95)}
    receivers = [{"type": "webhook", "name": "hook", "url": "https://x.example"}]
    settings = Settings.model_validate({"event_rules": [rule], "receivers": receivers})
    alerting = Alerting(settings, store, {}, ManualClock(NOON), {"length": 0.5})
    [fired] = alerting.look_at_rows(None)
    assert (fired.to_state, fired.detail["row"], fired.severity) == (State.FIRING, "id-0-0", "critical")
    assert fired.value == pytest.approx(0.95)
    assert alerting.look_at_rows(None) == []


def test_a_rule_may_come_and_go_while_the_service_runs(store: ClickHouseStore, build: Any, record: Any) -> None:
    rule = {"name": "long", "event": "length", "when": ">= 0.9"}
    without, within = Settings(), Settings.model_validate({"event_rules": [rule]})
    pipeline = build(store)
    alerting = Alerting(without, store, {}, ManualClock(NOON), {"length": 0.5})

    def look(place: int) -> list[State]:
        pipeline.commit(pipeline.prepare([record(place, output="x" * 95)]))
        return [one.to_state for one in alerting.look_at_rows(None)]

    assert look(0) == []
    pipeline.use(within)
    alerting.use(within)
    assert look(1) == [State.FIRING], "what was stored before is nobody's"
    [alert] = store.query("SELECT at FROM alerts").to_pylist()
    pipeline.use(without)
    alerting.use(without)
    assert look(2) == []
    [over] = alerting.decide(Window(alert["at"], alert["at"] + 5 * MINUTE), ())
    assert (over.rule, over.to_state) == ("long", State.RESOLVED)
    [noted] = store.query("SELECT id FROM severe_rows").to_pylist()
    assert noted["id"] == "id-0-1"


@pytest.mark.parametrize("when", ["< 0.9", "> 1", "ci_low > 0.5"])
def test_a_condition_that_no_row_can_meet_is_refused(when: str) -> None:
    with pytest.raises(ValidationError, match="when"):
        EventRule.model_validate(LEAKED | {"when": when})


def test_a_score_that_nothing_emits_is_refused(build: Any) -> None:
    detectors: list[Detector] = []
    with pytest.raises(Misconfigured, match=r"leaked.*secret\.output"):
        thresholds(Settings.model_validate({"event_rules": [LEAKED]}), detectors)


def test_names_are_unique_among_all_rules() -> None:
    rule = {"name": "leaked", "metric": "error.rate", "when": "> 5 %"}
    with pytest.raises(ValidationError, match="unique"):
        Settings.model_validate({"rules": [rule], "event_rules": [LEAKED]})
