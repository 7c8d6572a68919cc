"""Feedback v1: what somebody said about one inference, as it comes off the wire, often hours later.

It names its inference by ``application`` and ``id``; either may arrive first.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from inferwatch.schemas.record import Instant, Name, WireRecord, instant_schema, parse_as

SCHEMA_VERSION = 1
BEFORE = timedelta(hours=1)
"""Feedback may bear a time this long before that of its inference: clocks differ, and a call is logged at its end."""
LARGEST = 1e9
KINDS = ("thumb", "rating", "label", "correction", "comment")

_THUMBS = {"up": 1.0, "down": 0.0, True: 1.0, False: 0.0}
_NEEDS = {"thumb": "value", "rating": "value", "label": "label", "correction": "comment", "comment": "comment"}


def _number(value: object) -> object:
    """Accept thumbs as words and booleans."""
    return _THUMBS.get(value, value) if isinstance(value, str | bool) else value


Value = Annotated[float, BeforeValidator(_number), Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False, strict=True)]


class Feedback(WireRecord):
    """One judgement of one inference. Unknown fields are ignored; null is absent."""

    model_config = ConfigDict(frozen=True, extra="ignore", title="Feedback v1")

    schema_version: Literal[1] = 1
    id: Name = Field(description="The id of the inference it is about.")
    application: Name = Field(description="The application of that inference.")
    timestamp: Instant = Field(description="When it was given: RFC 3339 with zone, or epoch milliseconds.")
    kind: Literal["thumb", "rating", "label", "correction", "comment"]
    value: Value | None = Field(default=None, description="thumb: 1 or 'up', 0 or 'down'. rating: any number.")
    label: str = Field(default="", max_length=512, description="label: the category somebody chose.")
    comment: str = Field(default="", description="correction: the better answer. comment: free text.")

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _says_something(self) -> Feedback:
        needed = _NEEDS[self.kind]
        if getattr(self, needed) in (None, ""):
            raise ValueError(f"missing_field: {self.kind!r} feedback needs {needed!r}")
        if self.kind == "thumb" and self.value not in (0, 1):
            raise ValueError(f"wrong_type: 'value' of a thumb must be 1 (up) or 0 (down), got {self.value!r}")
        return self


def parse_feedback(data: object, *, latest: datetime | None = None) -> Feedback:
    """Build Feedback from decoded JSON; ``latest`` and what is raised: see ``record.parse_as``."""
    return parse_as(Feedback, SCHEMA_VERSION, data, latest)


def feedback_json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the wire format; see ``inference.json_schema``."""
    schema = Feedback.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["properties"]["timestamp"] = instant_schema(Feedback)
    number = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
    schema["properties"]["value"] = {
        "description": Feedback.model_fields["value"].description,
        "anyOf": [number, {"type": "boolean"}, {"enum": ["up", "down"]}, {"type": "null"}],
    }
    schema["allOf"] = [
        {
            "if": {"properties": {"kind": {"const": kind}}},
            "then": {"required": [needed], "properties": {needed: _REFUSED[kind]}},
        }
        for kind, needed in _NEEDS.items()
    ]
    schema["additionalProperties"] = True
    return schema


_REFUSED: dict[str, dict[str, Any]] = {
    "thumb": {"enum": [0, 1, True, False, "up", "down"]},
    "rating": {"not": {"type": "null"}},
    **{kind: {"type": "string", "minLength": 1} for kind in ("label", "correction", "comment")},
}
