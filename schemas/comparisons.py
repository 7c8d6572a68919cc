"""What a rule compares instead of a window's own number: the change since earlier windows, or how a budget burns."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from inferwatch.schemas.durations import Duration

_SHARE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*")


def parse_share(value: object) -> object:
    """Turn ``"99.5 %"`` into 0.995; a number stays what it is.

    >>> parse_share("99.5 %"), parse_share(0.99)
    (0.995, 0.99)
    """
    if isinstance(value, str) and (match := _SHARE.fullmatch(value)) is not None:
        return float(match[1]) / (100 if match[2] else 1)
    return value


class Baseline(StrEnum):
    """Which earlier period."""

    PREVIOUS = "previous"
    YESTERDAY = "yesterday"
    LAST_WEEK = "last_week"

    @property
    def back(self) -> timedelta:
        """How far before the window its period lies."""
        return {"yesterday": timedelta(days=1), "last_week": timedelta(days=7)}.get(self.value, timedelta(0))


class Change(StrEnum):
    """How the number and that of the earlier period are put together."""

    RATIO = "ratio"
    DIFFERENCE = "difference"


class Comparison(BaseModel):
    """The change against earlier windows, which ``when`` then judges: ``"> 2"`` is twice as much, as a ratio.

    ``previous`` is the time right before the window; ``yesterday`` and ``last_week`` the time around the same time of
    day, a day or a week earlier. Its number is the mean of its windows' numbers, weighted by their rows, but of counts
    and sums plain. Where it has no window, or fewer rows than ``min_events``, the rule changes nothing. A ratio to 0 is
    infinite; that of 0 to 0 is 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    to: Baseline
    over: Duration = Field(default=timedelta(hours=1), gt=timedelta(0), description="Length of the earlier period.")
    change: Change = Field(default=Change.RATIO, alias="as")


class BurnRate(BaseModel):
    """How fast a budget of bad rows burns, over a long and a short time: fires where both burn faster than ``factor``.

    With an objective of 99 % the budget is 1 % of rows: a rate of 3 % burns it three times as fast as allowed. The long
    time makes sure that it matters, the short one that it goes on, so that the alert ends soon after the trouble.
    14.4 over an hour is 2 % of a 30-day budget. Several pairs are several rules.

    References: B. Beyer et al. (eds.), The Site Reliability Workbook, 2018, chapter 5, "6: Multiwindow, Multi-Burn-Rate
    Alerts".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: Annotated[float, BeforeValidator(parse_share, json_schema_input_type=float | str), Field(gt=0, lt=1)]
    long: Duration = Field(default=timedelta(hours=1), gt=timedelta(0))
    short: Duration = Field(default=timedelta(minutes=5), gt=timedelta(0))
    factor: float = Field(default=14.4, gt=0)

    @property
    def budget(self) -> float:
        """The share of rows that may be bad."""
        return 1 - self.objective

    @model_validator(mode="after")
    def _long_is_longer(self) -> BurnRate:
        if self.short >= self.long:
            raise ValueError(f"short ({self.short}) must be shorter than long ({self.long})")
        if self.factor * self.budget >= 1:
            raise ValueError(
                f"factor {self.factor:g} can never be reached: with every row bad, a budget of {self.budget:.3g} burns "
                f"{1 / self.budget:.4g} times as fast as allowed"
            )
        return self
