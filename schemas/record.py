"""What every record on the wire has: a version, a time, and a reason when it cannot be read."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, Field, ValidationError

from inferwatch.schemas.errors import InvalidRecord

EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)
"""Nothing logged an LLM call before this; an earlier time is a unit mistake (seconds for milliseconds)."""


def _instant(value: object) -> object:
    """Accept RFC 3339 text or epoch milliseconds; refuse what is neither."""
    if isinstance(value, bool):
        raise ValueError("must be RFC 3339 text or epoch milliseconds, got a boolean")
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise ValueError(f"must be finite, got {value}")
        try:
            return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=value)
        except OverflowError as error:
            raise ValueError(f"must be epoch milliseconds, got {value}") from error
    if isinstance(value, str) and not any(mark in value for mark in "Tt "):
        raise ValueError(f"must be RFC 3339 text or epoch milliseconds, got {value!r}")
    return value


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Instant = Annotated[AwareDatetime, BeforeValidator(_instant), AfterValidator(_utc)]
Name = Annotated[str, Field(min_length=1, max_length=512)]


class WireRecord(BaseModel):
    """What everything on the wire says: which inference, when, of which application."""

    id: Name
    timestamp: Instant
    application: Name


Record = TypeVar("Record", bound=WireRecord)


def parse_as(model: type[Record], version: int, data: object, latest: datetime | None) -> Record:
    """Build a ``model`` from decoded JSON.

    Args:
        model: what the record is.
        version: the ``schema_version`` it must have or leave out.
        data: what the JSON decoder returned.
        latest: a later ``timestamp`` is refused; pass the record's arrival time plus the allowed clock skew.

    Raises:
        InvalidRecord: with reason ``not_an_object``, ``missing_field``, ``wrong_type``, ``unknown_schema_version``,
            ``timestamp_invalid``, ``timestamp_too_old`` or ``timestamp_in_future``, or one that the model itself gives
            as ``reason: detail``.
    """
    if not isinstance(data, dict):
        raise InvalidRecord("not_an_object", f"a record must be a JSON object, got {type(data).__name__}")
    found = data.get("schema_version", version)
    if found != version or isinstance(found, bool):
        raise InvalidRecord(
            "unknown_schema_version", f"'schema_version' must be {version} or absent, got {found!r:.80}"
        )
    try:
        record = model.model_validate(data)
    except ValidationError as error:
        raise _explain(error) from error
    at = record.timestamp
    if at < EARLIEST:
        raise InvalidRecord(
            "timestamp_too_old",
            f"'timestamp' {at.isoformat()} is before {EARLIEST:%Y-%m-%d}; "
            f"numbers are epoch milliseconds, not seconds (got {data['timestamp']!r:.80})",
        )
    if latest is not None and at > latest:
        raise InvalidRecord(
            "timestamp_in_future", f"'timestamp' {at.isoformat()} is later than the allowed {latest.isoformat()}"
        )
    return record


def _explain(error: ValidationError) -> InvalidRecord:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "record"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return InvalidRecord("missing_field", f"'{field}' is required")
    if not first["loc"] and ": " in message:
        reason, _, detail = message.partition(": ")
        return InvalidRecord(reason, detail)
    value = repr(first.get("input"))[:80]
    if field == "timestamp":
        return InvalidRecord("timestamp_invalid", f"'timestamp': {message}; got {value}")
    return InvalidRecord("wrong_type", f"'{field}': {message}; got {value}")


def instant_schema(model: type[WireRecord]) -> dict[str, Any]:
    """Return the JSON Schema of ``timestamp``: the wire takes text or a number where the model holds one type."""
    return {
        "description": model.model_fields["timestamp"].description,
        "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number", "description": "epoch milliseconds"}],
    }
