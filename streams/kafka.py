"""Faust, fitted: the only file that imports it.

Faust consumes, assigns partitions, commits offsets and keeps the group membership alive. Everything it would do with
the records itself is off: no tables, no acknowledgement of its own, no retries.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeVar, cast

import faust
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from mode.services import WaitResults

from inferwatch.schemas.settings import MAX_RECORD_BYTES, KafkaSettings

FETCH_BYTES = 1024 * 1024
"""Of one partition at a time; a larger record comes alone."""
FETCH_AT_LEAST, FETCH_WAIT = 64 * 1024, 0.1
"""A fetch is answered when this much is there, or after so many seconds: else every record is a round trip."""
METADATA_SECONDS = 5.0
NEVER_SECONDS = 10 * 365 * 86_400.0

Partition = faust.types.TP
"""A topic and the number of one of its partitions."""
T = TypeVar("T")


class Event(faust.Event):
    """Acknowledged by us alone: when a rebalance makes Faust skip an event, it acknowledges it too."""

    def ack(self) -> bool:
        return False

    def stored(self) -> None:
        super().ack()


class _Thread(AIOKafkaConsumerThread):
    """Fetches what has come in a tenth of a second at once; Faust has no setting for it."""

    def _create_consumer(self, loop: asyncio.AbstractEventLoop) -> Any:
        consumer = super()._create_consumer(loop)
        consumer._fetch_min_bytes, consumer._fetch_max_wait_ms = FETCH_AT_LEAST, int(1000 * FETCH_WAIT)
        return consumer


class _Consumer(Consumer):
    """Hands a record over without four tasks of its own, and leaves nothing uncommitted that was acknowledged."""

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what is acknowledged by now.

        Called while another commit is under way, Faust's own waits for that one and does nothing else. The last
        commit before a worker leaves would then be without what was acknowledged since.
        """
        await self.maybe_wait_for_commit_to_finish()
        return bool(await super().commit(topics, start_new_transaction=start_new_transaction))

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:  # noqa: ASYNC109
        """Wait only for what does not end at once.

        For every record Faust waits for the first of: handed over, flow suspended, stopped, crashed, each in a task.
        Handing over nearly always ends at once; only when it does not is there anything to wait for.
        """
        first, *others = coros
        if not inspect.iscoroutine(first):
            return await super().wait_first(*coros, timeout=timeout)
        try:
            blocked_on = first.send(None)
        except StopIteration as done:
            for other in others:
                other.close()
            return WaitResults([first], [done.value], self.should_stop)
        return await super().wait_first(_GoingOn(first, blocked_on), *others, timeout=timeout)


class _GoingOn(Awaitable[T]):
    """The rest of a coroutine whose first step is done and waits for ``blocked_on``."""

    def __init__(self, coroutine: Coroutine[Any, None, T], blocked_on: Any) -> None:
        self._coroutine = coroutine
        self._blocked_on = blocked_on

    def __await__(self) -> Generator[Any, None, T]:
        blocked_on = self._blocked_on
        while True:
            step: Callable[[], Any]
            try:
                yield blocked_on
            except BaseException as error:
                step = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, None)
            try:
                blocked_on = step()
            except StopIteration as done:
                return cast(T, done.value)


class _Transport(Transport):
    Consumer = _Consumer


class _App(faust.App):
    """Faust with our consumer, whatever the address says."""

    def _new_transport(self) -> Any:
        return _Transport(self.conf.broker_consumer, self)

    def on_init_dependencies(self) -> list[Any]:
        """Leave out Faust's own monitor: nobody reads it, and it takes down every record four times."""
        needed = list(super().on_init_dependencies())
        self.sensors.remove(self.monitor)
        return [one for one in needed if one is not self.monitor]


def app(settings: KafkaSettings) -> Any:
    """Return a Faust application, not yet started, that consumes as ``settings`` say."""
    if not settings.bootstrap_servers:
        raise ValueError("kafka.bootstrap_servers must be set")
    session = settings.session_timeout.total_seconds()
    return _App(
        settings.group_id,
        broker=[f"kafka://{address.strip()}" for address in settings.bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings),
        broker_session_timeout=session,
        broker_heartbeat_interval=session / 10,
        # aiokafka would leave the group after this long and, with nothing taken, never come back: an outage of the
        # store must not do that. KafkaStream bounds the scoring of a batch itself.
        broker_max_poll_interval=NEVER_SECONDS,
        broker_commit_interval=1.0,
        # A broker that has just come back may not know the topic yet. The member that shares out the partitions then
        # shares out none, and the group stands still until it looks again: by default after five minutes.
        consumer_metadata_max_age_ms=int(METADATA_SECONDS * 1000),
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=FETCH_BYTES,
        producer_max_request_size=MAX_RECORD_BYTES,
        producer_acks=-1,
        # Three batches in work and two waiting: the bound on what a worker holds in memory.
        stream_buffer_maxsize=2 * settings.batch_records,
        stream_wait_empty=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        Event=Event,
        agent_supervisor="mode.CrashingSupervisor",
        web_enabled=False,
        store="memory://",
        datadir=tempfile.gettempdir(),
    )


def _credentials(settings: KafkaSettings) -> Any:
    if settings.security_protocol == "PLAINTEXT":
        return None
    context = None
    if settings.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=settings.ssl_cafile)
        if settings.ssl_certfile:
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile)
    if settings.security_protocol == "SSL":
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=settings.sasl_username,
        password=settings.sasl_password.get_secret_value(),
        mechanism=settings.sasl_mechanism,
        ssl_context=context,
    )
