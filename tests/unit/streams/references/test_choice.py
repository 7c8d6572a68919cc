"""What a window is compared with is a function of its event time and of what is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import EPOCH, Window
from inferwatch.streams.references import References
from inferwatch.streams.rows import INSTANT

HOUR = timedelta(hours=1)
PLACE = ("shop", "input", "enc-1")


def references(store: Any, **drift: Any) -> References:
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=UTC))
    return References(store, clock, Settings.model_validate({"drift": {"min_rows": 20} | drift}))


def chosen(store: Any, at: datetime, size: timedelta = HOUR, **drift: Any) -> str:
    found = references(store, **drift).choose(Window(at, at + size), *PLACE)
    return "" if found is None else f"{found.name} v{found.version}"


def test_references_are_built_listed_promoted_and_never_mixed(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, day: datetime
) -> None:
    put(spread(120, 2), normal(120))
    desk = references(store)
    first = desk.build("shop", "input", day, day + HOUR * 2, rows=60)
    assert (first.version, first.rows, first.origin, first.slots, first.findings) == (1, 60, "period", 1, ())
    again = desk.build("shop", "input", day, day + HOUR * 2, rows=60)
    assert again.version == 2
    assert desk.choose(Window(day, day + HOUR), *PLACE) is None
    assert desk.promote("shop", "input", "baseline", 2) == EPOCH  # no window has been closed
    found = references(store).choose(Window(day, day + HOUR), *PLACE)
    assert found is not None
    assert (found.version, len(found.ids), found.vectors.shape) == (2, 60, (60, 6))
    stored = desk.versions.load("shop", "input", "baseline", 1).whole
    assert stored.ids == found.ids
    np.testing.assert_array_equal(stored.vectors, found.vectors)
    assert desk.choose(Window(day, day + HOUR), "shop", "input", "enc-2") is None
    assert [(info.version, info.active) for info in desk.list()] == [(1, False), (2, True)]
    with pytest.raises(Misconfigured, match="it has: baseline v1, baseline v2"):
        desk.promote("shop", "input", "baseline", 9)
    with pytest.raises(Misconfigured, match="holds 0 vectors, at least 50"):
        desk.build("shop", "input", day + HOUR * 5, day + HOUR * 6)
    put(spread(60, 1), normal(60), revision="enc-2")
    with pytest.raises(Misconfigured, match=r"mixes encoder revisions enc-1 \(120 rows\), enc-2 \(60 rows\)"):
        desk.build("shop", "input", day, day + HOUR * 2)


def test_the_promotion_of_the_latest_event_time_counts_whenever_it_was_made(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, day: datetime
) -> None:
    put(spread(120, 2), normal(120))
    desk = references(store)
    for _ in range(3):
        desk.build("shop", "input", day, day + HOUR * 2)
    desk.promote("shop", "input", "baseline", 3, day + 9 * HOUR)
    desk.promote("shop", "input", "baseline", 1, day + 3 * HOUR)
    desk.promote("shop", "input", "baseline", 2, day + 6 * HOUR)
    expected = ["", "", "", *["baseline v1"] * 3, *["baseline v2"] * 3, "baseline v3", "baseline v3"]
    assert [chosen(store, day + n * HOUR) for n in range(11)] == expected
    desk.retire("shop", "input", day + 10 * HOUR)
    assert [chosen(store, day + n * HOUR) for n in range(11)] == [*expected[:10], ""]


def test_a_promotion_changes_nothing_that_has_been_closed(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, closer: Any, drift: Any, day: datetime
) -> None:
    put(spread(600, 6), normal(600))
    closer(store).flush()
    before = drift()
    used = {at: detail.get("reference") for at, (_, detail) in before.items()}
    assert list(used.values()) == [None, *["first-windows v1"] * 5]
    desk = references(store)
    desk.build("shop", "input", day, day + 3 * HOUR)
    assert desk.promote("shop", "input", "baseline", 1) == day + 5 * HOUR + timedelta(milliseconds=1)
    put([day + timedelta(minutes=30), day + timedelta(hours=3, minutes=30), day + timedelta(hours=7)], normal(3))
    closer(store).flush()  # the first and the fourth window again, with a late row each, and a new one
    after = {at: detail.get("reference") for at, (_, detail) in drift().items()}
    assert after == used | {day + 7 * HOUR: "baseline v1"}
    revised = store.query("SELECT window_start FROM windows WHERE revision = 1").num_rows
    assert revised == 2


def test_promotions_older_than_event_times_count_as_they_did(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, day: datetime
) -> None:
    put(spread(120, 2), normal(120))
    desk = references(store)
    for _ in range(2):
        desk.build("shop", "input", day, day + HOUR * 2)
    for version, made in ((2, day), (1, day + HOUR)):
        old = {"application": ["shop"], "field": ["input"], "name": ["baseline"]}
        numbers = {"version": pa.array([version], pa.uint32()), "promoted_at": pa.array([made], INSTANT)}
        store.insert("promotions_raw", pa.table(old | numbers), token=f"old/{version}")
    assert chosen(store, day) == "baseline v1"
    assert references(store).choose(Window(day, day + HOUR), "shop", "input", "enc-2") is None


def test_a_rolling_reference_counts_only_where_it_is_wanted(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, day: datetime
) -> None:
    from inferwatch.streams.references.promotions import ROLLING, Promotion

    put(spread(120, 2), normal(120))
    desk = references(store)
    for _ in range(2):
        desk.build("shop", "input", day, day + HOUR * 2)
    desk.promote("shop", "input", "baseline", 1, day)
    desk.promotions.add("shop", "input", Promotion("baseline", 2, day + HOUR, ROLLING), "enc-1", "test", day, "test")
    assert chosen(store, day + HOUR) == "baseline v1"
    assert chosen(store, day + HOUR, reference="rolling") == "baseline v2"


def test_what_is_done_to_references_is_in_the_audit_log(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, day: datetime
) -> None:
    put(spread(120, 2), normal(120))
    desk = references(store)
    with pytest.raises(Misconfigured, match="no reference of field 'input' to retire"):
        desk.retire("shop", "input")
    desk.build("shop", "input", day, day + HOUR * 2)
    desk.promote("shop", "input", "baseline", 1, day)
    desk.retire("shop", "input", day + HOUR)
    log = store.query("SELECT actor, action, subject, detail FROM audit_log ORDER BY action").to_pylist()
    assert [(row["action"], row["subject"]) for row in log] == [
        ("promote", "reference shop/input"),
        ("retire", "reference shop/input"),
    ]
    assert log[0]["detail"] == f"baseline v1 from {day.isoformat()}"
