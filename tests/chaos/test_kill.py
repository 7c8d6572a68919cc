"""A worker killed with SIGKILL at random moments: every view has every record once, and the windows' numbers agree
with those of a worker that nobody killed."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.infra.local.broker import LocalKafka
from inferwatch.infra.topics import ensure_topics
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import ALL, Window
from inferwatch.streams.closing import Closer
from tests.support.engine import ROOT

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
ENCODER = {"backend": "torch"}
"""Not ``auto``: where int8 and bfloat16 are about as fast it may choose otherwise at the next start."""
ANSWERS = (
    "Your parcel left the depot this morning.",
    "You can change the delivery day until midnight.",
    "Please hold the charger's button for ten seconds; the light then blinks twice.",
    "Sorry, no.",
    "",
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with LocalKafka() as broker:
        yield broker.bootstrap_servers


@dataclass
class Run:
    """One way of working through the topic: its own consumer group, its own store."""

    folder: Path
    settings: Settings
    mode: str

    @classmethod
    def make(cls, folder: Path, address: str, topic: str, name: str, mode: str) -> Run:
        folder = folder / name
        folder.mkdir()
        content = {
            "kafka": {
                "bootstrap_servers": address,
                "topic": topic,
                "dead_letter_topic": f"{topic}.dead",
                "group_id": f"{topic}.{name}",
                # A killed member holds its partitions until this is over.
                "session_timeout": "2s",
                "batch_wait": "100ms",
            },
            "store": {"dsn": f"chdb://{folder / 'store'}", "retention": {"inferences_days": 10_000}},
            # The slowest partition is waited for, however long a restart takes.
            "windows": {"size": "15m", "allowed_lateness": "30m", "idle_timeout": "1h"},
            "encoder": ENCODER,
        }
        (folder / "settings.json").write_text(json.dumps(content))
        return cls(folder, Settings.model_validate(content), mode)

    def start(self) -> subprocess.Popen[str]:
        with (self.folder / "worker.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.counting_worker", str(self.folder / "settings.json"), self.mode],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
            )

    def log(self) -> str:
        return (self.folder / "worker.log").read_text()[-3000:]


def logs(n: int, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield ``n`` (key, value) of two applications over four hours of event time, slightly out of order."""
    rng = random.Random(seed)
    for i in range(n):
        at = START + timedelta(hours=4) * (i / n) - timedelta(seconds=rng.uniform(0, 60))
        record = {
            "id": f"r{i}",
            "timestamp": at.isoformat(),
            "application": rng.choice(["support", "shop"]),
            "model": rng.choice(["small", "large"]),
            "input": f"question {rng.randrange(500)} about order {i}",
            "output": rng.choice(ANSWERS),
            "latency_ms": round(rng.lognormvariate(6, 0.5)),
            "usage": {"input_tokens": rng.randrange(20, 400), "output_tokens": rng.randrange(5, 90)},
            "cost_usd": round(rng.uniform(0.0001, 0.01), 6),
        }
        yield f"conversation-{rng.randrange(1000)}".encode(), json.dumps(record).encode()


def fill(settings: Settings, n: int) -> None:
    ensure_topics(settings.kafka)
    new: Any = KafkaProducer
    with closing(new(bootstrap_servers=settings.kafka.bootstrap_servers, linger_ms=20)) as producer:
        futures = [producer.send(settings.kafka.topic, key=key, value=value) for key, value in logs(n, seed=1)]
        for future in futures:
            future.get(60)


def committed(settings: Settings) -> int:
    new: Any = KafkaAdminClient
    with new(bootstrap_servers=settings.kafka.bootstrap_servers) as admin:
        offsets = admin.list_group_offsets([settings.kafka.group_id])[settings.kafka.group_id]
    return sum(max(place.offset, 0) for place in offsets.values())


@contextmanager
def working(run: Run) -> Iterator[tuple[subprocess.Popen[str], Callable[[float], int | None]]]:
    """Run one worker; yield it and a call that waits so many seconds for the size of the next batch it stored.

    The call returns None when nothing was said in time, and 0 when the worker has ended. The worker never outlives
    the block.
    """
    sizes: Queue[int] = Queue()
    with run.start() as process:
        stdout = process.stdout
        assert stdout is not None

        def listen() -> None:
            for line in stdout:
                if line.endswith("\n"):  # SIGKILL may cut the last one
                    sizes.put(int(line))
            sizes.put(0)

        def heard(seconds: float) -> int | None:
            try:
                return sizes.get(timeout=seconds)
            except Empty:
                return None

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield process, heard
        finally:
            process.kill()
            listener.join()


def work_through(run: Run, n: int, kill_at: Sequence[int], rng: random.Random) -> int:
    """Run workers until the group has all ``n`` records behind it; return how many records were stored in all.

    Each number in ``kill_at`` ends one worker: when so many records were stored in all, and a moment more, up to
    0.2 s, has passed, so that it dies anywhere in a batch. When all is committed, no other worker is started: it
    would be told to stop while it starts.
    """
    stored = 0
    for kill in (*kill_at, None):
        if stored and committed(run.settings) >= n:
            break
        with working(run) as (process, heard):
            deadline = time.monotonic() + 120  # noqa: TID251
            while kill is None or stored < kill:
                size = heard(0.5)
                assert size != 0, f"the worker ended by itself\n{run.log()}"
                assert time.monotonic() < deadline, run.log()  # noqa: TID251
                stored += size or 0
                if size is None and committed(run.settings) >= n:
                    break
            if kill is not None:
                time.sleep(rng.uniform(0, 0.2))
            process.send_signal(signal.SIGTERM if kill is None else signal.SIGKILL)
            while size := heard(30):
                stored += size
            assert process.wait(30) == (0 if kill is None else -signal.SIGKILL), run.log()
    return stored


