"""Settings of what drift is measured against: rolling references, canaries, the application's own time zone."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from inferwatch.schemas.durations import Duration

Dimension = Annotated[
    str, Field(pattern=r"^(model|provider|operation|prompt_name|prompt_version|tenant|tags\.[A-Za-z0-9_.-]{1,64})$")
]
"""A column of the logs, or ``tags.<name>``, that splits an application's rows into segments."""

CANARY = "canary."
"""How the names of the metrics begin that compare segments of one window."""


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"must be a time zone of the IANA database such as Europe/Berlin, got {name!r}") from error
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]


class RollingSettings(BaseModel):
    """How a rolling reference follows the traffic, and how far it may go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    period: Duration = Field(
        default=timedelta(days=7), ge=timedelta(days=1), description="It is built from this much of the past."
    )
    lag: Duration = Field(
        default=timedelta(days=1), ge=timedelta(0), description="The latest past that is not in it: drift begins there."
    )
    calm: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Only windows whose drift p-value is at least this lend rows to it.",
    )
    most_effect: float = Field(
        default=0.1,
        gt=0,
        description="Most effect against the anchor, the last reference that is not rolling, at which it is adopted.",
    )


class CanarySettings(BaseModel):
    """Rows of one value of a dimension against those of another, in the same window."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimension: Dimension = Field(description="One of segments.dimensions.")
    control: str | None = Field(
        default=None, description="The value compared with; null: the one with most rows of the window."
    )
    canary: str | None = Field(default=None, description="The value watched; null: every other, the five largest.")

    @model_validator(mode="after")
    def _two_sides(self) -> CanarySettings:
        if self.control is not None and self.control == self.canary:
            raise ValueError(f"control and canary must differ, got {self.control!r} for both")
        return self
