"""Tests of alert rules as a person writes them: input series, and the alerts that they must lead to.

The words are those of ``promtool test rules`` where the thing is the same.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from inferwatch.schemas.alerts import State
from inferwatch.schemas.durations import Duration
from inferwatch.schemas.notation import expand
from inferwatch.schemas.windows import SeriesKey

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
_SERIES = re.compile(r"\s*([A-Za-z][A-Za-z0-9_.-]*)\s*\{(.*)\}\s*")
_LABEL = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_.]*)\s*=\s*"([^"]*)"\s*(?:,|$)')


class Part(BaseModel):
    """Base of every part of a test file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SeriesName(BaseModel):
    """One metric of one series, written ``error.rate{application="support", model="m-1"}``."""

    model_config = ConfigDict(frozen=True)

    metric: str
    key: SeriesKey


def parse_series(value: object) -> object:
    """Turn ``error.rate{application="support"}`` into its metric and series.

    >>> parse_series('error.rate{application="shop", model="m"}').key
    SeriesKey(application='shop', dimension='model', value='m')
    """
    if not isinstance(value, str):
        return value
    wanted = f'must be like error.rate{{application="support"}}, got {value!r}'
    if (match := _SERIES.fullmatch(value)) is None or _LABEL.sub("", match[2]).strip():
        raise ValueError(wanted)
    labels = dict(_LABEL.findall(match[2]))
    application = labels.pop("application", "")
    if not application or len(labels) > 1:
        raise ValueError(f"{wanted}: application is required, and at most one segment dimension allowed")
    return SeriesName(metric=match[1], key=SeriesKey(application, *next(iter(labels.items()), ())))


Series = Annotated[SeriesName, BeforeValidator(parse_series)]


def _as_text(value: Any) -> Any:
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if isinstance(text, str):
        expand(text)
    return text


Values = Annotated[str, BeforeValidator(_as_text)]
"""Numbers of windows in a row, in promtool's notation; see ``schemas.notation``."""


class InputSeries(Part):
    """The numbers of one series, a window each. ``n`` are their rows; a share without an interval gets Wilson's."""

    series: Series
    values: Values
    n: Values = "1000"
    ci_low: Values = ""
    ci_high: Values = ""


class Revision(Part):
    """The number of a window published again at ``seen``, because late rows have come; ``window`` is that window's end.

    Several at one ``seen`` for one window are one revision.
    """

    series: Series
    window: Duration
    seen: Duration
    value: float
    n: int = Field(default=1000, ge=0)


class ExpectedAlert(Part):
    """An alert that is not at rest: its labels, its state and, if given, the number it was judged by last."""

    exp_labels: dict[str, str]
    exp_state: State = State.FIRING
    exp_value: float | None = None


class AlertTest(Part):
    """All alerts of one rule (``alertname``) that are not at rest at ``eval_time`` after the start."""

    eval_time: Duration
    alertname: str
    exp_alerts: tuple[ExpectedAlert, ...] = ()


class RuleTest(Part):
    """One history and what must come of it. The i-th value of a series, from 1, is of the window that ends at i x step.

    ``interval`` is the length of windows; without it they are the configuration's. ``start`` begins the first.
    """

    name: str
    interval: Duration | None = Field(default=None, gt=timedelta(0))
    start: datetime = MONDAY
    input_series: tuple[InputSeries, ...] = Field(min_length=1)
    revisions: tuple[Revision, ...] = ()
    alert_rule_test: tuple[AlertTest, ...] = Field(min_length=1)


class RuleTestFile(Part):
    """Tests of the rules of ``configuration``, a path from this file's folder; without it, of the configured ones."""

    configuration: str = ""
    tests: tuple[RuleTest, ...] = Field(min_length=1)
