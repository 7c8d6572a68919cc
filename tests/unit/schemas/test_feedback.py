"""Feedback off the wire: what the schema takes, the parser takes, and the other way round."""

import json
from pathlib import Path

import jsonschema
import pytest

from inferwatch.infra.cli.schema import rendered
from inferwatch.schemas.errors import InvalidRecord
from inferwatch.schemas.feedback import parse_feedback

FILE = Path(__file__).parents[3] / "schemas" / "wire" / "feedback.v1.json"
WIRE = json.loads(FILE.read_text())
THUMB = {"id": "a", "timestamp": "2026-01-31T08:00:00Z", "application": "support", "kind": "thumb", "value": 1}


def test_the_committed_wire_schema_is_the_generated_one() -> None:
    assert FILE.read_text() == rendered("feedback") + "\n"


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ({}, 1.0),
        ({"value": "up"}, 1.0),
        ({"value": "down"}, 0.0),
        ({"value": False}, 0.0),
        ({"kind": "rating", "value": -2.5}, -2.5),
        ({"timestamp": 1769846400000, "unknown": {"x": 1}}, 1.0),
        ({"kind": "label", "value": None, "label": "off topic"}, None),
        ({"kind": "correction", "value": None, "comment": "It is 7."}, None),
        ({"kind": "comment", "value": 3, "comment": "slow", "label": None}, 3.0),
    ],
)
def test_schema_and_parser_accept(change: dict[str, object], value: float | None) -> None:
    record = {name: given for name, given in (THUMB | change).items() if given is not None}
    jsonschema.validate(record, WIRE)
    assert parse_feedback(THUMB | change).value == value


@pytest.mark.parametrize(
    ("change", "reason", "named"),
    [
        ({"id": ""}, "wrong_type", "'id'"),
        ({"kind": "clap"}, "wrong_type", "'kind'"),
        ({"value": 2}, "wrong_type", "must be 1 .up. or 0 .down., got 2"),
        ({"value": "1"}, "wrong_type", "'value'"),
        ({"value": None}, "missing_field", "'thumb' feedback needs 'value'"),
        ({"kind": "rating", "value": 1e10}, "wrong_type", "'value'"),
        ({"kind": "label"}, "missing_field", "needs 'label'"),
        ({"kind": "correction", "comment": ""}, "missing_field", "needs 'comment'"),
        ({"timestamp": True}, "timestamp_invalid", "'timestamp'"),
        ({"schema_version": 2}, "unknown_schema_version", "must be 1 or absent, got 2"),
    ],
)
def test_schema_and_parser_refuse(change: dict[str, object], reason: str, named: str) -> None:
    with pytest.raises(InvalidRecord, match=named) as caught:
        parse_feedback(THUMB | change)
    assert caught.value.reason == reason
    record = {name: given for name, given in (THUMB | change).items() if given is not None}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record, WIRE)
