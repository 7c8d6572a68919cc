"""``inferwatch produce``: the records of log files into Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from inferwatch.infra.cli.options import pass_settings

if TYPE_CHECKING:
    from inferwatch.schemas.settings import KafkaSettings, Settings


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Records a second; default: all at once.")
@click.option("--feedback", is_flag=True, help="FILES hold feedback, not inferences.")
@click.option("--topic", help="Default: kafka.topic, or kafka.feedback_topic with --feedback.")
@pass_settings
def produce(settings: Settings, files: tuple[str, ...], rate: float | None, feedback: bool, topic: str | None) -> None:
    """Send the records of FILES to Kafka, keyed by application.

    FILES are JSON lines or one JSON array, plain or .gz; - is standard input. Records go as they are; what cannot be
    read ends in the dead letters. Without a configured broker, the one that `inferwatch up` runs in this folder is
    used.
    """
    from inferwatch.infra.topics import ensure_topics
    from inferwatch.schemas.errors import Permanent

    kafka = reachable(settings.kafka)
    if topic is not None:
        kafka = kafka.model_copy(update={"feedback_topic" if feedback else "topic": topic})
    ensure_topics(kafka)
    topic = kafka.feedback_topic if feedback else kafka.topic
    sent, failures = _send(kafka, topic, files, rate)
    refused = sum(failures.values())
    click.echo(f"{sent - refused} of {sent} records acknowledged by {kafka.bootstrap_servers}, topic {topic}")
    if refused:
        raise Permanent(f"{refused} records were not acknowledged: {failures}")


def reachable(kafka: KafkaSettings) -> KafkaSettings:
    """Return the settings with a broker's address: the configured one, else the one `inferwatch up` runs here."""
    from inferwatch.infra.local.broker import DATA, running
    from inferwatch.schemas.errors import Misconfigured

    if kafka.bootstrap_servers is not None:
        return kafka
    address = running(DATA)
    if address is None:
        raise Misconfigured(
            "kafka.bootstrap_servers is not set and no `inferwatch up` runs a broker in this folder: "
            "name a broker there or in INFERWATCH_KAFKA"
        )
    return kafka.model_copy(update={"bootstrap_servers": address})


def _send(kafka: KafkaSettings, topic: str, files: tuple[str, ...], rate: float | None) -> tuple[int, dict[str, int]]:
    """Return how many records were sent, and how many of them failed, by kind of error."""
    from collections import Counter
    from threading import Event

    from kafka import KafkaProducer
    from kafka.errors import KafkaError
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from inferwatch.infra.topics import connection
    from inferwatch.schemas.clock import SystemClock
    from inferwatch.schemas.settings import MAX_RECORD_BYTES
    from inferwatch.streams.logfiles import values

    new: Any = KafkaProducer  # kafka-python has no types
    clock = SystemClock()
    failures: Counter[str] = Counter()
    sent = 0
    columns = (TextColumn("{task.description}"), TextColumn("{task.completed:,} records"), TimeElapsedColumn())
    limits = {"linger_ms": 20, "batch_size": 256 * 1024, "max_request_size": MAX_RECORD_BYTES}
    producer: Any = new(**connection(kafka), **limits)
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            started = clock.monotonic()
            for name in files:
                task = progress.add_task(name, total=None)
                for line in values(name):
                    if rate is not None and (early := started + sent / rate - clock.monotonic()) > 0:
                        Event().wait(early)
                    sent += 1
                    try:
                        future = producer.send(topic, value=line, key=_application(line))
                    except (KafkaError, AssertionError, ValueError) as error:
                        failures[type(error).__name__] += 1
                        continue
                    future.add_errback(lambda error: failures.update([type(error).__name__]))
                    progress.advance(task)
            producer.flush()
    finally:
        producer.close()
    return sent, dict(failures)


def _application(line: bytes) -> bytes | None:
    """Return the record's key; a line that is no log is sent without one."""
    import orjson

    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    application = record.get("application") if isinstance(record, dict) else None
    return application.encode() if isinstance(application, str) else None
