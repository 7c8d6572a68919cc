"""InferenceLog v1: one LLM call as it comes off the wire.

Names follow the OpenTelemetry GenAI semantic conventions where those have one. Unknown fields are never
an error: scalars move into ``tags``, the rest is ignored.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inferwatch.schemas.record import Instant, Name, WireRecord, instant_schema, parse_as

SCHEMA_VERSION = 1
TAG_LIMIT = 256
"""Characters kept of an unknown scalar field that moves into ``tags``."""


class Message(BaseModel):
    """One chat message: ``content`` as text, or OpenTelemetry ``parts`` of which the text parts count."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: str
    content: str | None = None
    parts: list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        if self.content is not None:
            return self.content
        texts = (part.get("content") for part in self.parts or [] if part.get("type") == "text")
        return "\n".join(text for text in texts if isinstance(text, str))


Text = str | list[Message]


Finite = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**32 - 1)]


class Usage(BaseModel):
    """Token counts. Input includes cached tokens and output includes reasoning tokens (OTel GenAI)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_tokens: Count | None = None
    reasoning_tokens: Count | None = None


class InferenceLog(WireRecord):
    """One LLM call. Required: ``id``, ``timestamp``, ``application`` and one of ``input``/``output``."""

    model_config = ConfigDict(frozen=True, extra="ignore", title="InferenceLog v1")

    schema_version: Literal[1] = 1
    id: Name = Field(
        description="Unique within the application: a second record with it, close in event time, is a duplicate."
    )
    timestamp: Instant = Field(description="When the call ended: RFC 3339 with zone, or epoch milliseconds.")
    application: Name
    model: str = ""
    provider: str = ""
    operation: str = "chat"
    prompt_name: str = ""
    prompt_version: str = ""
    input: Text | None = Field(default=None, description="What the user sent: text or chat messages.")
    output: Text | None = Field(default=None, description="What the model answered: text or chat messages.")
    system: str = ""
    contexts: tuple[str, ...] = Field(default=(), description="Retrieved texts the answer should rest on.")
    samples: tuple[str, ...] = Field(default=(), description="Alternative outputs to the same input.")
    logprobs: tuple[Finite, ...] = ()
    embedding: tuple[Finite, ...] = ()
    embedding_model: str = ""
    usage: Usage = Usage()
    cost_usd: Amount | None = None
    latency_ms: Amount | None = None
    time_to_first_token_ms: Amount | None = None
    error: str = ""
    finish_reason: str = ""
    conversation_id: str = ""
    trace_id: str = ""
    span_id: str = ""
    user_id: str = ""
    tenant: str = ""
    tags: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent_and_unknown_is_a_tag(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        known = {name: value for name, value in data.items() if name in _FIELDS and value is not None}
        extra = {
            name: str(value)[:TAG_LIMIT]
            for name, value in data.items()
            if name not in _FIELDS and isinstance(value, str | int | float | bool)
        }
        if extra and isinstance(known.get("tags", {}), dict):
            known["tags"] = extra | known.get("tags", {})
        return known

    @model_validator(mode="after")
    def _something_was_said(self) -> InferenceLog:
        if self.input is None and self.output is None:
            raise ValueError("missing_field: one of 'input' and 'output' is required")
        if not self.input_text.strip() and not self.output_text.strip():
            raise ValueError("empty_text: 'input' and 'output' hold no text; one of them must")
        return self

    @property
    def input_text(self) -> str:
        """The text to judge as the user's words: the text itself, or the user messages joined."""
        return _joined(self.input, "user")

    @property
    def output_text(self) -> str:
        """The text to judge as the model's words: the text itself, or the assistant messages joined."""
        return _joined(self.output, "assistant")


_FIELDS = frozenset(InferenceLog.model_fields)


def _joined(value: Text | None, role: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    chosen = [message for message in value if message.role == role] or value
    return "\n".join(filter(None, (message.text for message in chosen)))


def parse(data: object, *, latest: datetime | None = None) -> InferenceLog:
    """Build an InferenceLog from decoded JSON; ``latest`` and what is raised: see ``record.parse_as``.

    Raises:
        InvalidRecord: also with reason ``empty_text``.
    """
    return parse_as(InferenceLog, SCHEMA_VERSION, data, latest)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the wire format."""
    schema = InferenceLog.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["properties"]["timestamp"] = instant_schema(InferenceLog)
    schema["anyOf"] = [{"required": ["input"]}, {"required": ["output"]}]
    schema["additionalProperties"] = True
    return schema
