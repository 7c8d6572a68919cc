"""Runs tests of rules through the evaluation that serves live alerts, and says where they differ. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from math import isclose, isnan, nan

from inferwatch.schemas.alerts import State
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.metrics import WindowMetric, score_interval
from inferwatch.schemas.notation import FAULT, expand
from inferwatch.schemas.rule_tests import AlertTest, ExpectedAlert, InputSeries, RuleTest
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.settings import WindowSettings
from inferwatch.schemas.windows import SeriesKey, Window, floor
from inferwatch.streams.alerting.evaluation import Memory, Verdict
from inferwatch.streams.alerting.looks import Look, in_order
from inferwatch.streams.alerting.reading import FAULT as FAULT_KEY
from inferwatch.streams.alerting.state import AT_REST, after

SHARES = (".rate", ".coverage")

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of a rule as it stands; ``value`` and ``n`` are of the last window with a number, ended at ``end``."""

    labels: Labels
    state: State
    value: float = nan
    n: int = 0
    since: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """What one check expected and did not get, and the other way round; ``check`` is its place in the test."""

    check: int
    missing: tuple[ExpectedAlert, ...]
    unexpected: tuple[Alert, ...]


def differences(test: RuleTest, rules: Sequence[Rule], windows: WindowSettings) -> list[Difference]:
    """Run ``test`` and return where the alerts differ from what it expects; none where it passes.

    Raises:
        Misconfigured: a series has not as many rows or bounds as values, a revision is of no window, or a check of no
            rule among ``rules``.
    """
    known = {rule.name for rule in rules}
    for check in test.alert_rule_test:
        if check.alertname not in known:
            raise Misconfigured(f"alertname must be a rule ({', '.join(sorted(known))}), got {check.alertname!r}")
    found: list[Difference] = []
    published = looks(test, windows)
    start, size, step = _grid(test, windows)
    memory = Memory(rules, size, step)
    states: dict[str, dict[Labels, Alert]] = defaultdict(dict)
    order = sorted(range(len(test.alert_rule_test)), key=lambda place: test.alert_rule_test[place].eval_time)
    done = 0
    for place in order:
        check = test.alert_rule_test[place]
        until = start + check.eval_time
        while done < len(published) and published[done].seen <= until:
            _take(states, memory.feed(published[done].window, published[done].metrics))
            done += 1
        _take(states, memory.advance(until))
        difference = _compared(place, check, states[check.alertname])
        if difference is not None:
            found.append(difference)
    return sorted(found, key=lambda one: one.check)


def looks(test: RuleTest, windows: WindowSettings) -> list[Look]:
    """Return the windows of ``test`` as the service would publish them, revisions in between, in that order.

    A window that no series has a value of has no rows, and is not published.

    Raises:
        Misconfigured: a series has not as many rows or bounds as values, or a revision is of no window.
    """
    start, size, step = _grid(test, windows)
    first: dict[Window, dict[tuple[object, ...], WindowMetric]] = defaultdict(dict)
    for series in test.input_series:
        for place, metric in _numbers(series, start, size, step):
            window = Window(start + step * (place + 1) - size, start + step * (place + 1))
            first[window][metric.metric, metric.series] = metric
    found = [Look(window, 0, window.end, tuple(own.values())) for window, own in first.items()]
    contents = {window: dict(own) for window, own in first.items()}
    revisions: dict[Window, int] = defaultdict(int)
    late = sorted(test.revisions, key=lambda one: (one.seen, one.window))
    for (seen, ends), together in groupby(late, key=lambda one: (one.seen, one.window)):
        window = Window(start + ends - size, start + ends)
        if seen < ends or ends % step:
            raise Misconfigured(f"revisions must be of a window, seen after its end, got window {ends} seen {seen}")
        own = contents.setdefault(window, {})
        for one in together:
            own[one.series.metric, one.series.key] = _metric(
                window, one.series.metric, one.series.key, one.value, one.n
            )
        revisions[window] += 1
        found.append(Look(window, revisions[window], start + seen, tuple(own.values())))
    return in_order(found)


