"""A one-node Apache Kafka on this machine, for the demo, for ``inferwatch up`` and for tests."""

from __future__ import annotations

import base64
import fcntl
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from inferwatch.infra.local import jars, keeper
from inferwatch.infra.local.ports import HOST, free_port
from inferwatch.schemas.clock import Clock, SystemClock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import MAX_RECORD_BYTES

ADMIN: Any = KafkaAdminClient  # kafka-python has no types
START_SECONDS = 90.0
STOP_SECONDS = 20.0
ADDRESS_FILE = "bootstrap_servers"
LOCK_FILE = "lock"
DATA = Path(".inferwatch/kafka")
"""Where ``inferwatch up`` keeps its broker's data: beside the embedded store, in the folder it is started in."""

PROPERTIES = f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{HOST}:%(controller)d
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{HOST}:%(port)d,CONTROLLER://{HOST}:%(controller)d
advertised.listeners=PLAINTEXT://{HOST}:%(port)d
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=%(logs)s
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# It shares its machine with a worker, and has few clients: the threads that Kafka starts for many, its two no-op
# records a second and the JVM's counters cost an idle broker twice the processor time it needs.
num.network.threads=1
num.io.threads=2
metadata.max.idle.interval.ms=0
message.max.bytes={MAX_RECORD_BYTES}
replica.fetch.max.bytes={MAX_RECORD_BYTES}
"""


class LocalKafka:
    """A broker that lives no longer than this process, however this process ends.

    Args:
        data_dir: where its data stays; None for a temporary folder that is removed at the end.
        port: where it listens on 127.0.0.1; 0 for a free one. A restart keeps the port.
        clock: for giving up on a broker that does not come up.

    >>> with LocalKafka() as broker:  # doctest: +SKIP
    ...     print(broker.bootstrap_servers)
    127.0.0.1:40961
    """

    def __init__(self, data_dir: Path | None = None, *, port: int = 0, clock: Clock | None = None) -> None:
        self._keep = data_dir is not None
        self._data = data_dir
        self._port = port
        self._clock = clock or SystemClock()
        self._keeper: subprocess.Popen[bytes] | None = None
        self.pid: int | None = None

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` for clients."""
        if not self._port:
            raise ValueError("the broker has no address before its first start()")
        return f"{HOST}:{self._port}"

    @property
    def log(self) -> Path:
        """What the broker itself says."""
        return self._folder / "broker.log"

    @property
    def _folder(self) -> Path:
        if self._data is None:
            self._data = Path(tempfile.mkdtemp(prefix="inferwatch-kafka-"))
        return self._data

    @property
    def _meta(self) -> Path:
        return self._folder / "log" / "meta.properties"

    def start(self) -> None:
        """Return when the broker answers metadata requests; fetches Apache Kafka before, the first time.

        Raises:
            Misconfigured: no Java, no Maven, a taken port or folder; the message says which.
        """
        if self._keeper is not None:
            return
        java, folder = jars.java(), jars.fetch()
        with resources.as_file(resources.files(__package__).joinpath("log4j2.xml")) as log4j:
            run = [java, f"-Dlog4j2.configurationFile={log4j}", "-cp", f"{folder}/*"]
            self._folder.mkdir(parents=True, exist_ok=True)
            if not self._port:
                self._port = free_port()
            try:
                with self._alone() as lock:
                    config = self._configure()
                    self._format(run, config)
                    self._launch(run, config, lock)
                self._wait()
            except BaseException:
                self.stop()
                raise
        (self._folder / ADDRESS_FILE).write_text(self.bootstrap_servers)

    def stop(self) -> None:
        """End the broker in an orderly way, by force after 20 s, and remove a temporary data folder."""
        self.pause()
        if not self._keep and self._data is not None:
            shutil.rmtree(self._data, ignore_errors=True)
            self._data = None

    def pause(self) -> None:
        """End the broker like ``stop`` but keep its data even if temporary; ``start`` brings it back as it was."""
        if self._keeper is None:
            return
        (self._folder / ADDRESS_FILE).unlink(missing_ok=True)
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()
        try:
            self._keeper.wait(STOP_SECONDS + 5)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        if self._keeper.stdout is not None:
            self._keeper.stdout.close()
        self._keeper, self.pid = None, None

    def __enter__(self) -> LocalKafka:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """Hold the folder's lock and yield it.

        Kafka itself looks for another broker in its folder only after it has appended to the log of metadata, which
        breaks the broker that was there first.
        """
        with (self._folder / LOCK_FILE).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                address = running(self._folder) or "an address it has not said yet"
                raise Misconfigured(
                    f"a broker of another process has its data in {self._folder} and answers at {address}: "
                    "use that one (INFERWATCH_KAFKA), stop it, or start in another folder"
                ) from None
            yield lock.fileno()

    def _configure(self) -> Path:
        logs = (self._folder / "log").resolve()
        config = self._folder / "server.properties"
        values = {"port": self._port, "controller": free_port(), "logs": str(logs).replace("\\", "\\\\")}
        config.write_text(PROPERTIES % values)
        return config

    def _format(self, run: list[str], config: Path) -> None:
        if self._meta.exists():
            return
        # The tool takes a leading dash for an option.
        cluster = "i" + base64.urlsafe_b64encode(uuid.uuid4().bytes)[:21].decode()
        tool = [*run[:1], "-XX:TieredStopAtLevel=1", *run[1:], "kafka.tools.StorageTool", "format"]
        done = subprocess.run(  # noqa: S603
            [*tool, "--cluster-id", cluster, "--config", str(config)], capture_output=True, text=True, timeout=120
        )
        if done.returncode != 0:
            raise Misconfigured(f"Kafka cannot use {self._folder}: {(done.stderr or done.stdout).strip()[-500:]}")

    def _launch(self, run: list[str], config: Path, lock: int) -> None:
        # No second compiler: on a machine that it shares with everything else it costs more than it saves.
        small = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"]
        heap = ["-Xms128m", "-Xmx512m", *small, "-XX:+ExitOnOutOfMemoryError"]
        command = [*run[:1], *heap, *run[1:], "kafka.Kafka", str(config)]
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal must reach the worker, which still needs the broker then.
            self._keeper = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", str(keeper.__file__), str(STOP_SECONDS), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                pass_fds=[lock],  # kept by keeper and broker: it is free when both are gone, however they went
            )
        line = self._keeper.stdout.readline() if self._keeper.stdout is not None else b""
        self.pid = int(line) if line.strip() else None

    def _wait(self) -> None:
        deadline = self._clock.monotonic() + START_SECONDS
        while not self._answers():
            gone = self._keeper is None or self._keeper.poll() is not None
            if gone or self._clock.monotonic() > deadline:
                what = "ended at once" if gone else f"did not answer within {START_SECONDS:.0f} s"
                raise Misconfigured(
                    f"the local Kafka on {self.bootstrap_servers} with data in {self._folder} {what}; "
                    f"is something else using the port? Its log ends: {self._last_words()}"
                )
            try:
                if self._keeper is not None:
                    self._keeper.wait(0.1)
            except subprocess.TimeoutExpired:
                continue

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self._port), timeout=1).close()
            with_limit = {"bootstrap_timeout_ms": 2000, "request_timeout_ms": 5000}
            with ADMIN(bootstrap_servers=self.bootstrap_servers, **with_limit) as admin:
                cluster = admin.describe_cluster()
                # Somebody else's broker may hold the port until ours has found that out.
                ours = f"cluster.id={cluster['cluster_id']}" in self._meta.read_text().split()
                # Asking for a group's offsets makes the broker create its offsets topic now, and not, with errors in
                # the log, when the first worker joins.
                return ours and bool(cluster["brokers"]) and bool(admin.list_group_offsets(["ready"]))
        except (OSError, KafkaError):
            return False

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        telling = [line for line in lines if " ERROR " in line or " FATAL " in line or "Exception" in line]
        return " | ".join((telling or lines)[-3:])[-600:] or "(nothing)"


def running(data_dir: Path) -> str | None:
    """Return the address of the broker that a living process runs on ``data_dir``, if any."""
    try:
        address = (data_dir / ADDRESS_FILE).read_text().strip()
        host, port = address.rsplit(":", 1)
        socket.create_connection((host, int(port)), timeout=1).close()
    except (OSError, ValueError):
        return None
    return address
