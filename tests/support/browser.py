"""A real Chromium without a window, driven over its own protocol.

References:
    https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 60.0


class Tab:
    """One page, ``width`` pixels wide."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = count(1)

    async def ask(self, method: str, **parameters: Any) -> Any:
        """Send one command and return its result; events in between are passed over."""
        own = next(self._ids)
        await self._socket.send_json({"id": own, "method": method, "params": parameters})
        while True:
            found = json.loads((await self._socket.receive()).data)
            if found.get("id") == own:
                assert "error" not in found, found
                return found["result"]

    async def run(self, script: str) -> Any:
        """Return the value of an expression in the page; a promise is waited for."""
        found = await self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(SECONDS):
            while not await self.run(f"Boolean({script})"):
                await asyncio.sleep(0.05)

    async def open(self, address: str) -> None:
        """Go to ``address`` and wait until its scripts have run."""
        await self.ask("Page.navigate", url=address)
        await self.until(f"location.href === {json.dumps(address)} && document.readyState === 'complete'")


@asynccontextmanager
async def browser(folder: Path, width: int) -> AsyncIterator[Tab]:
    """Start a browser with its profile in ``folder``."""
    assert CHROMIUM is not None
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run")
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *options, f"--user-data-dir={folder}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS), aiohttp.ClientSession() as session:
            told = folder / "DevToolsActivePort"
            while not told.exists() or not (lines := told.read_text().splitlines()):
                await asyncio.sleep(0.05)
            async with session.get(f"http://127.0.0.1:{lines[0]}/json/list") as response:
                pages = [one for one in await response.json() if one["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                tab = Tab(socket)
                size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
                await tab.ask("Emulation.setDeviceMetricsOverride", **size)
                yield tab
    finally:
        process.terminate()
        await process.wait()
