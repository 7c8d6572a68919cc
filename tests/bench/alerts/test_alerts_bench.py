"""The benchmark of alerts in miniature, what it would see, and that the page says what the raw results say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.streams.alerting.evaluation import Memory
from tests.bench.alerts import agreement, faults, report, speed
from tests.bench.alerts.__main__ import SUMMARY
from tests.bench.alerts.histories import SIZE, run
from tests.bench.alerts.results import FOLDER
from tests.bench.parts import summary
from tests.bench.report import results


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_live_test_backtest_and_replay_agree(store: ClickHouseStore, seed: int) -> None:
    found = agreement.measure(store, seed, 12)
    assert (found["disagreements"], found["paged_twice"]) == ({}, 0)
    assert found["crashes"] > 0
    assert found["revisions"] > 0
    assert {"pending", "firing", "recovering", "resolved", "no_data"} <= found["transitions"].keys()


@pytest.mark.slow
def test_a_fault_in_the_memory_would_be_seen(store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Memory, "newest", lambda *_: {})
    assert agreement.measure(store, 1, 12)["disagreements"]


def test_a_history_is_a_function_of_its_seed() -> None:
    one, other = run(3, 5), run(3, 5)
    assert one.rules == other.rules
    assert [event.window for event in one.events] == [event.window for event in other.events]
    memories = [Memory(of.rules, SIZE, of.slide) for of in (one, other)]
    for of, memory in zip((one, other), memories, strict=True):
        for event in of.events:
            if event.window is not None:
                memory.feed(event.window, event.metrics)
    assert agreement.remembered(memories[0].transitions) == agreement.remembered(memories[1].transitions)


def test_instances_are_counted_and_timed(store: ClickHouseStore) -> None:
    found = speed.measure(store, instances=800, windows=2, past=3)
    assert (found["instances"], found["series"], found["rules"]) == (800, 200, 40)
    assert found["storm"]["transitions"] > 300
    assert found["instances_per_s"] > 0


@pytest.mark.slow
async def test_no_fault_loses_an_alert(store: ClickHouseStore) -> None:
    found = await faults.measure(store, range(6))
    assert (found["lost"], found["repeated"], found["failed"]) == (0, 0, [])
    assert found["alerts"] == 36
    assert set(found["refused"]) == {faults.DOWN, faults.BUSY, faults.BROKEN, faults.DEAF}
    assert found["absorbed"] > 0


def test_a_lost_alert_and_a_repeated_page_would_be_seen(store: ClickHouseStore) -> None:
    schedule = faults.Schedule(store, 0)
    for receiver in (schedule.pager, schedule.hook):
        receiver.history = {application: ["fired", "resolved"] for application in schedule.applications}
    assert (schedule.lost(), schedule.repeated()) == (0, 0)
    schedule.pager.history[schedule.applications[0]] = ["fired"]
    schedule.hook.history[schedule.applications[1]] = ["fired", "resolved", "fired", "resolved"]
    assert (schedule.lost(), schedule.repeated()) == (1, 1)


def test_the_page_says_what_the_raw_results_say() -> None:
    found = results(FOLDER)
    assert set(found) <= set(report.SECTIONS)
    assert report.PAGE.read_text() == report.page(found)


def test_the_line_is_taken_from_the_raw_results(tmp_path: Path) -> None:
    for part, raw in {
        "agreement": {"histories": 1000, "disagreements": 1},
        "speed": {"instances_per_s": 20_000},
        "faults": {"schedules": 60, "lost": 2, "repeated": 3},
    }.items():
        (tmp_path / f"{part}.json").write_text(json.dumps(raw))
    assert list(summary(SUMMARY, tmp_path).items()) == [
        ("histories", 1000), ("disagreements", 1), ("instances_per_s", 20_000),
        ("fault_schedules", 60), ("alerts_lost", 2), ("pages_repeated", 3),
    ]  # fmt: skip
