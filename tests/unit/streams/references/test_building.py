"""A reference says what speaks against it, and has the seasons that the data ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import Window
from inferwatch.streams.references import References
from inferwatch.streams.references.sampling import Scope, sample
from inferwatch.streams.references.seasons import Season, season_of

HOUR = timedelta(hours=1)


def references(store: Any, **drift: Any) -> References:
    tree = {"windows": {"size": "1h"}, "drift": {"min_rows": 20} | drift}
    return References(store, ManualClock(datetime(2026, 6, 1, tzinfo=UTC)), Settings.model_validate(tree))


def test_a_period_with_an_incident_is_built_with_a_warning_and_refused_when_strict(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, day: datetime
) -> None:
    vectors = normal(400)
    vectors[200:250, 1] += 3
    put(spread(400, 8), vectors)
    desk = references(store)
    with pytest.raises(Misconfigured, match="was not built: not homogeneous: part 5 of 8 differs from the rest"):
        desk.build("shop", "input", day, day + 8 * HOUR, strict=True)
    assert desk.list() == []
    made = desk.build("shop", "input", day, day + 8 * HOUR)
    assert len(made.findings) == 1
    assert made.dispersion > 2  # the windows of that period do vary
    verdict = desk.described("shop", "input", "baseline", 1)["verdict"]
    assert (verdict["blocks"], verdict["worst"]) == (8, 4)
    calm = desk.build("shop", "input", day, day + 4 * HOUR, strict=True)
    assert (calm.findings, calm.dispersion) == ((), pytest.approx(1, abs=0.5))


def test_a_period_with_many_more_errors_than_around_it_is_told(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, closer: Any, day: datetime
) -> None:
    errors = ["" if not 200 <= n < 300 or n % 5 else "timeout" for n in range(500)]
    put(spread(500, 5), normal(500), error=errors)
    closer(store, auto_reference=False).flush()
    desk = references(store)
    made = desk.build("shop", "input", day + 2 * HOUR, day + 3 * HOUR)
    assert made.findings == ("error.rate is 20.0% in this period and 0.0% around it",)
    assert desk.build("shop", "input", day, day + HOUR).findings == ()


def test_one_row_of_a_conversation_is_taken(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, day: datetime
) -> None:
    put(spread(100, 1), normal(100), conversation_id=[f"c-{n // 10}" if n < 50 else "" for n in range(100)])
    found = sample(store, Scope("shop", "input", day, day + HOUR), 80)
    assert len(found.ids) == 55
    assert list(found.timestamps) == sorted(found.timestamps)


def test_the_hours_that_differ_get_parts_of_their_own(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, day: datetime
) -> None:
    times = spread(14 * 24 * 10, 14 * 24)
    vectors = normal(len(times))
    zone = ZoneInfo("Asia/Kolkata")  # half an hour off the hours of UTC
    night = np.array([at.astimezone(zone).hour < 8 for at in times])
    vectors[night, 0] += 2
    put(times, vectors)
    desk = references(store, time_zone="Asia/Kolkata")
    made = desk.build("shop", "input", day, day + 14 * 24 * HOUR, rows=400, seasonal="auto")
    assert made.slots > 1
    assert made.findings == ()
    verdict = desk.described("shop", "input", "baseline", 1)["verdict"]["seasonality"]
    assert (verdict["cycle"], verdict["hour_of_day"]) == ("hour-of-day", 0.001)
    desk.promote("shop", "input", "baseline", 1, day)
    for at in (datetime(2026, 5, 4, 3, tzinfo=zone), datetime(2026, 5, 6, 13, tzinfo=zone)):
        window = Window(at.astimezone(UTC), at.astimezone(UTC) + HOUR)
        found = desk.choose(window, "shop", "input", "enc-1")
        assert found is not None
        assert found.vectors[:, 0].mean() == pytest.approx(2 if at.hour < 8 else 0, abs=0.3)
        assert found is desk.choose(window, "shop", "input", "enc-1")
    whole = desk.choose(Window(day, day + 24 * HOUR), "shop", "input", "enc-1")
    assert whole is not None
    assert len(whole.ids) == made.rows
    # The database and this program agree on the hour of every row.
    slots = store.query("SELECT timestamp, slot, season FROM references").to_pylist()
    season = season_of(slots[0]["season"])
    assert season is not None
    assert all(season.slots[season.hour(row["timestamp"])] == row["slot"] for row in slots)


def test_without_seasons_in_the_data_there_is_one_part(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, day: datetime
) -> None:
    times = spread(14 * 24 * 4, 14 * 24)
    put(times, normal(len(times)))
    made = references(store).build("shop", "input", day, day + 14 * 24 * HOUR, seasonal="auto")
    assert made.slots == 1


SEASONS = st.builds(
    Season,
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"]),
    st.sampled_from([24, 168]).flatmap(lambda n: st.tuples(*[st.integers(0, 3)] * n)),
)


@given(SEASONS, st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)), st.integers(1, 3000))  # noqa: DTZ001
def test_a_window_touches_the_slots_of_its_instants(season: Season, start: datetime, minutes: int) -> None:
    window = Window(start, start + timedelta(minutes=minutes))
    instants = [start + timedelta(minutes=n) for n in range(minutes)]
    expected = tuple(sorted({season.slots[season.hour(at)] for at in instants}))
    found = season.of(window)
    assert found == expected or (minutes >= 24 * 60 and found == tuple(sorted(set(season.slots))))
    assert season_of(season.text()) == season


@pytest.mark.parametrize(
    ("season", "slot", "label"),
    [
        (Season("UTC", (1,) * 8 + (0,) * 12 + (1,) * 4), 1, "20-08h"),
        (Season("UTC", (0,) * 120 + (1,) * 48), 1, "Sat 00 - Sun 24h"),
        (Season("UTC", (0,) * 6 + (1,) * 3 + (0,) * 6 + (1,) * 9), 1, "06-09h, 15-24h"),
    ],
)
def test_slots_have_names(season: Season, slot: int, label: str) -> None:
    assert season.label([slot]) == label


def test_a_zone_is_one_of_the_database() -> None:
    with pytest.raises(ValueError, match="time zone of the IANA database such as Europe/Berlin, got 'Mars/Base'"):
        Settings.model_validate({"drift": {"time_zones": {"shop": "Mars/Base"}}})
    drift = Settings.model_validate({"drift": {"time_zone": "UTC", "time_zones": {"shop": "Asia/Tokyo"}}}).drift
    assert (drift.zone("shop").key, drift.zone("other").key) == ("Asia/Tokyo", "UTC")


def test_what_comes_first_is_frozen_once_it_is_of_one_kind(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, closer: Any, drift: Any, day: datetime
) -> None:
    vectors = normal(700)
    vectors[:100] = vectors[0]  # a smoke test of the first hour, one text over and over
    put(spread(700, 7), vectors)
    closer(store).flush()
    used = [detail.get("reference") for _, detail in drift().values()]
    assert used == [None, None, *["first-windows v1"] * 5]
    [made] = references(store).list()
    assert (made.period_start, made.findings) == (day + HOUR, ())


@pytest.mark.parametrize(("rows", "frozen"), [(1100, "first-windows v1"), (900, None)])
def test_after_a_day_a_thousand_rows_will_do(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, closer: Any, drift: Any, rows: int, frozen: str | None
) -> None:
    put(spread(rows, 26), normal(rows))
    closer(store, reference_rows=5000).flush()
    used = [detail.get("reference") for _, detail in drift().values()]
    assert used == [None] * 24 + [frozen] * 2


def test_what_never_is_of_one_kind_is_frozen_with_its_finding(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, closer: Any, drift: Any, day: datetime
) -> None:
    vectors = normal(600)
    vectors[::2] = vectors[0]
    put(spread(600, 6), vectors)
    closer(store).flush()
    used = [detail.get("reference") for _, detail in drift().values()]
    assert used == [None] * 4 + ["first-windows v1"] * 2
    [made] = references(store).list()
    assert len(made.findings) == 1
    assert re.fullmatch(r"one text makes up [456]\d% of the rows", made.findings[0])


def test_after_a_retirement_new_rows_make_a_new_baseline(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, closer: Any, drift: Any, day: datetime
) -> None:
    put(spread(200, 2), normal(200))
    closer(store).flush()
    references(store).retire("shop", "input")
    put(spread(300, 3, day + 2 * HOUR), normal(300, mean=1))
    closer(store).flush()
    used = [detail.get("reference") for _, detail in drift().values()]
    assert used == [None, "first-windows v1", None, "first-windows v2", "first-windows v2"]
    assert drift()[day + 4 * HOUR][0] > 0.01


def test_what_two_closers_build_of_one_period_is_kept_once(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, day: datetime
) -> None:
    put(spread(200, 2), normal(200))
    first, second = references(store), references(store)
    scope = Scope("shop", "input", day, day + 2 * HOUR, "enc-1")
    draft = first.builder.draft(scope, name="first-windows", rows=100, origin="first-windows")
    assert second.keep_once(draft) == first.keep_once(draft) == 1
    assert first.keep(draft).version == 2


def test_what_a_stopped_closer_sent_may_arrive_while_its_successor_looks(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, day: datetime
) -> None:
    put(spread(200, 2), normal(200))
    scope = Scope("shop", "input", day, day + 2 * HOUR, "enc-1")

    class LateInsert:
        """The first look finds nothing; then what the stopped closer sent is taken in."""

        def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
            found = store.query(sql, parameters)
            if "period_start =" in sql:
                stopped.keep_once(draft)
            return found

        def insert(self, table: str, rows: pa.Table, *, token: str) -> None:
            store.insert(table, rows, token=token)

    stopped, successor = references(store), references(LateInsert())
    draft = stopped.builder.draft(scope, name="first-windows", rows=100, origin="first-windows")
    assert successor.keep_once(draft) == 1
    assert [(one.version, one.rows) for one in stopped.versions.versions("shop")] == [(1, 100)]
