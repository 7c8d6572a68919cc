"""A real worker on a real broker, scraped by a real Prometheus and judged by its own tools."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from inferwatch.infra.local.ports import free_port
from inferwatch.schemas.settings import KafkaSettings
from tests.integration.conftest import Produce
from tests.support.prometheus import Unavailable, binary

ROOT = Path(__file__).parents[2]
RECORDS, POISON = 300, 3

Labels = tuple[tuple[str, str], ...]


@pytest.fixture(scope="module")
def promtool() -> Path:
    return tool("promtool")


def tool(name: str) -> Path:
    try:
        return binary(name)
    except Unavailable as error:
        pytest.skip(str(error))


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def until(condition: Callable[[], Any], what: str, seconds: float = 90) -> Any:
    """Return what ``condition`` says as soon as it is something."""
    deadline = time.monotonic() + seconds  # noqa: TID251
    while not (found := condition()):
        assert time.monotonic() < deadline, what  # noqa: TID251
        time.sleep(0.1)
    return found


@contextmanager
def process(*command: str, log: Path, cwd: Path = ROOT) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process; stop it in the orderly way."""
    with log.open("ab") as output:
        # A worker of the tests ends when its standard input does.
        running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=cwd)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGCONT)
        running.terminate()
        try:
            running.wait(40)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        if running.stdin is not None:
            running.stdin.close()


