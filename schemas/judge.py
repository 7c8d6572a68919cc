"""Settings of a judge: a language model behind an OpenAI-compatible API that is asked about a sample of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from inferwatch.schemas.durations import Duration
from inferwatch.schemas.hub import Unit


class JudgeSettings(BaseModel):
    """A language model as a detector. The texts leave this machine; it needs a budget in `detectors.budgets`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(
        description="Base address of an OpenAI-compatible API, such as https://api.openai.com/v1. http:// only to a "
        "loopback address, or with `plain_http`."
    )
    plain_http: bool = Field(
        default=False, description="Allow http:// to another machine: texts and key travel unencrypted."
    )
    api_key: SecretStr = Field(default=SecretStr(""), description="Sent as bearer token; none where empty.")
    model: str = Field(min_length=1, description="The model's name there; best one that cannot change.")
    prompt: str = Field(
        default="groundedness", description="`groundedness`, `toxicity`, `relevance`, or the path of a prompt file."
    )
    threshold: Unit = Field(default=0.5, description="Default of `detectors.thresholds`.")
    timeout: Duration = Field(
        default=timedelta(seconds=10), ge=timedelta(milliseconds=10), description="For one call, answer included."
    )
    attempts: int = Field(default=3, ge=1, le=10, description="Most calls for one row.")
    concurrency: int = Field(default=8, ge=1, le=64, description="Calls at once.")
    patience: Duration = Field(
        default=timedelta(seconds=20),
        ge=timedelta(milliseconds=10),
        le=timedelta(minutes=5),
        description="Longest that a batch waits for the judge; rows without an answer by then abstain: `judge late`.",
    )
    calls_per_minute: int = Field(default=60, ge=1, description="Rows beyond abstain: `judge budget`.")
    calls_per_day: int = Field(default=5000, ge=1, description="As above. Per process, and from 0 after a restart.")
    tokens_per_day: int | None = Field(default=None, ge=1, description="As above, by the usage that answers report.")
    most_chars: int = Field(default=40_000, ge=100, description="A row with longer texts abstains: `too long`.")
    answer_tokens: int = Field(default=300, ge=50, le=100_000, description="Most tokens of an answer.")
    answer_limit: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="What the API calls that limit; reasoning models want the second."
    )
    answer_format: Literal["json_schema", "json_object", "none"] = Field(
        default="json_schema", description="What the API is told of the answer's form. It is checked in any case."
    )
    temperature: float | None = Field(default=0.0, ge=0, le=2, description="null: not sent.")
    seed: int | None = Field(default=1, description="null: not sent.")
    cache_rows: int = Field(default=10_000, ge=0, description="Answers remembered, in memory, for the same question.")

    def emits(self, name: str) -> Mapping[str, float]:
        """Return score -> threshold of the detector ``name``."""
        return {name: self.threshold}
