"""Is everything there that the service needs? Each check looks at one thing and says what to do about it."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import InferwatchError
from inferwatch.schemas.receivers import EmailReceiver, HttpReceiver, SlackReceiver
from inferwatch.schemas.settings import KafkaSettings, Settings

SECONDS = 5.0
SKEW_SECONDS = 30.0
SMALL_DISK_GB = 2.0


class Level(StrEnum):
    """How bad it is."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the check-up. ``remedy`` says what to do; empty when there is nothing to do."""

    level: Level
    what: str
    text: str
    remedy: str = ""


def checkup(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Yield the findings one by one, as they are made; no check stops the ones after it."""
    checks: tuple[tuple[str, Callable[[Settings, Clock], Iterator[Finding]]], ...] = (
        ("kafka", _kafka),
        ("store", _store),
        ("models", _models),
        ("judges", _judges),
        ("receivers", _receivers),
        ("disk", _disk),
    )
    for what, check in checks:
        try:
            yield from check(settings, clock)
        except InferwatchError as error:
            yield Finding(Level.FAIL, what, str(error))
        except Exception as error:  # a check must not take the others with it
            yield Finding(Level.FAIL, what, f"{type(error).__name__}: {error}", "this is unexpected: please report it")


def _kafka(settings: Settings, _: Clock) -> Iterator[Finding]:
    kafka = settings.kafka
    if kafka.bootstrap_servers is None:
        yield from _local_broker()
        return
    reached = 0
    for address in kafka.bootstrap_servers.split(","):
        host, _colon, port = address.strip().rpartition(":")
        fault = _connect_fault(host.strip("[]"), int(port)) if port.isdigit() and host else "must be host:port"
        reached += not fault
        yield (
            Finding(
                Level.FAIL, f"kafka {address.strip()}", fault, "correct kafka.bootstrap_servers, or start the broker"
            )
            if fault
            else Finding(Level.OK, f"kafka {address.strip()}", "accepts connections")
        )
    if reached:
        yield from _topics(kafka)


def _topics(kafka: KafkaSettings) -> Iterator[Finding]:
    from kafka.errors import (
        AuthorizationError,
        KafkaError,
        SaslAuthenticationFailedError,
        UnsupportedSaslMechanismError,
    )

    from inferwatch.infra.topics import ADMIN, connection

    options = connection(kafka) | {"request_timeout_ms": 10_000, "bootstrap_timeout_ms": 10_000}
    try:
        with ADMIN(**options) as admin:
            found = {topic["name"]: topic for topic in admin.describe_topics() if not topic.get("error_code")}
    except SaslAuthenticationFailedError as error:
        remedy = "correct kafka.sasl_username and kafka.sasl_password"
        yield Finding(Level.FAIL, "kafka login", f"the broker refused it: {error}", remedy)
    except UnsupportedSaslMechanismError:
        text = f"the broker does not offer {kafka.sasl_mechanism}"
        yield Finding(Level.FAIL, "kafka login", text, "correct kafka.sasl_mechanism")
    except AuthorizationError as error:
        yield Finding(Level.FAIL, "kafka rights", str(error), "grant the user Describe and Read on the topics")
    except (ssl.SSLError, OSError) as error:
        remedy = "check kafka.ssl_cafile, ssl_certfile and ssl_keyfile"
        yield Finding(Level.FAIL, "kafka TLS", str(error), remedy)
    except KafkaError as error:
        remedy = (
            f"the port answers, but not as {kafka.security_protocol}: check kafka.security_protocol, and that the "
            "broker's advertised.listeners can be reached from here"
        )
        yield Finding(Level.FAIL, "kafka", f"{type(error).__name__}: {error}", remedy)
    else:
        for name in (kafka.topic, kafka.feedback_topic, kafka.dead_letter_topic):
            if name not in found:
                remedy = "the worker creates it where it may; else create it with your cluster's tools"
                yield Finding(Level.WARN, f"topic {name}", "does not exist", remedy)
                continue
            yield Finding(Level.OK, f"topic {name}", f"{len(found[name]['partitions'])} partitions")


def _local_broker() -> Iterator[Finding]:
    missing = [name for name in ("java", "mvn") if shutil.which(name) is None]
    text = "kafka.bootstrap_servers is not set: up and demo start a broker on this machine"
    if missing:
        remedy = (
            "install Java 17 and Maven, or set kafka.bootstrap_servers (or INFERWATCH_KAFKA) to a broker's host:port"
        )
        yield Finding(Level.FAIL, "kafka", f"{text}, which needs {' and '.join(missing)}", remedy)
    else:
        yield Finding(Level.OK, "kafka", text)


def _store(settings: Settings, _: Clock) -> Iterator[Finding]:
    from inferwatch.infra.clickhouse.migrate import migrations
    from inferwatch.infra.clickhouse.store import ClickHouseStore
    from inferwatch.schemas.errors import Misconfigured, Permanent

    store = ClickHouseStore(settings.store.model_copy(update={"database": "default"}))
    question = "SELECT name FROM system.databases WHERE name = {database:String}"
    try:
        there = store.query(question, {"database": settings.store.database}).num_rows
        if not there:
            yield Finding(Level.WARN, "store", "answers, and has no tables yet", "run: inferwatch migrate")
            return
        journal = f"SELECT name FROM {settings.store.database}.schema_migrations FINAL"
        applied = set(store.query(journal)["name"].to_pylist())
    except Misconfigured as error:
        if not settings.store.embedded:
            raise
        fault = _service_fault(settings)
        if fault:
            yield Finding(Level.FAIL, "store", f"{error} ({fault})")
        else:
            yield Finding(Level.OK, "store", f"held by the running service, whose SQL answers at {settings.web.url}")
        return
    except Permanent as error:
        yield Finding(Level.FAIL, "store", str(error), "run: inferwatch migrate")
        return
    finally:
        store.close()
    missing = [one.name for one in migrations() if one.name not in applied]
    if missing:
        yield Finding(Level.WARN, "store", f"not applied yet: {', '.join(missing)}", "run: inferwatch migrate")
    else:
        yield Finding(Level.OK, "store", f"answers; {len(applied)} migrations applied")


def _service_fault(settings: Settings) -> str:
    from inferwatch.infra.web.client import ask
    from inferwatch.schemas.errors import Misconfigured

    try:
        answer = ask(settings.web, "POST", "", seconds=SECONDS, body=b"SELECT 1")
    except Misconfigured:
        return f"no service answers at {settings.web.url}"
    return "" if answer.status == 200 else f"the service at {settings.web.url} answers {answer.status}"


def _models(settings: Settings, clock: Clock) -> Iterator[Finding]:
    from inferwatch.detectors.encoder.load import load_encoder
    from inferwatch.detectors.registry import load_detectors
    from inferwatch.infra.configured_detectors import configured

    encoder = load_encoder(settings.encoder)
    texts = [f"Order {n} has not arrived, and nobody answers the phone. Where is parcel {n * 7}?" for n in range(128)]
    encoder.encode(["warm up"])
    started = clock.monotonic()
    encoder.encode(texts)
    rate = len(texts) / (clock.monotonic() - started)
    yield Finding(Level.OK, "encoder", f"{encoder.revision}, {encoder.dim} numbers, {rate:.0f} short texts/s")
    for detector in load_detectors(settings.detectors.enabled, encoder, configured(settings.detectors, clock)):
        emits = ", ".join(detector.emits)
        yield Finding(Level.OK, f"detector {detector.name}", f"version {detector.version}, scores {emits}")
    if not settings.detectors.enabled:
        text = "none is enabled: only latency, tokens, errors, cost and drift are watched"
        yield Finding(Level.WARN, "detectors", text, "set detectors.enabled")


def _judges(settings: Settings, clock: Clock) -> Iterator[Finding]:
    for name, judge in settings.detectors.judges.items():
        if name in settings.detectors.enabled:
            yield from _reach(f"judge {name}", judge.url, "detectors.judges", clock)


def _receivers(settings: Settings, clock: Clock) -> Iterator[Finding]:
    if not settings.rules:
        yield Finding(
            Level.WARN,
            "rules",
            "there are none, so nothing will ever alert but a score that goes blind",
            "add some under rules",
        )
    if not settings.receivers:
        text = "there are none: alerts are seen in the dashboard and in SQL only"
        yield Finding(Level.WARN, "receivers", text, "add some under receivers")
    for receiver in settings.receivers:
        if isinstance(receiver, EmailReceiver):
            yield from _mail_server(receiver)
        else:
            yield from _reach(f"receiver {receiver.name}", _address(receiver), "receivers", clock)


def _mail_server(receiver: EmailReceiver) -> Iterator[Finding]:
    what, where = f"receiver {receiver.name}", f"{receiver.host}:{receiver.port}"
    if fault := _connect_fault(receiver.host, receiver.port):
        yield Finding(Level.FAIL, what, f"{where} {fault}", "check host, port, DNS and the firewall")
        return
    remedy = f"try it: inferwatch receivers test {receiver.name}"
    yield Finding(Level.OK, what, f"{where} can be reached (nothing was sent; the password is not checked)", remedy)


def _address(receiver: HttpReceiver) -> str:
    if isinstance(receiver, SlackReceiver):
        return receiver.webhook_url.get_secret_value()
    return receiver.url if isinstance(receiver.url, str) else receiver.url.get_secret_value()


def _reach(what: str, address: str, section: str, clock: Clock) -> Iterator[Finding]:
    """Connect and ask HEAD of the host's root: that notifies nobody, costs nothing, and names no secret."""
    import urllib3

    parts = urlsplit(address)
    try:
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        host, port = "", 0
    if parts.scheme not in ("http", "https") or not host:
        yield Finding(Level.FAIL, what, "its address is not an http or https URL", f"correct it under {section}")
        return
    if fault := _connect_fault(host, port):
        yield Finding(Level.FAIL, what, f"{host}:{port} {fault}", "check the address, DNS and the firewall")
        return
    try:
        answer = urllib3.request("HEAD", f"{parts.scheme}://{parts.netloc}/", timeout=SECONDS, retries=False)
    except urllib3.exceptions.HTTPError as error:
        text = f"{host}:{port} connects but does not speak {parts.scheme}: {type(error).__name__}"
        yield Finding(Level.FAIL, what, text, "check the URL's scheme and the host's certificate")
        return
    yield Finding(Level.OK, what, f"{host}:{port} can be reached (nothing was sent; key and path are not checked)")
    if date := answer.headers.get("Date"):
        yield _skew(host, parsedate_to_datetime(date).astimezone(UTC), clock.now())


def _skew(host: str, theirs: datetime, ours: datetime) -> Finding:
    seconds = (ours - theirs).total_seconds()
    text = f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} {host}"
    if abs(seconds) > SKEW_SECONDS:
        remedy = "set this machine's clock (NTP): timestamps later than it, plus limits.max_future, are refused"
        return Finding(Level.WARN, "clock", text, remedy)
    return Finding(Level.OK, "clock", text)


def _disk(settings: Settings, _: Clock) -> Iterator[Finding]:
    from inferwatch.infra.clickhouse.connection import folder_of

    if not settings.store.embedded:
        return
    folder: Path = folder_of(settings.store)
    there = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(there).free / 1e9
    level = Level.OK if free > SMALL_DISK_GB else Level.FAIL
    remedy = "" if level is Level.OK else "free some space, or point store.dsn at another disk"
    yield Finding(level, "disk", f"{free:.1f} GB free for {folder}", remedy)


def _connect_fault(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=SECONDS).close()
    except socket.gaierror:
        return "its name cannot be resolved"
    except ConnectionRefusedError:
        return "refuses connections: nothing listens there"
    except TimeoutError:
        return f"does not answer within {SECONDS:.0f} s"
    except OSError as error:
        return f"cannot be reached: {error.strerror or error}"
    return ""
