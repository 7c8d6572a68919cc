"""Rules that change between two windows, on the real engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.alerts import State
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.metrics import WindowMetric, wilson
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.alerting.engine import Alerting
from inferwatch.streams.publication import publication

DAY = datetime(2026, 3, 1, tzinfo=UTC)
SIZE = timedelta(minutes=5)
ERRORS = {"name": "errors", "metric": "error.rate", "when": "> 5 %"}
SLOW = {"name": "slow", "metric": "latency_ms.p95", "when": "> 5000"}


class Service:
    """A service whose windows all have 10 % of errors and are slow, and whose rules may change."""

    def __init__(self, store: ClickHouseStore, *rules: dict[str, Any]) -> None:
        self.store, self.place = store, 0
        self.alerting = Alerting(self.settings(rules), store, {}, ManualClock(DAY))

    def settings(self, rules: tuple[dict[str, Any], ...]) -> Settings:
        return Settings.model_validate({"rules": list(rules), "monitoring": {"blind_alert": False}})

    def use(self, *rules: dict[str, Any]) -> None:
        self.alerting.use(self.settings(rules))

    def close(self, errors: int = 10) -> list[tuple[str, State]]:
        window = Window(DAY + SIZE * self.place, DAY + SIZE * (self.place + 1))
        self.place += 1
        shop = SeriesKey("shop")
        metrics = [
            WindowMetric(window, shop, "error.rate", errors / 100, 100, 100, *wilson(errors, 100)),
            WindowMetric(window, shop, "latency_ms.p95", 9000.0, 100, 100),
        ]
        found = publication(window, 0, 100, metrics)
        self.store.insert("window_metrics_raw", found.metric_rows(DAY), token=found.token)
        decided = self.alerting.decide(window, found.metrics)
        again = self.alerting.decide(window, found.metrics)
        assert [one.id for one in again] == [one.id for one in decided], "again is nothing new"
        self.store.insert("windows_raw", found.window_row(DAY), token=found.token)
        return [(one.rule, one.to_state) for one in decided]

    def transitions(self, rule: str) -> list[tuple[str, str]]:
        rows = self.store.query(
            "SELECT to_state, alert_id FROM alerts WHERE rule = {rule:String} ORDER BY at, sequence", {"rule": rule}
        ).to_pylist()
        return [(row["to_state"], row["alert_id"]) for row in rows]


def test_a_new_rule_counts_from_the_next_window_on(store: ClickHouseStore) -> None:
    service = Service(store, ERRORS)
    assert service.close() == [("errors", State.FIRING)]
    service.use(ERRORS, SLOW)
    assert [rule.name for rule in service.alerting.rules] == ["errors", "slow"]
    assert service.close() == [("slow", State.FIRING)]


def test_an_open_alert_goes_on_under_another_threshold(store: ClickHouseStore) -> None:
    service = Service(store, ERRORS)
    service.close()
    service.use(ERRORS | {"when": "> 8 %"})
    assert service.close() == []
    service.use(ERRORS | {"when": "> 20 %"})
    assert service.close() == [("errors", State.RESOLVED)]
    assert len({alert_id for _, alert_id in service.transitions("errors")}) == 1


def test_what_is_open_of_a_rule_that_is_gone_resolves(store: ClickHouseStore) -> None:
    service = Service(store, ERRORS, SLOW)
    assert service.close() == [("errors", State.FIRING), ("slow", State.FIRING)]
    service.use(ERRORS)
    assert service.close() == [("slow", State.RESOLVED)]
    assert service.close() == []
    assert [state for state, _ in service.transitions("slow")] == ["firing", "resolved"]


def test_a_rule_that_comes_back_begins_anew(store: ClickHouseStore) -> None:
    service = Service(store, SLOW)
    service.close()
    service.use()
    assert service.close() == [("slow", State.RESOLVED)]
    service.use(SLOW)
    assert service.close() == [("slow", State.FIRING)]
    first, *_, last = service.transitions("slow")
    assert first[1] != last[1]


def test_a_rule_that_is_away_for_no_window_is_not_missed(store: ClickHouseStore) -> None:
    service = Service(store, SLOW)
    service.close()
    service.use()
    service.use(SLOW)
    assert service.close() == []


@pytest.mark.parametrize("hold", ["5m", "0"])
def test_a_pending_alert_of_a_rule_that_is_gone_is_cancelled(store: ClickHouseStore, hold: str) -> None:
    service = Service(store, SLOW | {"for": hold})
    [(_, state)] = service.close()
    service.use()
    [(_, after)] = service.close()
    assert (state, after) in [(State.PENDING, State.INACTIVE), (State.FIRING, State.RESOLVED)]
