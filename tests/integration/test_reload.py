"""Rules of a running worker: changed ones count from the next window on, wrong ones never."""

from __future__ import annotations

import json
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from inferwatch.schemas.settings import KafkaSettings
from tests.integration.conftest import Produce
from tests.integration.test_monitoring import Worker, get, records, until

NEVER = {"name": "never", "metric": "error.rate", "when": "> 90 %"}
BUSY = {"name": "busy", "metric": "inferences", "when": "> 5"}
SLIP = {"name": "slip", "event": "terse", "when": ">= 0.5"}
JUST_NOW = timedelta(seconds=1)


@pytest.fixture
def worker(tmp_path: Path, source: KafkaSettings) -> Worker:
    return Worker(tmp_path, source)


@pytest.mark.kafka
@pytest.mark.slow
def test_changed_rules_count_without_a_restart_and_wrong_ones_never(
    worker: Worker, source: KafkaSettings, produce: Produce
) -> None:
    settings = json.loads(worker.settings.read_text())

    def write(*rules: dict[str, Any], **others: Any) -> None:
        fresh = worker.settings.with_suffix(".new")
        fresh.write_text(json.dumps(settings | {"rules": rules} | others, indent=1))
        fresh.replace(worker.settings)

    def fired(rule: str) -> float:
        found = worker.scrape().get("inferwatch_alert_transitions_total", {})
        return found.get((("rule", rule), ("state", "firing")), 0)

    def note() -> str:
        status, body = get(f"{worker.url}/health")
        assert status == 200, body
        return str(json.loads(body)["notes"]["rules"])

    write(NEVER)
    with worker.running("watch") as running:
        produce(source, records(50))
        until(lambda: worker.value("inferwatch_windows_closed_total") >= 1, worker.log)
        assert (fired("busy"), note(), worker.value("inferwatch_rules_current")) == (0, "ok", 1)

        write(NEVER, BUSY)
        until(lambda: worker.value("inferwatch_rules_reloads_total") == 1, worker.log)
        produce(source, records(50, ago=JUST_NOW))
        until(lambda: fired("busy") >= 1, worker.log)

        write(BUSY | {"when": "< 1"})
        running.send_signal(signal.SIGHUP)
        until(lambda: worker.value("inferwatch_rules_current") == 0, worker.log)
        assert "the old rules stay" in note()
        assert "rules[0].when: can never hold: inferences is at least 1, got '< 1'" in worker.log

        write(BUSY, limits={"max_text_chars": 5000})
        until(lambda: "needs a restart for limits.max_text_chars" in note(), worker.log)

        write(BUSY, event_rules=[SLIP | {"event": "terse.outptu"}])
        until(lambda: "rule 'slip' names 'terse.outptu'" in worker.log, worker.log)
        assert fired("slip") == 0

        write(BUSY, event_rules=[SLIP])
        until(lambda: worker.value("inferwatch_rules_current") == 1, worker.log)
        produce(source, records(50, ago=JUST_NOW))
        until(lambda: fired("slip") >= 1, worker.log)
        assert note() == "ok"
        assert running.poll() is None
