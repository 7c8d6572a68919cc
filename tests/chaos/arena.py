"""The processes of one schedule: some workers in one consumer group, the store they share, the broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from inferwatch.infra.local.broker import LocalKafka
from inferwatch.schemas.settings import Settings
from tests.chaos.workload import PARTITIONS, RULES, WINDOWS
from tests.support.engine import ROOT, EngineServer

SESSION_SECONDS = 2.0
LEAVE_SECONDS = 40.0


def settings_of(dsn: str, broker: str, topic: str, webhook: str) -> dict[str, Any]:
    """Return the configuration of every worker."""
    return {
        "kafka": {
            "bootstrap_servers": broker,
            "topic": topic,
            "dead_letter_topic": f"{topic}.dead",
            "group_id": topic,
            "partitions": PARTITIONS,
            # A killed or frozen member holds its partitions until this is over.
            "session_timeout": f"{SESSION_SECONDS}s",
            "batch_wait": "100ms",
            "batch_records": 100,
        },
        # Event time lies far back, and no row may go while a schedule runs.
        "store": {"dsn": dsn, "answer_timeout": "2s", "retention": dict.fromkeys(RETENTION, 10_000)},
        "windows": WINDOWS,
        "segments": {"dimensions": ["model"]},
        "drift": {"window_rows": 100, "reference_rows": 100},
        "rules": RULES,
        "receivers": [{"type": "webhook", "name": "people", "url": webhook}],
    }


RETENTION = ("inferences_days", "embeddings_days", "window_metrics_days", "alerts_days", "dead_letters_days")


@dataclass
class Worker:
    """One process of the service."""

    name: str
    process: subprocess.Popen[bytes]
    clock: Path
    frozen: bool = False

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        if number is signal.SIGSTOP:
            self.frozen = True
        if number is signal.SIGCONT:
            self.frozen = False

    def reap(self) -> None:
        """Wait for its end and let go of it."""
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


@dataclass
class Arena:
    """Starts the workers and keeps their number, as an orchestrator would.

    Args:
        folder: settings, logs and the store's folder.
        broker: running; several schedules may share it.
        server: running.
    """

    folder: Path
    broker: LocalKafka
    server: EngineServer
    settings: Settings
    workers: list[Worker] = field(default_factory=list)
    wanted: int = 0
    wrong_by: float = 0.0
    """Seconds by which the clock of a worker that starts is wrong."""
    ended: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._count = 0
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper")

    def __enter__(self) -> Arena:
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._keeper.join()
        for worker in self.workers:
            worker.process.kill()
            worker.reap()

    def start_worker(self) -> Worker:
        """Start one more."""
        with self._lock:
            self._count += 1
            name = f"worker{self._count}"
            clock = self.folder / f"{name}.clock"
            clock.write_text(str(self.wrong_by))
            config = self.folder / "settings.json"
            command = [sys.executable, "-m", "tests.chaos.worker_process", str(config), str(clock)]
            environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            with (self.folder / f"{name}.log").open("ab") as log:
                process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT, env=environment
                )
            worker = Worker(name, process, clock)
            self.workers.append(worker)
            return worker

    def running(self) -> list[Worker]:
        """Return the workers that live and are not frozen."""
        with self._lock:
            return [worker for worker in self.workers if worker.alive and not worker.frozen]

    def discard(self, worker: Worker) -> None:
        """Keep it no more: it was told to end."""
        with self._lock:
            self.workers.remove(worker)

    def leave(self, worker: Worker) -> None:
        """Let a worker drain and leave the group; by force after 40 s."""
        self.discard(worker)
        worker.process.terminate()
        try:
            code: int | None = worker.process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            code = None
        worker.reap()
        # Before it has learnt to drain, a worker ends of the signal itself.
        if code not in (0, -signal.SIGTERM):
            self.ended.append(f"{worker.name} was told to leave and ended with {code}")

    def leave_all(self) -> None:
        """Let every worker leave, and keep none."""
        self._stop.set()
        self._keeper.join()
        threads = [threading.Thread(target=self.leave, args=(worker,)) for worker in list(self.workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _keep(self) -> None:
        """Start a worker for one that is gone."""
        while not self._stop.wait(1.0):
            with self._lock:
                for worker in [one for one in self.workers if not one.alive]:
                    code = worker.process.returncode
                    if code != -signal.SIGKILL:
                        self.ended.append(f"{worker.name} ended by itself with {code}: {self._last_words(worker)}")
                    self.workers.remove(worker)
                    worker.reap()
                while len(self.workers) < self.wanted:
                    self.start_worker()

    def _last_words(self, worker: Worker) -> str:
        lines = (self.folder / f"{worker.name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else ""


def write_settings(folder: Path, content: dict[str, Any]) -> Settings:
    """Write the file that the workers read."""
    (folder / "settings.json").write_text(json.dumps(content))
    return Settings.model_validate(content)
