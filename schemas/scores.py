"""What a detector says about one inference."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Evidence(BaseModel):
    """Why a score is what it is: one stretch of text and what is wrong with it.

    ``score`` is in [0, 1], higher is worse. ``start`` and ``end`` are character offsets, half open,
    into the field named by ``field`` (``input`` or ``output``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str
    text: str
    score: float
    start: int | None = None
    end: int | None = None
    reason: str = ""


class Score(BaseModel):
    """One detector's verdict on one inference. Abstention is not zero.

    Exactly one of the two holds: ``value`` is a number in [0, 1] (higher is worse) and ``abstained`` is
    empty, or ``value`` is NaN and ``abstained`` says why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    name: str
    value: float
    abstained: str = ""
    evidence: tuple[Evidence, ...] = Field(default=())

    def model_post_init(self, context: Any, /) -> None:
        if math.isnan(self.value) != bool(self.abstained):
            raise ValueError(
                f"score {self.name!r}: NaN needs a reason and a number must have none, "
                f"got value={self.value} abstained={self.abstained!r}"
            )
