"""One call of an OpenAI-compatible chat API: the request, and what came of it as a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import urllib3

from inferwatch.infra.judge.verdict import SCHEMA
from inferwatch.infra.outbound import checked_address, is_retryable, retry_seconds, secret_parts
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.judge import JudgeSettings

MOST_BYTES = 1024 * 1024
_PIECE = 16 * 1024
_CODE = re.compile(r"[\w.-]{1,60}")


@dataclass(frozen=True, slots=True)
class Reply:
    """The model's answer, and what it cost; ``text`` is empty where the model refused or did not finish."""

    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer.

    Attributes:
        what: for the log; holds no secret, and nothing of the texts.
        retryable: whether the same call may succeed later.
        of_row: whether it is about this row only, rather than about the judge.
        retry_after: seconds the server asked to wait.
    """

    what: str
    retryable: bool
    of_row: bool = False
    retry_after: float | None = None


class Chat:
    """Asks one model at one address. Redirects are not followed, proxies of the environment not used.

    Args:
        settings: where, whom and how.
        place: of the settings in the configuration, for messages.
        clock: for deadlines and a Retry-After that is a date.

    Raises:
        Misconfigured: the address is not one that texts may be sent to, or the key cannot be sent.
    """

    def __init__(self, settings: JudgeSettings, place: str, clock: Clock) -> None:
        base = checked_address(f"{place}.url", settings.url, plain=settings.plain_http)
        self._url = f"{base.rstrip('/')}/chat/completions"
        self._settings = settings
        self._clock = clock
        key = settings.api_key.get_secret_value()
        self._headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "inferwatch"}
        if not (key.isascii() and key.isprintable()):
            raise Misconfigured(f"{place}.api_key must be printable ASCII, which a header can carry")
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._secrets = secret_parts(self._url, [key])
        self._pool = urllib3.PoolManager(maxsize=settings.concurrency, retries=False)

    def body(self, system: str, user: str) -> bytes:
        """Return the request that puts ``user`` to the model under ``system``."""
        settings = self._settings
        asked: dict[str, Any] = {
            "model": settings.model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
            settings.answer_limit: settings.answer_tokens,
        }
        if settings.temperature is not None:
            asked["temperature"] = settings.temperature
        if settings.seed is not None:
            asked["seed"] = settings.seed
        if settings.answer_format == "json_schema":
            asked["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "verdict", "strict": True, "schema": SCHEMA},
            }
        elif settings.answer_format == "json_object":
            asked["response_format"] = {"type": "json_object"}
        return orjson.dumps(asked)

    def ask(self, body: bytes, until: float) -> Reply | Failure:
        """Send one request and wait for the whole answer, for ``timeout`` and no longer than ``until`` on the timer."""
        until = min(until, self._clock.monotonic() + self._settings.timeout.total_seconds())
        try:
            response = self._pool.request(
                "POST",
                self._url,
                body=body,
                headers=self._headers,
                timeout=urllib3.Timeout(total=max(0.001, until - self._clock.monotonic())),
                preload_content=False,
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # The library's message quotes the address.
            return Failure(f"no answer ({type(error).__name__})", retryable=True)
        whole = False
        try:
            found = _read(response, until, self._clock.monotonic)
            whole = found is not None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Failure(f"the answer broke off ({type(error).__name__})", retryable=True)
        finally:
            # Kept open for the next call only when nothing of this one is left in it.
            response.release_conn() if whole else response.close()
        if found is None:
            return Failure(f"no whole answer in time or within {MOST_BYTES} bytes", retryable=True)
        if response.status != 200:
            return self._refused(response, found)
        return _reply(found)

    def _refused(self, response: urllib3.BaseHTTPResponse, body: bytes) -> Failure:
        status = response.status
        said = f"answered {status}{_code(body)}"
        for secret in self._secrets:
            said = said.replace(secret, "[secret]")
        wait = retry_seconds(response.headers.get("Retry-After"), self._clock.now())
        return Failure(said, retryable=is_retryable(status), of_row=status in (400, 413, 422), retry_after=wait)


def _read(response: urllib3.BaseHTTPResponse, until: float, timer: Callable[[], float]) -> bytes | None:
    """Return the body; None where it is too long or comes too slowly. A time limit of the socket is for each piece."""
    body = b""
    while piece := response.read1(_PIECE):
        body += piece
        if len(body) > MOST_BYTES or timer() > until:
            return None
    return body


def _reply(body: bytes) -> Reply | Failure:
    try:
        found = orjson.loads(body)
        choice, usage = found["choices"][0], found.get("usage")
        text, ended = choice["message"].get("content"), choice.get("finish_reason")
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError):
        return Failure("answered 200 with something that is no chat completion", retryable=True)
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    done = isinstance(text, str) and ended in (None, "stop")
    return Reply(text if done else "", tokens if isinstance(tokens, int) and tokens > 0 else 0)


def _code(body: bytes) -> str:
    """Return what kind of error the API names. Its message is left out: that may quote the texts."""
    try:
        error = orjson.loads(body)["error"]
        named = [error.get(part) for part in ("type", "code", "param")]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return ""
    known = dict.fromkeys(one for one in named if isinstance(one, str) and _CODE.fullmatch(one))
    return f" ({', '.join(known)})" if known else ""
