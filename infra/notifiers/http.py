"""One way to send over HTTP: JSON, to one address, and what each answer means for a retry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr

from inferwatch.infra.addresses import Forbidden, Guard, literal
from inferwatch.infra.notifiers.resolver import GuardedResolver
from inferwatch.infra.outbound import checked_address, is_retryable, retry_seconds, secret_parts
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import DeliveryError, Misconfigured

TIMEOUT = 10.0
"""Seconds a receiver has to answer."""
READ_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said to an accepted request."""

    status: int
    body: str
    retry_after: float | None = None


class Sender:
    """Sends JSON to one secret address. The address shows in no message, no repr and no exception.

    Redirects are not followed, proxies of the environment not used, and no address reached that ``allow`` would have to
    name (see ``infra.addresses``).

    Args:
        name: the receiver's name, for messages.
        url: https, or http to a loopback address or, with ``plain``, to any.
        clock: to read a Retry-After that is a date.
        timeout: seconds for the whole exchange.
        authorization: sent as the header Authorization; None: as the address has it.
        secrets: more texts that must show nowhere.
        allow: networks that may be reached although they are refused otherwise.
        plain: whether http to another machine is wanted.
        read_bytes: how much of an answer is read.

    Raises:
        Misconfigured: the address is none of these.
    """

    def __init__(
        self,
        name: str,
        url: SecretStr,
        clock: Clock,
        *,
        timeout: float = TIMEOUT,
        authorization: SecretStr | None = None,
        secrets: Sequence[str] = (),
        allow: Sequence[str] = (),
        plain: bool = False,
        read_bytes: int = READ_BYTES,
    ) -> None:
        self._name = name
        what = f"receivers: the address of {name!r}"
        self._url = checked_address(what, url.get_secret_value(), plain=plain)
        self._authorization = authorization
        if authorization is not None:
            value = authorization.get_secret_value()
            if not (value.isascii() and value.isprintable()):
                raise Misconfigured(f"receivers: the authorization of {name!r} must be one line of printable ASCII")
            secrets = (*secrets, value)
            if "@" in urlsplit(self._url).netloc:
                raise Misconfigured(f"{what} must be without user and password: an Authorization header is sent")
        self._guard = Guard(tuple(allow))
        if (address := literal(urlsplit(self._url).hostname or "")) is not None:
            try:
                self._guard.check(address)
            except Forbidden as error:
                raise Misconfigured(f"{what} must not be reached: {error}") from None
        self._secrets = secret_parts(self._url, secrets)
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._read_bytes = read_bytes
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, headers: Mapping[str, str] | None = None, path: str = "") -> Answer:
        """Send one request; ``path`` is added to the address.

        Raises:
            DeliveryError: it was not accepted. 408, 425, 429 and 5xx, and failures of the network, are retryable;
                redirects and every other 4xx are not.
        """
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=GuardedResolver(self._guard), use_dns_cache=False)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        sent = {"Content-Type": "application/json"} | dict(headers or {})
        if self._authorization is not None:
            sent["Authorization"] = self._authorization.get_secret_value()
        try:
            async with self._session.post(
                self._url + path, data=BytesIO(body), headers=sent, allow_redirects=False
            ) as response:
                text = await _start_of(response, self._read_bytes)
                wait = retry_seconds(response.headers.get("Retry-After"), self._clock.now())
                if response.status >= 300:
                    raise self._refused(response.status, text, wait)
                return Answer(response.status, text, wait)
        except Forbidden as error:
            # Names are mended: what is refused now is tried again, and said each time.
            raise self.failed(f"not sent: {error}", retryable=True) from None
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

    def _refused(self, status: int, text: str, wait: float | None) -> DeliveryError:
        if 300 <= status < 400:
            return self.failed(f"answered {status}; redirects are not followed, set the final address", retryable=False)
        # Cleaned before it is cut: half a secret would not be recognised.
        said = f"answered {status}: {self._clean(text)[:200]}" if text.strip() else f"answered {status}"
        return self.failed(said, retryable=is_retryable(status), retry_after=wait)


async def _start_of(response: aiohttp.ClientResponse, most: int) -> str:
    """Return the first bytes of the body, however many pieces they come in."""
    body = b""
    while len(body) < most and (piece := await response.content.read(most - len(body))):
        body += piece
    return body.decode(errors="replace")
