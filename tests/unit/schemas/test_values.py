"""Windows, intervals, rules, durations: the small values everything else is written in."""

from datetime import UTC, datetime, timedelta
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from inferwatch.schemas.metrics import wilson
from inferwatch.schemas.rules import Condition, Rule, parse_duration
from inferwatch.schemas.scores import Score
from inferwatch.schemas.settings import Settings, WebSettings
from inferwatch.schemas.windows import Window, tumbling

INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
RULE = {"name": "r", "metric": "error.rate", "when": "> 0.1"}


@given(INSTANTS, st.sampled_from([1, 60, 300, 900, 3600, 86400]))
def test_every_instant_is_in_exactly_one_tumbling_window(at: datetime, seconds: int) -> None:
    window = tumbling(at, timedelta(seconds=seconds))
    assert at in window
    assert tumbling(window.end, window.size).start == window.end
    assert tumbling(window.end - timedelta(microseconds=1), window.size) == window


def test_a_window_needs_aware_times_and_a_length() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="end after it starts"):
        Window(at, at)
    with pytest.raises(ValueError, match="aware"):
        Window(at.replace(tzinfo=None), at)


@given(st.integers(1, 10_000), st.data())
def test_the_wilson_interval_holds_the_rate_and_stays_in_0_to_1(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n + 1e-12
    assert hits / n - 1e-12 <= high <= 1


def test_no_rows_have_no_interval() -> None:
    assert all(isnan(end) for end in wilson(0, 0))


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("1h30m", 5400), ("250ms", 0.25), ("2d", 172800), (90, 90), ("0", 0)]
)
def test_durations_read_as_in_prometheus(text: object, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "5 minutes", "m5", None, True])
def test_other_durations_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "holds", "fails"), [("> 2 %", 0.021, 0.02), (">= 0.5", 0.5, 0.49), ("< 1e-3", 0, 0.001), ("<= -1", -1, 0)]
)
def test_conditions_compare_as_written(text: str, holds: float, fails: float) -> None:
    condition = Condition.model_validate(text)
    assert condition.holds(holds)
    assert not condition.holds(fails)
    assert not condition.holds(float("nan"))


@pytest.mark.parametrize(
    "change",
    [
        {"when": "0.1"},
        {"when": "== 1"},
        {"name": "Bad Name"},
        {"min_events": 0},
        {"resolve_when": "> 0.05"},
        {"resolve_when": "< 0.2"},
        {"wehn": "> 1"},
    ],
)
def test_a_rule_that_cannot_work_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Rule.model_validate(RULE | change)


def test_a_recovery_below_the_threshold_is_fine() -> None:
    assert Rule.model_validate(RULE | {"resolve_when": "< 0.05", "for": "5m"}).hold == timedelta(minutes=5)


def test_settings_names_must_meet() -> None:
    with pytest.raises(ValidationError, match="names receiver 'nobody'"):
        Settings.model_validate({"rules": [RULE | {"receivers": ["nobody"]}]})
    with pytest.raises(ValidationError, match="unique"):
        Settings.model_validate({"rules": [RULE, RULE]})
    with pytest.raises(ValidationError, match="groups by 'tenant'"):
        Settings.model_validate({"rules": [RULE | {"group_by": ["tenant"]}]})


def test_an_open_address_needs_a_password() -> None:
    with pytest.raises(ValidationError, match="password is required"):
        WebSettings(host="0.0.0.0")


def test_secrets_do_not_show() -> None:
    settings = Settings.model_validate(
        {"receivers": [{"type": "slack", "name": "s", "webhook_url": "https://hooks/T0P"}]}
    )
    assert "T0P" not in repr(settings) + str(settings.model_dump())


def test_a_score_is_a_number_or_a_reason() -> None:
    assert Score(name="s", value=float("nan"), abstained="no contexts")
    with pytest.raises(ValueError, match="NaN needs a reason"):
        Score(name="s", value=float("nan"))
