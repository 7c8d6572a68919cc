"""The broker on this machine: comes up, keeps what it should, and never outlives its user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from kafka import KafkaAdminClient

from inferwatch.infra.local import jars
from inferwatch.infra.local.broker import LocalKafka, running
from inferwatch.infra.topics import ensure_topics
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import KafkaSettings

START_ONE = """
import sys, time
from pathlib import Path
from inferwatch.infra.local.broker import LocalKafka
broker = LocalKafka(Path(sys.argv[1]))
broker.start()
print(broker.pid, flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone_within(pid: int, seconds: float) -> bool:
    for _ in range(int(seconds * 10)):
        if not alive(pid):
            return True
        Event().wait(0.1)
    return False


@contextmanager
def program(path: Path, name: str, text: str) -> Iterator[str]:
    """A folder with one executable of that name: what a machine has instead of the real one."""
    path.mkdir(exist_ok=True)
    file = path / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    yield str(path)


@pytest.mark.kafka
@pytest.mark.slow
def test_a_restart_keeps_address_and_data_and_a_stop_leaves_nothing_running(tmp_path: Path) -> None:
    data = tmp_path / "kafka"
    broker = LocalKafka(data)
    broker.start()
    try:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, partitions=3)
        assert ensure_topics(settings) == [settings.topic, settings.feedback_topic, settings.dead_letter_topic]
        assert ensure_topics(settings) == []
        assert running(data) == broker.bootstrap_servers
        address, first = broker.bootstrap_servers, broker.pid
        broker.pause()
        assert first is not None
        assert not alive(first)
        assert running(data) is None
        broker.start()
        assert broker.bootstrap_servers == address
        new: Any = KafkaAdminClient
        with new(bootstrap_servers=address) as admin:
            [topic] = admin.describe_topics([settings.topic])
        assert len(topic["partitions"]) == 3
        second = broker.pid
    finally:
        broker.stop()
    assert second is not None
    assert not alive(second)
    assert (data / "log" / "meta.properties").exists()


@pytest.mark.kafka
def test_a_temporary_folder_is_removed() -> None:
    with LocalKafka() as broker:
        folder = broker.log.parent
        assert folder.is_dir()
    assert not folder.exists()


@pytest.mark.kafka
def test_the_broker_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", START_ONE, str(tmp_path / "kafka")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.send_signal(signal.SIGKILL)
    assert gone_within(pid, 30)


@pytest.mark.kafka
def test_a_folder_in_use_is_said_and_left_alone(tmp_path: Path) -> None:
    with LocalKafka(tmp_path) as first:
        second = LocalKafka(tmp_path)
        said = f"of another process has its data in .*{first.bootstrap_servers}.*stop it"
        with pytest.raises(Misconfigured, match=said):
            second.start()
        second.stop()
        assert running(tmp_path) == first.bootstrap_servers
        assert ensure_topics(KafkaSettings(bootstrap_servers=first.bootstrap_servers))
    second.start()
    second.stop()


@pytest.mark.kafka
def test_a_folder_is_in_use_as_long_as_its_broker_lives(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", START_ONE, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        keeper = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        os.kill(keeper, signal.SIGKILL)
        parent.kill()
        parent.wait()
        try:
            with pytest.raises(Misconfigured, match="of another process has its data"):
                LocalKafka(tmp_path).start()
        finally:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.kafka
def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with LocalKafka() as first:
        port = int(first.bootstrap_servers.rsplit(":", 1)[1])
        with pytest.raises(Misconfigured, match=r"ended at once; is something else using the port\?.*log"):
            LocalKafka(tmp_path, port=port).start()


def test_without_java_both_ways_out_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Misconfigured, match=r"Java 17 or newer.*INFERWATCH_KAFKA.*docker compose"):
        LocalKafka().start()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(Misconfigured, match=f"JAVA_HOME={tmp_path} has no java"):
        LocalKafka().start()


def test_an_old_java_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with program(tmp_path / "bin", "java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2") as path:
        monkeypatch.setenv("PATH", path)
        with pytest.raises(Misconfigured, match="is Java 11: either name a broker"):
            jars.java()


def test_without_maven_or_network_both_ways_out_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Misconfigured, match=r"Maven \(mvn\).*INFERWATCH_KAFKA.*docker compose"):
        jars.fetch()
    with program(tmp_path / "bin", "mvn", "echo '[ERROR] Unknown host repo.maven.apache.org'; exit 1") as path:
        monkeypatch.setenv("PATH", path)
        with pytest.raises(Misconfigured, match=r"Unknown host.*docker compose"):
            jars.fetch()
    assert not jars.cache_folder().exists()


@pytest.mark.kafka
@pytest.mark.slow
def test_two_processes_may_fetch_at_once(tmp_path: Path) -> None:
    environ = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", "from inferwatch.infra.local import jars; print(jars.fetch())"]
    both = [subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    said = [one.communicate(timeout=240) for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    folder = tmp_path / "inferwatch" / f"kafka-{jars.VERSION}"
    assert {out.decode().strip() for out, _ in said} == {str(folder)}
    assert sum(b"Fetching" in err for _, err in said) == 1
    assert list(folder.glob("kafka_2.13-*.jar"))
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, f"{folder.name}.lock"]


def test_a_broker_that_is_not_there_is_one_sentence() -> None:
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(Misconfigured, match=r"no Kafka broker answers at 127.0.0.1:1 \(kafka.bootstrap_servers"):
        ensure_topics(settings)
