"""Which reaction an engine's error code asks for."""

from __future__ import annotations

import re

from clickhouse_connect.driver.exceptions import DataError, Error, OperationalError, ProgrammingError

from inferwatch.schemas.errors import InferwatchError, Misconfigured, Permanent, StoreUnavailable

RETRYABLE = frozenset(
    {
        # the disk: full, or out of file descriptors
        74,  # CANNOT_READ_FROM_FILE_DESCRIPTOR
        75,  # CANNOT_WRITE_TO_FILE_DESCRIPTOR
        76,  # CANNOT_OPEN_FILE
        243,  # NOT_ENOUGH_SPACE
        # the load: comes down by itself
        159,  # TIMEOUT_EXCEEDED
        160,  # TOO_SLOW
        201,  # QUOTA_EXCEEDED
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        241,  # MEMORY_LIMIT_EXCEEDED
        252,  # TOO_MANY_PARTS
        439,  # CANNOT_SCHEDULE_TASK
        473,  # DEADLOCK_AVOIDED
        745,  # SERVER_OVERLOADED
        # the network
        198,  # DNS_ERROR
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        279,  # ALL_CONNECTION_TRIES_FAILED
        # the cluster: keeper away, replica read-only, quorum missing, object storage hiccup
        225,  # NO_ZOOKEEPER
        242,  # TABLE_IS_READ_ONLY
        244,  # UNEXPECTED_ZOOKEEPER_ERROR
        254,  # NO_ACTIVE_REPLICAS
        285,  # TOO_FEW_LIVE_REPLICAS
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        319,  # UNKNOWN_STATUS_OF_INSERT: safe to repeat, the token makes it once
        335,  # BARRIER_TIMEOUT
        499,  # S3_ERROR
        999,  # KEEPER_EXCEPTION
        # stopped from outside
        236,  # ABORTED
        394,  # QUERY_WAS_CANCELLED
        # the machine: the embedded engine reports a full disk in some of its paths as a plain C++ exception
        425,  # SYSTEM_ERROR
        1000,  # POCO_EXCEPTION
        1001,  # STD_EXCEPTION
    }
)
LOGIN = frozenset({192, 193, 194, 497, 516})  # UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, ACCESS_DENIED, …
UNKNOWN_DATABASE = 81

_CODE = re.compile(r"\bCode:\s*(\d+)")


def code_of(error: BaseException) -> int | None:
    """Return the engine's error code, if the error carries one."""
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return code
    found = _CODE.search(str(error))
    return int(found[1]) if found else None


def failure(error: Exception, doing: str) -> InferwatchError:
    """Return the exception to raise instead of ``error``, met while ``doing`` something."""
    code = code_of(error)
    message = f"cannot {doing}: {error}"
    if code == UNKNOWN_DATABASE:
        return Misconfigured(f"{message}; run: inferwatch migrate")
    if code in LOGIN:
        return Misconfigured(f"{message}; check user, password and grants of store.dsn")
    if code in RETRYABLE:
        return StoreUnavailable(message)
    if code is None and _from_outside(error):
        return StoreUnavailable(message)
    return Permanent(message)


def _from_outside(error: Exception) -> bool:
    """Without a code the engine did not judge the statement: the network, a proxy or the disk failed.

    Except where clickhouse-connect refused the call itself, before sending it.
    """
    if isinstance(error, OperationalError | OSError):
        return True
    return isinstance(error, Error) and not isinstance(error, ProgrammingError | DataError)