class Worker:
    """``inferwatch worker`` with a small encoder and detector, and its monitoring port."""

    def __init__(self, folder: Path, source: KafkaSettings) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.settings = folder / "settings.json"
        settings = {
            "kafka": json.loads(source.model_dump_json(include={"bootstrap_servers", "topic", "dead_letter_topic"}))
            | {"group_id": source.group_id, "batch_wait": "100ms"},
            "store": {"dsn": f"chdb://{folder / 'store'}"},
            "windows": {"size": "10s", "allowed_lateness": "1s", "idle_timeout": "1s"},
            "drift": {"reference_rows": 100, "min_rows": 10},
            "rules": [{"name": "terse", "metric": "terse.rate", "when": "> 40 %", "min_events": 5}],
            "receivers": [{"type": "webhook", "name": "nobody", "url": f"http://127.0.0.1:{free_port()}/"}],
            "monitoring": {"port": port, "hung_after": "15m"},
        }
        self.settings.write_text(json.dumps(settings))
        (folder / "clock").write_text("0")

    @contextmanager
    def started(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        files = (str(self.settings), str(self.folder / "clock"))
        command = (sys.executable, "-m", "tests.chaos.worker_process", *files, *options)
        with process(*command, log=self.folder / "worker.log") as running:
            yield running

    @contextmanager
    def running(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        with self.started(*options) as running:
            until(lambda: running.poll() is None and get(f"{self.url}/health")[0] == 200, self.log)
            yield running

    @property
    def log(self) -> str:
        return (self.folder / "worker.log").read_text()[-3000:]

    def scrape(self) -> dict[str, dict[Labels, float]]:
        """Return sample name -> labels -> value."""
        found: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(get(f"{self.url}/metrics")[1].decode()):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
        return found

    def value(self, name: str) -> float:
        """Return the sum over the series of one sample name."""
        return sum(self.scrape().get(name, {}).values())


@pytest.fixture
def worker(tmp_path: Path, source: KafkaSettings) -> Worker:
    return Worker(tmp_path, source)


def records(n: int, ago: timedelta = timedelta(seconds=30)) -> list[tuple[bytes | None, bytes | None]]:
    """Make ``n`` good records of half a minute ago, half of them terse and a tenth unanswered, and three unreadable."""
    at = datetime.now(UTC) - ago  # noqa: TID251
    good = [
        {
            "id": f"{at:%H%M%S%f}-{row}",
            "timestamp": (at + timedelta(milliseconds=row)).isoformat(),
            "application": "shop",
            "input": f"question {row}",
            "output": "" if row % 10 == 0 else "yes" if row % 2 else "that is a long answer",
        }
        for row in range(n)
    ]
    return [(b"k", json.dumps(one).encode()) for one in good] + [(b"k", b"{")] * POISON


@pytest.mark.kafka
@pytest.mark.slow
def test_every_metric_is_there_and_promtool_finds_no_fault(
    worker: Worker, source: KafkaSettings, produce: Produce, promtool: Path
) -> None:
    from inferwatch.streams.telemetry import METRICS

    produce(source, records(RECORDS))
    with worker.running():
        until(lambda: worker.value("inferwatch_records_stored_total") == RECORDS, worker.log)
        until(lambda: worker.value("inferwatch_windows_closed_total") >= 1, "windows closed")
        until(lambda: worker.value("inferwatch_deliveries_total") >= 1, worker.log)
        until(lambda: worker.scrape().get("inferwatch_consumer_lag_records"), worker.log)
        status, body = get(f"{worker.url}/ready")
        assert (status, json.loads(body)["status"]) == (200, "ok")
        found = worker.scrape()
        text = get(f"{worker.url}/metrics")[1]
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, timeout=60)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")

    # What only a real encoder, a receiver that accepts, or trouble brings forth.
    absent = {
        "inferwatch_encoder_texts_total", "inferwatch_encoder_seconds_total", "inferwatch_encoder_cache_hits_total",
        "inferwatch_encoder_cache_misses_total", "inferwatch_event_to_alert_seconds", "inferwatch_errors_total",
        "inferwatch_alerts_suppressed_total", "inferwatch_rules_reloads_total",
    }  # fmt: skip
    names = {metric.name for metric in METRICS}
    seen = {name for name in names if name in found or f"{name}_count" in found}
    assert names - seen <= absent

    def one(name: str, **labels: str) -> float:
        return found[name][tuple(sorted(labels.items()))]

    assert one("inferwatch_records_received_total") == RECORDS + POISON
    assert one("inferwatch_records_scored_total") == RECORDS
    assert one("inferwatch_records_dropped_total", reason="invalid_json") == POISON
    assert one("inferwatch_scores_total", score="terse") == RECORDS * 0.9
    assert one("inferwatch_abstentions_total", score="terse", reason="no output") == RECORDS * 0.1
    assert one("inferwatch_event_to_row_seconds_count") == RECORDS
    assert 30 < one("inferwatch_event_to_row_seconds_sum") / RECORDS < 120
    assert sum(found["inferwatch_consumer_lag_records"].values()) == 0
    assert len(found["inferwatch_consumer_lag_records"]) == source.partitions
    assert sum(found["inferwatch_queue_records"].values()) == 0
    assert one("inferwatch_partitions_owned") == source.partitions
    assert one("inferwatch_alert_transitions_total", rule="terse", state="firing") >= 1
    assert one("inferwatch_deliveries_total", receiver="nobody", status="retrying") >= 1
    assert one("inferwatch_encoder_info", backend="HashedWords", revision="hashed-words") == 1
    assert one("inferwatch_store_insert_seconds_count", table="inferences_raw") >= 1
    assert one("inferwatch_watermark_delay_seconds") > 0
    assert "process_resident_memory_bytes" in found


@pytest.mark.kafka
@pytest.mark.slow
def test_a_real_prometheus_scrapes_a_real_worker(
    worker: Worker, source: KafkaSettings, produce: Produce, tmp_path: Path
) -> None:
    """The scrape configuration that is shipped, with this worker as its target."""
    prometheus = tool("prometheus")
    shipped = yaml.safe_load((ROOT / "infra/prometheus/prometheus.yml").read_text())
    shipped["scrape_configs"][0]["static_configs"] = [{"targets": [worker.url.removeprefix("http://")]}]
    shipped["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    shipped.pop("alerting", None)
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(shipped))
    (tmp_path / "rules.yml").write_text((ROOT / "infra/prometheus/rules.yml").read_text())
    address = f"127.0.0.1:{free_port()}"
    command = (
        str(prometheus), f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address={address}",
    )  # fmt: skip

    def query(promql: str) -> list[dict[str, Any]]:
        status, body = get(f"http://{address}/api/v1/query?{urllib.parse.urlencode({'query': promql})}")
        if status != 200:
            assert status in (0, 503), body
            return []
        result: list[dict[str, Any]] = json.loads(body)["data"]["result"]
        return result

    produce(source, records(RECORDS))
    with worker.running(), process(*command, log=tmp_path / "prometheus.log"):
        until(lambda: query(f'up{{instance="{worker.url.removeprefix("http://")}"}} == 1'), "up")
        until(lambda: query(f"inferwatch_records_stored_total == {RECORDS}"), worker.log)
        produce(source, records(50, ago=timedelta(seconds=2)))
        until(lambda: query(f"inferwatch_records_stored_total == {RECORDS + 50}"), worker.log)
        quantile = "histogram_quantile(0.95, sum by (le) (rate(inferwatch_event_to_row_seconds_bucket[1m])))"
        [p95] = until(lambda: [one for one in query(quantile) if one["value"][1] != "NaN"], quantile)
        assert 0 < float(p95["value"][1]) < 120
        [coverage] = until(lambda: query('inferwatch:score_coverage:ratio5m{score="terse"} > 0'), "coverage")
        assert float(coverage["value"][1]) == pytest.approx(0.9)
        _, rules = get(f"http://{address}/api/v1/rules")
        groups = json.loads(rules)["data"]["groups"]
        health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
        assert len(health) >= 8
        assert set(health.values()) <= {"ok", "unknown"}, health


def test_the_shipped_rules_are_right(promtool: Path) -> None:
    for name in ("rules.yml",):
        done = subprocess.run(
            [promtool, "check", "rules", ROOT / "infra/prometheus" / name], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run(
        [promtool, "check", "config", ROOT / "infra/prometheus/prometheus.yml"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_shipped_rules_fire_when_they_should_and_not_otherwise(promtool: Path) -> None:
    done = subprocess.run(
        [promtool, "test", "rules", "rules_test.yml"],
        cwd=ROOT / "infra/prometheus", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.kafka
@pytest.mark.slow
def test_a_frozen_worker_answers_no_probe(worker: Worker) -> None:
    with worker.running() as running:
        until(lambda: get(f"{worker.url}/ready")[0] == 200, worker.log)
        running.send_signal(signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(f"{worker.url}/health", timeout=1)
        running.send_signal(signal.SIGCONT)
        until(lambda: get(f"{worker.url}/health")[0] == 200, worker.log)


@pytest.mark.kafka
@pytest.mark.slow
def test_two_workers_on_one_machine_do_not_collide(worker: Worker, tmp_path: Path, source: KafkaSettings) -> None:
    """A fixed port that is taken is an error that says what to do; the default takes a free one."""
    other = Worker(tmp_path_of(tmp_path, "other"), source)
    settings = json.loads(other.settings.read_text())
    settings["monitoring"]["port"] = int(worker.url.rpartition(":")[2])
    other.settings.write_text(json.dumps(settings))
    with worker.running(), other.started() as second:
        assert second.wait(90) != 0
    assert f"monitoring.port {settings['monitoring']['port']} on 127.0.0.1 cannot be opened" in other.log
    assert "0 for a free one" in other.log


def tmp_path_of(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
