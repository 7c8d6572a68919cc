"""A new model freezes what was before it, and becomes the baseline only where that is wanted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import StoreUnavailable
from inferwatch.streams.references import References

HOUR = timedelta(hours=1)


@pytest.fixture
def rollout(put: Any, spread: Any, normal: Any, day: datetime) -> None:
    """Eight hours: model m-1 for four, a tenth of m-2 in the fourth, m-2 for three, and m-1 again."""
    times = spread(800, 8)
    vectors = normal(800)
    models = ["m-1"] * 800
    for row in [*range(305, 400, 10), *range(400, 700)]:
        models[row] = "m-2"
        vectors[row, 0] += 1.5
    put(times, vectors, model=models)


def listed(store: Any) -> list[tuple[str, int, bool]]:
    desk = References(store, ManualClock(datetime(2026, 6, 1, tzinfo=UTC)))
    return [(one.name, one.version, one.active) for one in desk.list()]


def deploys(store: Any) -> list[tuple[Any, ...]]:
    rows = store.query("SELECT dimension, value, previous, at, first_seen FROM deploys ORDER BY at").to_pylist()
    return [tuple(row.values()) for row in rows]


def test_what_was_before_a_deploy_is_frozen_and_the_baseline_stays(
    store: ClickHouseStore, rollout: None, closer: Any, drift: Any, day: datetime
) -> None:
    closer(store, on_deploy="compare").flush()
    first_seen = day + 8 * HOUR * 305 / 800
    assert deploys(store) == [
        ("model", "m-1", "", day, day),
        ("model", "m-2", "m-1", day + 4 * HOUR, first_seen),
    ]
    # The tenth that ran beside it is not in it, and the return to m-1 is not a deploy.
    assert listed(store) == [("before model m-2", 1, False), ("first-windows", 1, True)]
    frozen = References(store, ManualClock(day)).versions.load("shop", "input", "before model m-2", 1).whole
    assert len(frozen.ids) == 100
    assert abs(frozen.vectors[:, 0].mean()) < 0.4
    found = drift()
    assert {detail.get("reference") for _, detail in found.values()} == {None, "first-windows v1"}
    assert all(found[day + n * HOUR][0] < 0.01 for n in (4, 5, 6))  # the new behaviour is seen, not learnt
    assert found[day + 7 * HOUR][0] > 0.01
    log = store.query("SELECT at, detail FROM audit_log WHERE action = 'deploy'").to_pylist()
    detail = f"model m-1 -> m-2, first seen {first_seen.isoformat()}"
    assert log == [{"at": day + 4 * HOUR, "detail": detail}]


def test_a_deploy_is_adopted_where_that_is_asked_for(
    store: ClickHouseStore, rollout: None, closer: Any, drift: Any, caplog: pytest.LogCaptureFixture, day: datetime
) -> None:
    closer(store, on_deploy="adopt").flush()
    used = [detail.get("reference") for _, detail in drift().values()]
    assert used == [None, *["first-windows v1"] * 4, *["after model m-2 v1"] * 3]
    assert drift()[day + 6 * HOUR][0] > 0.01
    assert drift()[day + 7 * HOUR][0] < 0.01  # back at the old model
    assert "new baseline of shop, input: after model m-2 v1: drift.on_deploy is adopt" in caplog.text
    promoted = store.query("SELECT detail FROM audit_log WHERE action = 'promote' ORDER BY at").to_pylist()
    assert [row["detail"].split(":")[0] for row in promoted] == ["first-windows v1", "after model m-2 v1"]


def test_deploys_may_be_none_of_our_business(store: ClickHouseStore, rollout: None, closer: Any) -> None:
    closer(store, on_deploy="off").flush()
    assert deploys(store) == []
    assert listed(store) == [("first-windows", 1, True)]


@pytest.mark.parametrize("table", ["references_raw", "promotions_raw", "audit_log_raw"])
def test_a_crash_around_a_deploy_freezes_and_adopts_once(
    store: ClickHouseStore, rollout: None, closer: Any, drift: Any, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    insert, done = store.insert, {"calls": 0}

    def too_late(name: str, rows: Any, *, token: str) -> None:
        insert(name, rows, token=token)
        done["calls"] += name == table
        if name == table and done["calls"] in (2, 4):
            raise StoreUnavailable("answered too late")

    monkeypatch.setattr(store, "insert", too_late)
    failures = 0
    for _ in range(3):
        try:
            closer(store, on_deploy="adopt").flush()
        except StoreUnavailable:
            failures += 1
    assert failures
    assert [name for name, _, _ in listed(store)] == ["after model m-2", "before model m-2", "first-windows"]
    used = [detail.get("reference") for _, detail in drift().values()]
    assert used == [None, *["first-windows v1"] * 4, *["after model m-2 v1"] * 3]
    assert len(deploys(store)) == 2
    assert store.query("SELECT count() AS n FROM audit_log WHERE action = 'promote'").to_pylist() == [{"n": 2}]