class NoRules:
    """No alerts are declared here."""

    def decide(self, window: Window, metrics: Sequence[WindowMetric], passed: datetime | None) -> None:
        return None

    def let_pass(self, *_: object) -> None: ...


def close_all(run: Run, store: ClickHouseStore, revision: str, thresholds: dict[str, float]) -> None:
    """Close the windows that the watermark has not reached."""
    Closer(run.settings, store, SystemClock(), NoRules(), revision, thresholds).flush()


def one(store: ClickHouseStore, sql: str) -> dict[str, Any]:
    [row] = store.query(sql).to_pylist()
    return dict(row)


def check_views(store: ClickHouseStore, n: int) -> None:
    """Every view counts every record once."""
    assert one(store, "SELECT count() AS n, uniqExact(id) AS ids FROM inferences") == {"n": n, "ids": n}
    assert one(store, "SELECT uniqExact(partition, offset) AS n FROM inferences") == {"n": n}
    assert one(store, "SELECT count() AS n FROM dead_letters") == {"n": 0}
    assert one(store, "SELECT sum(next_offset) AS n FROM progress") == {"n": n}
    assert one(store, "SELECT sum(rows) AS n FROM windows") == {"n": n}
    metric = f"metric = 'inferences' AND segment_dimension = '{ALL}'"
    assert one(store, f"SELECT sum(value) AS n FROM window_metrics WHERE {metric}") == {"n": n}
    with_texts = "SELECT countIf(input != '') + countIf(output != '') AS n FROM inferences"
    assert one(store, "SELECT count() AS n FROM embeddings") == one(store, with_texts)


Numbers = dict[tuple[Any, ...], dict[str, Any]]


def numbers(store: ClickHouseStore) -> Numbers:
    """Return everything a window says except when, and after how many late rows, it was said."""
    rows = store.query("SELECT * EXCEPT (revision, published_at) FROM window_metrics").to_pylist()
    key = ("window_start", "window_end", "application", "segment_dimension", "segment_value", "metric")
    found = {tuple(row.pop(name) for name in key): row for row in rows}
    assert len(found) == len(rows)
    return found


def differing(calm: Numbers, killed: Numbers, tolerance: float) -> dict[tuple[Any, ...], Any]:
    """Return the metrics that disagree. Counts must be equal; numbers within ``tolerance``, where NaN equals NaN."""
    floats = ("value", "ci_low", "ci_high")
    rest = ("n", "total") if tolerance else ("n", "total", "detail")
    return {
        key: (one, two)
        for key, one in calm.items()
        for two in [killed[key]]
        if [one[name] for name in rest] != [two[name] for name in rest]
        or [one[name] for name in floats]
        != pytest.approx([two[name] for name in floats], abs=tolerance, rel=0, nan_ok=True)
    }


def compare(
    tmp_path: Path,
    address: str,
    mode: str,
    n: int,
    kills: int,
    revision: str,
    limits: dict[str, float],
    tolerance: float,
) -> None:
    rng = random.Random(n)
    topic = f"chaos-{mode}-{n}"
    calm = Run.make(tmp_path, address, topic, "calm", mode)
    killed = Run.make(tmp_path, address, topic, "killed", mode)
    fill(calm.settings, n)
    assert work_through(calm, n, (), rng) == n
    kill_at = sorted(rng.sample(range(n // 50, n - n // 20), kills))
    stored = work_through(killed, n, kill_at, rng)
    found = []
    for run in (calm, killed):
        with open_store(run.settings.store) as store:
            close_all(run, store, revision, limits)
            check_views(store, n)
            found.append(numbers(store))
    print(f"killed after {kill_at} of {n}: {stored - n} stored again, {len(found[0])} window metrics compared")
    assert len(found[0]) > 100
    calm_numbers, killed_numbers = found
    assert calm_numbers.keys() == killed_numbers.keys()
    assert differing(calm_numbers, killed_numbers, tolerance) == {}


def test_ten_thousand_records_and_five_kills_count_ten_thousand(tmp_path: Path, address: str) -> None:
    compare(tmp_path, address, "fast", 10_000, 5, "hashed-words", {"terse": 0.5}, 0.0)


def test_a_thousand_records_with_the_real_models(tmp_path: Path, address: str) -> None:
    from inferwatch.detectors.encoder.load import load_encoder
    from inferwatch.detectors.registry import load_detectors

    settings = Settings.model_validate({"encoder": ENCODER})
    encoder = load_encoder(settings.encoder)
    detectors = load_detectors(settings.detectors.enabled, encoder)
    limits = {name: value for detector in detectors for name, value in detector.emits.items()}
    # After a kill a record is encoded beside other records, and in bfloat16 its vector then differs in the last bits:
    # the toxicity of one text by up to 0.0025.
    compare(tmp_path, address, "real", 1_000, 1, encoder.revision, limits, 5e-3)
