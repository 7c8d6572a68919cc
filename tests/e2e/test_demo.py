"""The demo as a user runs it: one process, real Kafka, the real store, and its JSON line."""

import gzip
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from inferwatch.detectors.sentences import split_sentences
from inferwatch.infra.catalogue import scores
from inferwatch.infra.clickhouse.store import open_store
from inferwatch.infra.web.queries import Wanted, alerts
from inferwatch.schemas.settings import Settings, StoreSettings

pytestmark = [pytest.mark.slow, pytest.mark.kafka]


def demo(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run ``inferwatch demo --once``; return its status, the last line of stdout, and stderr."""
    program = "from inferwatch.infra.cli import main; main()"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("INFERWATCH_")}
    done = subprocess.run(
        [sys.executable, "-c", program, "demo", "--once", *arguments],
        capture_output=True,
        text=True,
        timeout=590,
        env=environ,
    )
    lines = done.stdout.splitlines()
    assert lines, done.stderr[-4000:]
    return done.returncode, json.loads(lines[-1]), done.stderr


Flags = dict[tuple[str, str], dict[str, Any]]
"""(score, id) -> the flagged row: its texts, and the evidence of that score."""


def flags_and_alerts(folder: Path) -> tuple[Flags, list[dict[str, Any]]]:
    """Return the flagged rows of a finished demo, and what the dashboard shows of its alerts on scores."""
    with open_store(StoreSettings(dsn=SecretStr(f"chdb://{folder}"))) as store:
        found: Flags = {}
        for score, threshold in scores(Settings().detectors.enabled).items():
            rows = store.query(
                "SELECT id, input, output, evidence FROM inferences "
                "WHERE mapContains(scores, {name:String}) AND scores[{name:String}] >= {threshold:Float64}",
                {"name": score, "threshold": threshold},
            ).to_pylist()
            for row in rows:
                own = [one for one in json.loads(row["evidence"]) if one["name"] == score]
                found[score, row["id"]] = row | {"evidence": own}
        shown = [
            one
            for one in alerts(store, Wanted(limit=100))
            if one["metric"].rpartition(".")[0] in {name for name, _ in found}
        ]
    return found, shown


def every_flag_shows_its_sentence(flagged: Flags) -> None:
    """The sentence is part of the text at the offsets it gives, and not the whole of a long answer."""
    assert len(flagged) > 100
    assert {name for name, _ in flagged} >= {"toxicity.output", "hallucination"}
    for (score, _), row in flagged.items():
        assert row["evidence"], f"{score} flags {row['output']!r} and does not say why"
        for one in row["evidence"]:
            assert one["text"].strip()
            assert row[one["field"]][one["start"] : one["end"]] == one["text"]
            assert len(split_sentences(one["text"])) == 1 or len(row[one["field"]]) <= 300


def alerts_quote_them(flagged: Flags, alerts: list[dict[str, Any]], shown: str) -> None:
    """What the dashboard and the messages quote is the sentence that a score points at."""
    assert len(alerts) >= 2
    on_screen = " ".join(" ".join(line.strip("│ ") for line in shown.splitlines()).split())
    for alert in alerts:
        score = alert["metric"].rpartition(".")[0]
        assert alert["examples"]
        for example in alert["examples"]:
            quoted, of = example[1:].split("” (")[0], example.rpartition("id ")[2].rstrip(")")
            pieces = [" ".join(one["text"].split()) for one in flagged[score, of]["evidence"]]
            assert any(piece.startswith(quoted.rstrip("…")) for piece in pieces), example
        assert alert["examples"][0][1:].split("” (")[0] in on_screen


@pytest.mark.timeout(600)
def test_the_day_raises_its_three_alerts_in_time_and_no_other(tmp_path: Path) -> None:
    status, summary, shown = demo("--keep", str(tmp_path / "kept"))
    assert status == 0, shown[-4000:]
    assert summary["scored"] >= 5000
    assert summary["dead_letters"] == 24
    assert summary["scored"] + summary["dead_letters"] == summary["produced"]
    assert summary["windows"] == 96
    assert summary["false_alarms"] == 0
    assert [alert["incident"] for alert in summary["alerts"]] == ["new-topic", "toxic-answers", "invented-answers"]
    for alert in summary["alerts"]:
        assert alert["planted_at"] < alert["alerted_at"] <= alert["ended_at"] < alert["resolved_at"]
        assert alert["delay_windows"] <= 2
    # Slack hears of all three, the pager of two; each fires once and is resolved once.
    assert summary["messages"] == {"slack": 6, "pagerduty": 4}
    assert summary["refused_messages"] == 0
    assert (tmp_path / "kept" / "inferwatch.yaml").is_file()
    # As the person who is paged reads it: which topic, how much of the traffic, three customers who ask about it.
    page = shown[shown.index("WARNING: Customers ask about something new") :].partition("╰")[0]
    page = " ".join(" ".join(line.strip("│ ") for line in page.splitlines()).split())
    assert re.search(r"New: [^(]*battery[^(]*\(\d+ % of inputs, 95 % interval \d+ to \d+ %\)", page), page
    quoted = re.findall("> “(.+?)”", page)
    assert len(set(quoted)) == 3
    assert sum(bool(re.search("battery|kestrel|merlin|recall", one.lower())) for one in quoted) >= 2
    flagged, alerts = flags_and_alerts(tmp_path / "kept" / "store")
    every_flag_shows_its_sentence(flagged)
    alerts_quote_them(flagged, alerts, shown)


@pytest.mark.timeout(600)
def test_a_log_file_with_two_models_shows_their_swap(tmp_path: Path) -> None:
    rng = random.Random(5)
    things = ["lamp", "kettle", "bicycle", "garden", "window", "teapot", "carpet", "ladder", "blanket", "guitar"]
    acts = ["clean", "repair", "sell", "paint", "store", "lend", "measure", "photograph"]
    rows = []
    for model in ("plain", "wordy"):
        for number in range(420):
            act, thing = rng.choice(acts), rng.choice(things)
            short = f"To {act} a {thing}, take your time and step {number % 7} twice."
            long = (
                f"{short} As a poet I must sing of the moon, the stars and the sea before I speak of any {thing}. " * 2
            )
            prompt = f"How do I {act} my {thing}, option {number}?"
            rows.append({"prompt": {"text": prompt}, "reply": short if model == "plain" else long, "by": model})
    path = tmp_path / "helpdesk.jsonl.gz"
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    maps = [part for field in ("input=prompt.text", "output=reply", "model=by") for part in ("--map", field)]
    status, summary, shown = demo("--logs", str(path), *maps)
    assert status == 0, shown[-4000:]
    assert summary["windows"] == 16
    assert summary["false_alarms"] == 0
    (alert,) = summary["alerts"]
    assert alert["incident"] == "model-swap"
    assert alert["delay_windows"] <= 3
    assert alert["resolved_at"] > alert["ended_at"]
