"""``inferwatch produce`` against a real broker."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kafka import KafkaConsumer

from inferwatch.infra.cli import main
from inferwatch.schemas.settings import KafkaSettings

pytestmark = pytest.mark.kafka

LINES = [json.dumps({"id": str(i), "application": f"app{i % 3}", "output": "ä"}).encode() for i in range(30)]


def run(address: str | None, *arguments: str, stdin: bytes = b"") -> Result:
    runner = CliRunner(env={"INFERWATCH_KAFKA": address, "INFERWATCH_CONFIG": None})
    return runner.invoke(main, ["produce", *arguments], input=stdin)


def stored(source: KafkaSettings) -> list[tuple[bytes | None, bytes]]:
    new: Any = KafkaConsumer
    consumer = new(
        source.topic,
        bootstrap_servers=source.bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=2000,
    )
    found = [(record.key, record.value) for record in consumer]
    consumer.close()
    return found


def test_every_line_arrives_as_it_is_keyed_by_application(source: KafkaSettings, tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    plain.write_bytes(b"\n".join(LINES[:10]) + b"\n\nnot json\n")
    packed.write_bytes(gzip.compress(b"\n".join(LINES[10:20])))
    done = run(
        source.bootstrap_servers, str(plain), str(packed), "-", "--topic", source.topic, stdin=b"\n".join(LINES[20:])
    )
    assert done.exit_code == 0, done.output
    assert "31 of 31 records acknowledged" in done.output
    expected = [(json.loads(line)["application"].encode(), line) for line in LINES] + [(None, b"not json")]
    assert sorted(stored(source), key=repr) == sorted(expected, key=repr)


def test_a_rate_is_kept(source: KafkaSettings, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\n".join(LINES))
    started = time.monotonic()  # noqa: TID251
    done = run(source.bootstrap_servers, str(file), "--topic", source.topic, "--rate", "20")
    assert done.exit_code == 0, done.output
    assert time.monotonic() - started >= 29 / 20  # noqa: TID251


def test_what_the_broker_refuses_is_counted_and_fails(source: KafkaSettings, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(LINES[0] + b"\n" + b"x" * (17 * 1024 * 1024))
    done = run(source.bootstrap_servers, str(file), "--topic", source.topic)
    assert done.exit_code == 1
    assert "1 of 2 records acknowledged" in done.output
    assert "1 records were not acknowledged: {'MessageSizeTooLargeError': 1}" in done.output


def test_without_a_broker_it_says_where_to_name_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "a.jsonl"
    file.write_bytes(LINES[0])
    done = run(None, str(file))
    assert done.exit_code == 2
    assert "name a broker there or in INFERWATCH_KAFKA" in done.output
    done = run("127.0.0.1:1", str(file))
    assert done.exit_code == 2
    assert "no Kafka broker answers at 127.0.0.1:1" in done.output
