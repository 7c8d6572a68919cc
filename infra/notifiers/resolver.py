"""Names looked up for aiohttp, and refused where they lead to an address that must not be reached.

What is checked is what is connected to: a name that answers otherwise the second time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from inferwatch.infra.addresses import Guard


class GuardedResolver(AbstractResolver):
    """Asks the operating system from a thread.

    Raises:
        Forbidden: an address of the name must not be reached. aiohttp passes it on as it is.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await asyncio.to_thread(self._guard.resolve, host, port)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, address in found
        ]

    async def close(self) -> None:
        """Nothing is held open."""