def _grid(test: RuleTest, windows: WindowSettings) -> tuple[datetime, timedelta, timedelta]:
    """Return where the first window begins, how long windows are, and from one start to the next."""
    size, step = (windows.size, windows.step) if test.interval is None else (test.interval, test.interval)
    start = floor(test.start, step)
    return start, size, step


def _numbers(
    given: InputSeries, start: datetime, size: timedelta, step: timedelta
) -> Iterator[tuple[int, WindowMetric]]:
    name = given.series
    values = expand(given.values)
    beside = (("n", given.n), ("ci_low", given.ci_low), ("ci_high", given.ci_high))
    rows, lows, highs = (_beside(key, text, len(values)) for key, text in beside)
    for place, value in enumerate(values):
        if value is None:
            continue
        window = Window(start + step * (place + 1) - size, start + step * (place + 1))
        n = int(rows[place])
        if value == FAULT:
            detail = {FAULT_KEY: "planted by the test"}
            yield place, WindowMetric(window, name.key, name.metric, nan, 0, n, detail=detail)
        else:
            yield place, _metric(window, name.metric, name.key, float(value), n, lows[place], highs[place])


def _metric(
    window: Window, metric: str, key: SeriesKey, value: float, n: int, low: float = nan, high: float = nan
) -> WindowMetric:
    if isnan(low) and isnan(high) and metric.endswith(SHARES) and 0 <= value <= 1 and n:
        low, high = score_interval(value, n)
    return WindowMetric(window, key, metric, value, 0 if isnan(value) else n, n, low, high)


def _beside(key: str, text: str, count: int) -> list[float]:
    """Return ``count`` numbers: one for all, or one for each value; NaN where none is given."""
    values = expand(text)
    if len(values) <= 1:
        values = (values or [nan]) * count
    if len(values) != count:
        raise Misconfigured(f"{key} must have one part, or one for each of the {count} values, got {len(values)}")
    return [0.0 if value is None or value == FAULT else float(value) for value in values]


def _take(states: Mapping[str, dict[Labels, Alert]], verdicts: Sequence[Verdict]) -> None:
    """Bring ``states`` (rule -> labels -> alert) up to date with what one window changed."""
    for verdict in verdicts:
        own = states[verdict.rule.name]
        labels = tuple(sorted(verdict.labels.items()))
        before = own.get(labels, Alert(labels, verdict.state.state, since=verdict.state.since))
        if verdict.transitions:
            now = after(verdict.transitions[-1])
            before = replace(before, state=now.state, since=now.since)
        metric = verdict.metric
        if metric is not None and metric.known and (before.end is None or metric.window.end >= before.end):
            before = replace(before, value=metric.value, n=metric.n, end=metric.window.end)
        own[labels] = before


def _compared(place: int, check: AlertTest, alerts: Mapping[Labels, Alert]) -> Difference | None:
    expected = {tuple(sorted(one.exp_labels.items())): one for one in check.exp_alerts}
    got = {labels: alert for labels, alert in alerts.items() if alert.state not in AT_REST or labels in expected}
    missing = tuple(one for labels, one in expected.items() if not _is(got.get(labels), one))
    unexpected = tuple(
        alert for labels, alert in sorted(got.items()) if labels not in expected or expected[labels] in missing
    )
    return Difference(place, missing, unexpected) if missing or unexpected else None


def _is(alert: Alert | None, expected: ExpectedAlert) -> bool:
    if alert is None:
        return expected.exp_state in AT_REST
    same_value = expected.exp_value is None or isclose(alert.value, expected.exp_value, rel_tol=1e-6, abs_tol=1e-12)
    same_rest = alert.state in AT_REST and expected.exp_state in AT_REST
    return (alert.state is expected.exp_state or same_rest) and same_value
