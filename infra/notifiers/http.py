"""One way to send: JSON by POST, and what each answer means for a retry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from pydantic import SecretStr

from inferwatch.infra.outbound import checked_address, is_retryable, retry_seconds, secret_parts
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import DeliveryError

TIMEOUT = 10.0
"""Seconds a receiver has to answer."""
READ_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said to an accepted request."""

    status: int
    body: str


class Sender:
    """Posts JSON to one secret address. The address shows in no message, no repr and no exception.

    Args:
        name: the receiver's name, for messages.
        url: https, or http to a loopback address.
        clock: to read a Retry-After that is a date.
        timeout: seconds for the whole exchange.
        secrets: more texts that must show nowhere.

    Raises:
        Misconfigured: the address is neither.
    """

    def __init__(
        self, name: str, url: SecretStr, clock: Clock, *, timeout: float = TIMEOUT, secrets: Sequence[str] = ()
    ) -> None:
        self._name = name
        self._url = checked_address(f"receivers: the address of {name!r}", url.get_secret_value())
        self._secrets = secret_parts(self._url, secrets)
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, headers: dict[str, str] | None = None) -> Answer:
        """Send one request.

        Raises:
            DeliveryError: it was not accepted. 408, 425, 429 and 5xx, and failures of the network, are retryable;
                redirects and every other 4xx are not.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers={"Content-Type": "application/json"} | (headers or {}),
                allow_redirects=False,
            ) as response:
                text = await _start_of(response)
                if response.status >= 300:
                    raise self._refused(response.status, text, response.headers.get("Retry-After"))
                return Answer(response.status, text)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # The library's message quotes the address, and with it the secret.
            raise self.failed(f"no answer ({type(error).__name__})", retryable=True) from None

    def failed(self, what: str, *, retryable: bool, retry_after: float | None = None) -> DeliveryError:
        """Return the error that says ``what`` went wrong at this receiver, with every secret cut out."""
        return DeliveryError(
            f"receiver {self._name!r}: {self._clean(what)}", retryable=retryable, retry_after=retry_after
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return " ".join(text.split())

    def _refused(self, status: int, text: str, retry_after: str | None) -> DeliveryError:
        if 300 <= status < 400:
            return self.failed(f"answered {status}; redirects are not followed, set the final address", retryable=False)
        # Cleaned before it is cut: half a secret would not be recognised.
        said = f"answered {status}: {self._clean(text)[:200]}" if text.strip() else f"answered {status}"
        wait = retry_seconds(retry_after, self._clock.now())
        return self.failed(said, retryable=is_retryable(status), retry_after=wait)


async def _start_of(response: aiohttp.ClientResponse) -> str:
    """Return the first bytes of the body, however many pieces they come in."""
    body = b""
    while len(body) < READ_BYTES and (piece := await response.content.read(READ_BYTES - len(body))):
        body += piece
    return body.decode(errors="replace")
