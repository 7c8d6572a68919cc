"""Topics and connection settings for kafka-python; ``streams.kafka`` has the same settings for Faust."""

from __future__ import annotations

import socket
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    TopicAlreadyExistsError,
)

from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import MAX_RECORD_BYTES, KafkaSettings

ADMIN: Any = KafkaAdminClient  # kafka-python has no types
CONNECT_SECONDS = 10


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """Return what every kafka-python client needs to reach and enter the cluster."""
    found: dict[str, Any] = {
        "bootstrap_servers": [address.strip() for address in (settings.bootstrap_servers or "").split(",")],
        "bootstrap_timeout_ms": CONNECT_SECONDS * 1000,
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        found |= {
            "ssl_cafile": settings.ssl_cafile,
            "ssl_certfile": settings.ssl_certfile,
            "ssl_keyfile": settings.ssl_keyfile,
        }
    if settings.security_protocol.startswith("SASL"):
        found |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    return found


def unreachable(settings: KafkaSettings, error: Exception) -> Misconfigured:
    """Return what to tell when no broker let us in."""
    return Misconfigured(
        f"no Kafka broker answers at {settings.bootstrap_servers} (kafka.bootstrap_servers or INFERWATCH_KAFKA, "
        f"kafka.security_protocol={settings.security_protocol}): {type(error).__name__}: {error}"
    )


def reach(settings: KafkaSettings) -> None:
    """Return when one of the brokers accepts a connection: kafka-python would try, and warn, for a long time.

    Raises:
        Misconfigured: none does.
    """
    failures: list[Exception] = [ValueError("it must be host:port, or several separated by commas")]
    for address in (settings.bootstrap_servers or "").split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
        except (OSError, ValueError) as error:
            failures.append(error)
        else:
            return
    raise unreachable(settings, failures[-1]) from failures[-1]


def ensure_topics(settings: KafkaSettings) -> list[str]:
    """Create the topics of inferences, feedback and dead letters that do not exist; return the names of those created.

    An existing topic is left as it is, whatever its number of partitions.

    Raises:
        Misconfigured: no broker answers, or we may not create a topic.
    """
    reach(settings)
    wanted = {
        settings.topic: settings.partitions,
        settings.feedback_topic: settings.partitions,
        settings.dead_letter_topic: 1,
    }
    try:
        with ADMIN(**connection(settings)) as admin:
            known = set(admin.list_topics())
            missing = [name for name in wanted if name not in known]
            for name in missing:
                configs = {"max.message.bytes": str(MAX_RECORD_BYTES)}
                try:
                    admin.create_topics({name: {"num_partitions": wanted[name], "configs": configs}})
                except TopicAlreadyExistsError:
                    continue
            if missing:
                admin.wait_for_topics(missing)
            return missing
    except AuthorizationError as error:
        raise Misconfigured(
            f"not allowed to create the topics {missing}: create them by hand or grant the right ({error})"
        ) from error
    except (KafkaError, OSError) as error:
        raise unreachable(settings, error) from error
