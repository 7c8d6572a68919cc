"""Raw bytes -> InferenceLog, or a reason why not. Pure: the same record always decodes the same way."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import orjson

from inferwatch.schemas.errors import InvalidRecord
from inferwatch.schemas.inference import InferenceLog, parse
from inferwatch.streams.ports import RawRecord

T = TypeVar("T", covariant=True)


class Parse(Protocol[T]):
    """Turns decoded JSON into a record; a ``timestamp`` after ``latest`` is refused."""

    def __call__(self, data: object, *, latest: datetime) -> T: ...


def decode(record: RawRecord, *, max_future: timedelta) -> InferenceLog:
    """Read one inference log; see ``decode_as``."""
    return decode_as(parse, record, max_future=max_future)


def decode_as(parse: Parse[T], record: RawRecord, *, max_future: timedelta) -> T:
    """Read one record.

    A timestamp may lie at most ``max_future`` after the moment the record was written to its source. That
    moment is part of the record, so a redelivered record is judged as it was the first time.

    Raises:
        InvalidRecord: ``tombstone``, ``not_utf8``, ``not_finite``, ``invalid_json``, or a reason of
            ``inferwatch.schemas.record.parse_as``.
    """
    if record.value is None:
        raise InvalidRecord("tombstone", "the record has no value; it must have one")
    try:
        data = orjson.loads(record.value)
    except orjson.JSONDecodeError as error:
        raise _explain(record.value, error) from error
    return parse(data, latest=record.timestamp + max_future)


def _explain(value: bytes, error: orjson.JSONDecodeError) -> InvalidRecord:
    try:
        text = value.decode()
    except UnicodeDecodeError as broken:
        return InvalidRecord("not_utf8", f"byte {broken.start} is not UTF-8; records must be UTF-8 JSON")
    constants: list[str] = []
    try:
        json.loads(text, parse_constant=constants.append)
    except (ValueError, RecursionError):
        constants.clear()
    if constants:
        return InvalidRecord("not_finite", f"{constants[0]} is not a JSON number; leave the field out or send null")
    return InvalidRecord("invalid_json", f"{error.msg} at line {error.lineno} column {error.colno}")
