"""The rivals' environment and the processes they run in."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Timer
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32
from tests.bench.environment import environment

HERE = Path(__file__).parent
SAID = 2000
"""Last characters of what a process said that are shown when it ends."""
LIBRARIES = ("evidently", "alibi-detect")
Answer = dict[str, Any]


def _python() -> Path:
    return environment("drift-rivals", HERE / "rivals.txt", "some 1.5 GB", with_our_torch=True)


@dataclass(frozen=True)
class Request:
    """Windows to compare with one reference, all as rows of the pool."""

    reference: Sequence[int]
    windows: Sequence[Sequence[int]]

    def line(self, **more: Any) -> str:
        """Return it as the process reads it."""
        return json.dumps({"reference": list(self.reference), "windows": [list(one) for one in self.windows]} | more)


class Process:
    """One process of the rivals over the vectors in ``pool`` (.npy)."""

    def __init__(self, pool: Path, threads: int, libraries: Sequence[str] = LIBRARIES) -> None:
        quiet = os.environ | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
        command = [_python(), "-W", "ignore", HERE / "rival_process.py", pool, ",".join(libraries)]
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, env=quiet, text=True
        )
        self.about = self._answer()

    def ask(self, request: Request, **more: Any) -> Answer:
        """Return the answer to one request; what is asked for is in ``more``."""
        assert self._process.stdin is not None
        self._process.stdin.write(request.line(**more) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def ask_within(self, limit: float, request: Request, **more: Any) -> Answer | None:
        """Return the answer if it comes within ``limit`` seconds; else kill the process and return None."""
        timer = Timer(limit, self._process.kill)
        timer.start()
        try:
            return self.ask(request, **more)
        except RuntimeError:
            if timer.finished.is_set():  # it has killed it
                return None
            raise
        finally:
            timer.cancel()

    def _answer(self) -> Answer:
        assert self._process.stdout is not None
        found = self._process.stdout.readline()
        if not found:
            ended = self._process.wait()
            self._said.seek(0)
            raise RuntimeError(f"the rivals' process ended with {ended}: {self._said.read()[-SAID:]}")
        answer: Answer = json.loads(found)
        return answer

    def close(self) -> None:
        """End it."""
        self._process.communicate()
        self._said.close()


class Rivals:
    """As many processes as asked for, each with one thread, over the same vectors.

    Where they do not install, ``methods`` is empty and ``missing`` says why: the benchmark goes on without them.
    """

    def __init__(self, vectors: F32, processes: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        pool = Path(self._folder.name) / "pool.npy"
        np.save(pool, vectors)
        self._processes: list[Process] = []
        self.methods: list[str] = []
        self.versions: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        try:
            _python()
        except RuntimeError as error:
            self.missing = {"all": str(error)}
            return
        with ThreadPoolExecutor(processes) as starting:
            self._processes = list(starting.map(lambda _: Process(pool, 1), range(processes)))
        about = self._processes[0].about
        self.methods, self.versions, self.missing = about["methods"], about["versions"], about["missing"]

    def __enter__(self) -> Rivals:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.close()
        self._folder.cleanup()

    def each(self, requests: Sequence[Request], **more: Any) -> list[Answer]:
        """Return the answers to many requests, in their order; the processes share the work."""
        if not self._processes:
            return [{} for _ in requests]
        free: SimpleQueue[Process] = SimpleQueue()
        for process in self._processes:
            free.put(process)

        def one(request: Request) -> Answer:
            process = free.get()
            try:
                return process.ask(request, **more)
            finally:
                free.put(process)

        with ThreadPoolExecutor(len(self._processes)) as workers:
            return list(workers.map(one, requests))


def joined(answers: Iterable[Answer], method: str) -> list[Any]:
    """Return one method's values of all windows of all answers, in order."""
    return [value for answer in answers for value in answer[method]]
