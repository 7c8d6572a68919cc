"""A back-test counts what live alerting would have done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import log, nan, sqrt
from typing import Any

import numpy as np
import pytest

from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.settings import WindowSettings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.alerting.backtest import backtest, lookback
from inferwatch.streams.alerting.looks import Look
from inferwatch.streams.alerting.suggestion import NoNumbers, Rate, suggest

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURLY = WindowSettings(size=HOUR)


def rule(**fields: Any) -> Rule:
    return Rule.model_validate({"name": "errors", "metric": "error.rate", "when": "> 5 %"} | fields)


def history(values: Sequence[float], application: str = "shop", n: int = 100, start: datetime = START) -> list[Look]:
    found = []
    for place, value in enumerate(values):
        window = Window(start + HOUR * place, start + HOUR * (place + 1))
        metric = WindowMetric(window, SeriesKey(application), "error.rate", value, n, n)
        found.append(Look(window, 0, window.end, (metric,)))
    return found


def test_episodes_are_counted_by_rule_and_application_with_their_lengths() -> None:
    values = [0.1, 0.1, 0.01, 0.1, 0.01, 0.01, 0.01, 0.2]
    looks = history(values)
    report = backtest([rule(), rule(name="never", when="> 90 %")], looks, HOURLY, START, START + 8 * HOUR)
    errors, never = report.summaries([rule(), rule(name="never", when="> 90 %")])
    assert (errors.application, errors.fired, errors.pages, errors.open) == ("shop", 3, 3, 1)
    assert (errors.longest, errors.median, errors.total) == (2 * HOUR, HOUR, 3 * HOUR)
    assert errors.per_week == pytest.approx(3 * 7 * 24 / 8)
    assert (never.rule, never.fired) == ("never", 0)
    assert (report.windows, report.revisions) == (8, 0)


def test_what_fired_before_the_period_is_past_and_not_counted() -> None:
    looks = history([0.1, 0.1, 0.1, 0.01, 0.1])
    report = backtest([rule()], looks, HOURLY, START + 2 * HOUR, START + 5 * HOUR)
    assert [(one.began, one.ended) for one in report.episodes] == [(START + 5 * HOUR, None)]
    assert report.windows == 3


def test_a_revision_is_seen_when_it_came() -> None:
    looks = history([0.1, 0.01])
    late = WindowMetric(looks[0].window, SeriesKey("shop"), "error.rate", 0.01, 200, 200, revision=1)
    again = Look(looks[0].window, 1, looks[0].seen, (late,))
    report = backtest([rule()], [looks[0], again, looks[1]], HOURLY, START, START + 2 * HOUR)
    [episode] = report.episodes
    assert (episode.began, episode.ended, report.revisions) == (START + HOUR, START + HOUR, 1)


def test_a_silence_is_told_apart_from_what_a_number_fires() -> None:
    report = backtest([rule(no_data_after="3h")], history([0.01]), HOURLY, START, START + 10 * HOUR)
    [episode] = report.episodes
    assert episode.silent
    assert episode.pages == 1


@pytest.mark.parametrize(
    ("fields", "hours"),
    [
        ({"no_data": "keep", "error": "keep"}, 1),
        ({"no_data": "keep", "error": "keep", "for": "6h"}, 7),
        ({"no_data_after": "1d"}, 26),
        ({"no_data": "keep", "error": "keep", "compare": {"to": "last_week", "over": "3h"}}, 7 * 24 + 4),
    ],
)
def test_the_past_a_rule_needs_is_as_long_as_it_looks_back(fields: dict[str, Any], hours: int) -> None:
    assert lookback([rule(**fields)], HOURLY) == hours * HOUR


def test_a_comparison_with_last_week_has_its_past() -> None:
    compared = rule(compare={"to": "last_week", "over": "1h"}, when="> 2", no_data="keep", error="keep")
    looks = history([0.01] * (7 * 24) + [0.015] * 10 + [0.05] + [0.015] * 5)
    since = START + 7 * 24 * HOUR
    report = backtest([compared], looks, HOURLY, since, looks[-1].window.end)
    assert [one.began for one in report.episodes] == [since + 11 * HOUR]


# Suggestions ---------------------------------------------------------------------------------------------------------


def noisy(days: int, seed: int = 1) -> list[Look]:
    rng = np.random.default_rng(seed)
    return history([float(value) for value in rng.exponential(0.01, days * 24)])


def alerts(threshold: str, looks: Sequence[Look], **fields: Any) -> int:
    report = backtest([rule(when=threshold, **fields)], looks, HOURLY, START, looks[-1].window.end)
    return len(report.episodes)


@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("fields", [{}, {"for": "1h"}], ids=["at once", "for 1h"])
def test_a_suggested_threshold_gives_the_wanted_rate_and_no_lower_one_does(every: int, fields: dict[str, Any]) -> None:
    looks = noisy(28)
    found = suggest(rule(**fields), looks, HOURLY, START, looks[-1].window.end, timedelta(days=every))
    assert alerts(str(found.condition), looks, **fields) == found.rate.fired <= 28 / every
    assert found.low <= found.condition.threshold * 1.001
    assert found.condition.threshold * 0.999 <= found.high
    assert found.rate.fired >= 28 / every * 0.6, "no more careful than it has to be"
    assert alerts(f"> {found.condition.threshold * 0.8}", looks, **fields) > 28 / every


def test_the_interval_covers_the_true_threshold() -> None:
    """Of independent exponential numbers, a share p over the threshold gives p (1 - p) episodes an hour."""
    every = timedelta(days=1)
    share = (1 - sqrt(1 - 4 / 24)) / 2
    truth = -0.01 * log(share)
    covered = 0
    for seed in range(6):
        month = noisy(14, seed)
        found = suggest(rule(), month, HOURLY, START, month[-1].window.end, every)
        covered += found.low <= truth <= found.high
        assert found.condition.threshold == pytest.approx(truth, rel=0.35)
    assert covered >= 5


def test_recovery_stays_in_proportion() -> None:
    looks = history(([0.01] * 20 + [0.2, 0.09, 0.09, 0.09]) * 28)
    plain = rule(when="> 5 %")
    sticky = rule(when="> 5 %", resolve_when="< 2 %")
    every = timedelta(days=1)
    for asked in (plain, sticky):
        found = suggest(asked, looks, HOURLY, START, looks[-1].window.end, every)
        assert 0.01 <= found.condition.threshold < 0.2
        assert found.rate.fired <= 28


def test_small_numbers_may_be_what_is_bad() -> None:
    looks = history([1 - look.metrics[0].value for look in noisy(28)])
    found = suggest(rule(when="< 1"), looks, HOURLY, START, looks[-1].window.end, timedelta(days=7))
    assert found.condition.operator == "<"
    assert found.rate.fired <= 4
    assert found.condition.threshold < 0.98


@pytest.mark.parametrize("looks", [history([nan] * 48), history([0.1] * 48, n=3), []], ids=["no number", "few", "none"])
def test_without_numbers_nothing_is_suggested(looks: list[Look]) -> None:
    with pytest.raises(NoNumbers, match=r"no window has a number of error\.rate from at least 20 rows"):
        suggest(rule(), looks, HOURLY, START, START + 48 * HOUR, timedelta(days=1))


def test_the_same_value_for_ever_never_fires() -> None:
    looks = history([0.01] * 24 * 14)
    found = suggest(rule(), looks, HOURLY, START, looks[-1].window.end, timedelta(days=7))
    assert found.condition.threshold >= 0.01
    assert found.rate.fired == 0


@pytest.mark.parametrize(
    ("fired", "low", "high"), [(0, 0, 3.689), (1, 0.0253, 5.572), (4, 1.090, 10.242), (20, 12.217, 30.888)]
)
def test_the_interval_of_a_rate_is_garwoods(fired: int, low: float, high: float) -> None:
    """Garwood 1936, Fiducial limits for the Poisson distribution, Biometrika 28; values as tabled."""
    rate = Rate(fired, 1.0)
    assert (rate.low, rate.high) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))
