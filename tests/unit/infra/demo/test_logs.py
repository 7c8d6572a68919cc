import gzip
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from inferwatch.infra.demo.logs import logs_scenario
from inferwatch.infra.demo.mapping import parse_map
from inferwatch.infra.demo.scenario import Scenario, corpus_scenario, latest_day
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.inference import parse
from inferwatch.schemas.settings import Settings

NOW = datetime(2026, 3, 4, 9, 41, tzinfo=UTC)
MAP = parse_map(["input=q", "output=a", "model=m"])


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def answers(model: str, count: int) -> list[dict[str, Any]]:
    return [{"q": f"question {n}", "a": f"{model} says {n} " + "x" * (n % 9), "m": model} for n in range(count)]


def read(scenario: Scenario) -> list[dict[str, Any]]:
    return [json.loads(message.value or b"") for message in scenario.messages]


def test_a_swap_deals_sixteen_windows_and_uses_no_record_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "some.jsonl.gz", answers("old", 600) + answers("new", 300) + answers("rare", 3))
    scenario = logs_scenario(path, MAP, None, NOW, 7)
    rows = [row for row in read(scenario) if row["application"] == "some"]
    assert len({row["id"] for row in rows}) == len(rows) == 16 * 50
    incident = scenario.incidents[0]
    for row in rows:
        at = parse(row, latest=NOW).timestamp
        assert (row["model"] == "new") == (at in incident.period)
    assert Counter(row["model"] for row in rows) == {"old": 600, "new": 200}
    assert scenario.end - scenario.start == timedelta(days=1)
    assert any("used, each once" in note for note in scenario.notes)


def test_the_default_swap_is_the_two_most_frequent_in_order_of_appearance(tmp_path: Path) -> None:
    path = write(tmp_path / "l.jsonl", answers("rare", 5) + answers("late", 400) + answers("later", 900))
    assert "late is swapped for later" in logs_scenario(path, MAP, None, NOW, 7).title
    assert "later is swapped for late" in logs_scenario(path, MAP, "later:late", NOW, 7).title


def test_length_bounds_come_from_the_old_model_alone(tmp_path: Path) -> None:
    def bounds(new: str) -> list[str]:
        path = write(tmp_path / "l.jsonl", answers("old", 600) + [row | {"a": new} for row in answers("new", 300)])
        rules = logs_scenario(path, MAP, None, NOW, 7).settings["rules"]
        return [rule["when"] for rule in rules if rule["metric"] == "output_chars.mean"]

    assert bounds("short") == bounds("very much longer " * 50)


@pytest.mark.parametrize("swap", ["old", "old:nobody", "old:new"])
def test_an_impossible_swap_says_why(tmp_path: Path, swap: str) -> None:
    path = write(tmp_path / "l.jsonl", answers("old", 100) + answers("new", 100))
    with pytest.raises(Misconfigured, match="--swap"):
        logs_scenario(path, MAP, swap, NOW, 7)


def test_one_model_is_spread_over_a_day_without_an_incident(tmp_path: Path) -> None:
    scenario = logs_scenario(write(tmp_path / "l.jsonl", answers("only", 700)), MAP, None, NOW, 7)
    times = [parse(row, latest=NOW).timestamp for row in read(scenario) if row["application"] == "l"]
    assert scenario.incidents == ()
    assert len(times) == 700
    assert times == sorted(times)
    assert scenario.start <= times[0] < times[-1] < scenario.end
    assert scenario.window == timedelta(hours=2)


def test_records_with_their_own_times_keep_them(tmp_path: Path) -> None:
    rows = [
        row | {"timestamp": (NOW - timedelta(minutes=600 - n)).isoformat()} for n, row in enumerate(answers("a", 60))
    ]
    scenario = logs_scenario(write(tmp_path / "l.jsonl", rows[::-1]), MAP, None, NOW, 7)
    assert [row["timestamp"] for row in read(scenario)][:60] == [row["timestamp"] for row in rows]
    with pytest.raises(Misconfigured, match="timestamps"):
        logs_scenario(write(tmp_path / "l.jsonl", rows), MAP, "a:a", NOW, 7)


def test_a_file_that_is_not_mapped_says_which_fields_it_has(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"a, application, id, m, q.*--map"):
        logs_scenario(write(tmp_path / "l.jsonl", answers("a", 3)), (), None, NOW, 7)


@pytest.mark.parametrize("content", ["", "{", "[1]\n"])
def test_a_file_without_records_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "l.jsonl"
    path.write_text(content)
    with pytest.raises(Misconfigured, match=r"l\.jsonl"):
        logs_scenario(path, MAP, None, NOW, 7)


def test_the_latest_day_is_over_with_room_for_the_tail() -> None:
    assert latest_day(NOW) == datetime(2026, 3, 3, tzinfo=UTC)
    assert latest_day(datetime(2026, 3, 4, 0, 14, tzinfo=UTC)) == datetime(2026, 3, 2, tzinfo=UTC)
    assert latest_day(datetime(2026, 3, 4, 0, 15, tzinfo=UTC)) == datetime(2026, 3, 3, tzinfo=UTC)


def test_both_kinds_of_scenario_hold_a_valid_configuration(tmp_path: Path) -> None:
    path = write(tmp_path / "l.jsonl", answers("old", 600) + answers("new", 300))
    receivers = [
        {"type": "slack", "name": "slack-support", "webhook_url": "http://127.0.0.1/"},
        {"type": "pagerduty", "name": "pager", "routing_key": "k"},
    ]
    for scenario in (corpus_scenario(NOW, 7), logs_scenario(path, MAP, None, NOW, 7)):
        settings = Settings.model_validate({**scenario.settings, "receivers": receivers})
        assert {rule for one in scenario.incidents for rule in one.rules} <= {rule.name for rule in settings.rules}
        assert settings.windows.size == scenario.window
