"""A changed file puts its rules into force between two windows; one that is wrong changes nothing and is told of."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from inferwatch.infra.configuration import load
from inferwatch.infra.health import Health
from inferwatch.infra.reload import RulesFile, changed
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import MonitoringSettings, Settings

RULE = "rules: [{{name: errors, metric: error.rate, when: '> {percent} %'}}]\n"
CLOCK = ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))


class Running:
    """A service as far as rules go: its file, and the settings it was last told to use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write(RULE.format(percent=5))
        loaded = load(path, {})
        self.file = RulesFile(path, {}, loaded, CLOCK)
        # As `inferwatch up` does, which puts in the broker that it starts.
        kafka = loaded.kafka.model_copy(update={"bootstrap_servers": "local:9092"})
        self.used: list[Settings] = []
        self.file.feed(loaded.model_copy(update={"kafka": kafka}), self.used.append)

    def write(self, text: str) -> None:
        written = self.path.with_suffix(".new")
        written.write_text(text)
        written.replace(self.path)

    def look(self, times: int = 2) -> None:
        for _ in range(times):
            self.file.look()

    @property
    def thresholds(self) -> list[float]:
        return [rule.when.threshold for settings in self.used for rule in settings.rules]


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path / "inferwatch.yaml")


def test_an_unchanged_file_is_not_read_again(running: Running) -> None:
    running.look(5)
    assert running.used == []
    assert running.file.attempts == {"taken": 0, "refused": 0}
    assert running.file.report() == "ok"


def test_a_changed_rule_is_put_into_force_and_the_rest_of_the_settings_stays(running: Running) -> None:
    running.write(RULE.format(percent=7))
    running.look()
    assert running.thresholds == [0.07]
    assert running.used[0].kafka.bootstrap_servers == "local:9092"
    running.look(3)
    assert len(running.used) == 1, "once"


def test_a_file_that_is_still_being_written_is_left_until_it_stays_the_same(running: Running) -> None:
    running.write("rules: [{name: errors, metr")
    running.look(1)
    running.write(RULE.format(percent=8))
    running.look(1)
    assert running.file.current
    running.look(1)
    assert running.thresholds == [0.08]
    assert running.file.attempts["refused"] == 0


@pytest.mark.parametrize(
    ("text", "why", "line"),
    [
        ("rules: [{name: errors, metric: eror.rate, when: '> 5 %'}]\n", "1 fault, which the log names", "did you mean"),
        (
            "rules: [{name: errors, metric: error.rate, when: '> 500 %'}]\n",
            "1 fault, which the log names",
            "can never hold",
        ),
        ("rules: [\n", "1 fault, which the log names", "is not YAML"),
        (RULE.format(percent=6) + "web: {port: 9}\n", "needs a restart for web.port", "a change of web.port needs"),
    ],
)
def test_a_bad_file_keeps_the_old_rules_and_says_so(
    running: Running, text: str, why: str, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    running.write(text)
    running.look(4)
    assert running.used == []
    assert not running.file.current
    told = f"the file was refused at 2026-03-01T12:00:00Z, the old rules stay: {why}"
    assert running.file.report() == told
    assert line in caplog.text
    assert running.file.attempts == {"taken": 0, "refused": 1}, "told once, not at every look"
    running.write(RULE.format(percent=9))
    running.look()
    assert running.thresholds == [0.09]
    assert running.file.report() == "ok"


def test_a_file_put_back_as_it_was_is_right_again(running: Running) -> None:
    running.write("rules: 5\n")
    running.look()
    running.write(RULE.format(percent=5))
    running.look()
    assert running.file.current


def test_a_file_that_is_gone_keeps_the_old_rules(running: Running) -> None:
    running.path.unlink()
    running.look()
    assert running.used == []
    assert "the old rules stay" in running.file.report()


def test_a_signal_reads_the_file_though_it_has_not_changed(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    running.file.ask()
    with caplog.at_level(logging.WARNING):
        running.look(1)
    assert running.file.attempts["taken"] == 1
    assert "no rule is another" in caplog.text


def test_rules_on_single_rows_are_rules(running: Running) -> None:
    running.write("event_rules: [{name: leaked, event: secret.output, when: '>= 0.9'}]\n")
    running.look()
    assert [rule.event for rule in running.used[0].event_rules] == ["secret.output"]


def test_what_cannot_be_used_is_refused(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    def unusable(settings: Settings) -> None:
        raise Misconfigured("event_rules: rule 'leaked' names 'secret.outptu'")

    running.file.feed(Settings(), unusable)
    running.write(RULE.format(percent=7))
    running.look()
    assert "1 fault, which the log names" in running.file.report()
    assert "names 'secret.outptu'" in caplog.text
    assert running.file.attempts == {"taken": 0, "refused": 1}


def test_what_changed_is_told(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    running.write("rules: [{name: slow, metric: latency_ms.p95, when: '> 8000'}]\n")
    running.look()
    assert "new: slow; gone: errors" in caplog.text


def test_a_mounted_folder_that_is_switched_by_a_link_is_seen(tmp_path: Path) -> None:
    """As Kubernetes changes a ConfigMap: the file's own path is a link through one that is replaced."""
    for version, percent in (("one", 5), ("two", 6)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "c.yaml").write_text(RULE.format(percent=percent))
    link = tmp_path / "data"
    link.symlink_to("one")
    path = tmp_path / "c.yaml"
    path.symlink_to("data/c.yaml")
    loaded = load(path, {})
    file = RulesFile(path, {}, loaded, CLOCK)
    used: list[Settings] = []
    file.feed(loaded, used.append)
    (tmp_path / "next").symlink_to("two")
    os.replace(tmp_path / "next", link)
    file.look()
    file.look()
    assert [rule.when.threshold for rule in used[0].rules] == [0.06]


def test_a_changed_secret_is_named_and_never_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "c.yaml"
    receivers = "receivers: [{{type: slack, name: team, webhook_url: 'https://hooks.example.org/{secret}'}}]\n"
    path.write_text(receivers.format(secret="first-secret"))
    file = RulesFile(path, {}, load(path, {}), CLOCK)
    path.write_text(receivers.format(secret="other-secret"))
    file.ask()
    file.look()
    assert "needs a restart for receivers" in file.report()
    assert "secret" not in (caplog.text + file.report()).replace("_secret", "")


def test_without_a_file_nothing_ever_changes() -> None:
    file = RulesFile(None, {}, Settings(), CLOCK)
    file.ask()
    file.look()
    assert file.report() == "ok"


@pytest.mark.parametrize(
    ("other", "names"),
    [
        ({}, []),
        ({"store": {"retention": {"alerts_days": 5}}, "web": {"port": 1}}, ["store.retention.alerts_days", "web.port"]),
        ({"drift": {"canary": {"dimension": "model", "canary": "a", "control": "b"}}}, ["drift.canary"]),
        ({"rules": [{"name": "r", "metric": "error.rate", "when": "> 1 %"}]}, ["rules"]),
    ],
)  # fmt: skip
def test_every_setting_that_differs_is_named(other: dict[str, Any], names: list[str]) -> None:
    assert changed(Settings(), Settings.model_validate(other)) == names


def test_a_note_does_not_make_a_process_unhealthy() -> None:
    health = Health(MonitoringSettings().hung_after, CLOCK)
    health.note("rules", lambda: "the file was refused")
    assert health.report() == {}
    assert health.notes() == {"rules": "the file was refused"}
