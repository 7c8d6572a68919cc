"""Starts, stops, kills and disturbs the engine server of ``engine_server.py``, from another process.

>>> with EngineServer(folder) as server:  # doctest: +SKIP
...     settings = StoreSettings(dsn=SecretStr(server.dsn))
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from inferwatch.infra.local.ports import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0


class EngineServer:
    """A store that several processes share. Keeps its folder and its port over restarts; ends with this process.

    Args:
        folder: where the engine keeps its data; made when missing.
        faults: take orders for ``disturb``.
    """

    def __init__(self, folder: Path, *, faults: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self._control = free_port() if faults else None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        return f"clickhouse://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def log(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.log")

    def start(self) -> None:
        """Return when it answers."""
        control = [] if self._control is None else ["--faults", str(self._control)]
        command = [sys.executable, "-m", "tests.support.engine_server", "--folder", str(self.folder), "--child"]
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port), *control], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT
            )
        deadline = time.monotonic() + START_SECONDS  # noqa: TID251
        while not self._answers():
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:  # noqa: TID251
                self.kill()
                raise RuntimeError(f"the engine server did not come up: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it in an orderly way."""
        if self._process is not None:
            self._process.terminate()
            self._wait(20)

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._wait(20)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    def disturb(self, kind: str, seconds: float, code: int = 0) -> None:
        """Start a fault of ``engine_faults.py`` that ends by itself."""
        url = f"http://127.0.0.1:{self._control}/?kind={kind}&seconds={seconds}&code={code}"
        urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10).close()

    def __enter__(self) -> EngineServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _wait(self, seconds: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=1).close()
        except (urllib.error.URLError, OSError):
            return False
        return True
