"""The service as a user runs it: ``inferwatch up`` in a process of its own, asked through its SQL endpoint."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from inferwatch.schemas.errors import Permanent
from inferwatch.schemas.settings import KafkaSettings

_GRACE_SECONDS = 40
_START_SECONDS = 120
_LOG_LINES = 25


class Service:
    """One ``inferwatch up``.

    Args:
        folder: configuration, store and log are written here.
        settings: the configuration file's content.
        kafka: the broker's address and password, which the process is given by its environment.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], kafka: KafkaSettings) -> None:
        self.config = folder / "inferwatch.yaml"
        self.log = folder / "service.log"
        self.url = f"http://{settings['web']['host']}:{settings['web']['port']}"
        self._folder = folder
        self._settings = settings
        self._kafka = kafka
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Write the configuration, start the process, and return when it answers.

        Raises:
            Permanent: it ended or did not answer in time; the message holds the end of its log.
        """
        self.config.write_text(yaml.safe_dump(dict(self._settings), sort_keys=False, allow_unicode=True), "utf-8")
        known = ("INFERWATCH_", "FAUST_")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(known)}
        environ["INFERWATCH_KAFKA"] = self._kafka.bootstrap_servers or ""
        if password := self._kafka.sasl_password.get_secret_value():
            environ["INFERWATCH__KAFKA__SASL_PASSWORD"] = password
        program = "from inferwatch.infra.cli import main; main()"
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", program, "-v", "-c", str(self.config), "up"),
                stdout=log,
                stderr=log,
                stdin=asyncio.subprocess.DEVNULL,
                env=environ,
                cwd=self._folder,
                # Ctrl-C is for the demo, which then stops the service in order.
                start_new_session=True,
            )
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        for _ in range(_START_SECONDS * 4):
            self.check()
            if await self._answers():
                return
            await asyncio.sleep(0.25)
        raise Permanent(f"inferwatch up did not answer at {self.url} within {_START_SECONDS} s\n{self.tail()}")

    async def _answers(self) -> bool:
        assert self._session is not None
        try:
            async with self._session.get(f"{self.url}/ping") as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    def check(self) -> None:
        """Raise Permanent when the process has ended by itself."""
        if self._process is not None and self._process.returncode is not None:
            raise Permanent(f"inferwatch up ended with status {self._process.returncode}\n{self.tail()}")

    def tail(self) -> str:
        """Return the last lines of the service's log."""
        lines = self.log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:]
        return "\n".join([f"end of {self.log}:", *lines])

    async def query(self, sql: str) -> list[dict[str, Any]]:
        """Run one SELECT through the service's SQL endpoint.

        Raises:
            Permanent: the service has ended, or refuses the query.
        """
        self.check()
        assert self._session is not None
        try:
            async with self._session.post(self.url, data=f"{sql} FORMAT JSONEachRow".encode()) as response:
                text = await response.text()
                if response.status != 200:
                    raise Permanent(f"{self.url} answered {response.status} to {sql!r}: {text.strip()}")
        except (aiohttp.ClientError, TimeoutError) as error:
            self.check()
            raise Permanent(f"{self.url} did not answer {sql!r}: {error!r}\n{self.tail()}") from error
        return [json.loads(line) for line in text.splitlines() if line]

    async def stop(self) -> None:
        """Ask the process to end in order; end it after 40 seconds."""
        if self._session is not None:
            await self._session.close()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
