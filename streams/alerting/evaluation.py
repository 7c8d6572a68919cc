"""What the rules make of one window: the one door for live alerts, for tests of rules and for back-tests. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from math import isnan

from inferwatch.schemas.alerts import UNKNOWN, AlertState, Transition, fingerprint
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Rule, Silence
from inferwatch.schemas.windows import ALL, EPOCH, SeriesKey, Window
from inferwatch.streams.alerting.reading import Newest, Number, Past, read
from inferwatch.streams.alerting.rules import Kind, by_kind, concerns, kind_of, looked_at, series_of
from inferwatch.streams.alerting.state import AT_REST, after, revise, step

NOTHING = Newest(None)


@dataclass(frozen=True, slots=True)
class History:
    """What has been decided, seen from the end of one window. Keys are fingerprints.

    ``before`` is every instance's state by its transitions before that end, ``recorded`` its transitions at it, in
    order, ``later`` the instances that have transitions after it. ``labels`` has those of every instance in ``before``
    or ``recorded`` that is not at rest, by rule.
    """

    before: Mapping[str, AlertState] = field(default_factory=dict)
    recorded: Mapping[str, tuple[Transition, ...]] = field(default_factory=dict)
    later: frozenset[str] = frozenset()
    labels: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)

    def now(self, identity: str) -> AlertState:
        """Return where an instance stands at the window's end."""
        recorded = self.recorded.get(identity)
        return after(recorded[-1]) if recorded else self.before.get(identity, AlertState())


@dataclass(frozen=True, slots=True)
class Verdict:
    """One instance after one window: what it was judged by, its new state, and what changed that had not been recorded.

    ``metric`` is None where the window has no number of it.
    """

    rule: Rule
    window: Window
    metric: WindowMetric | None
    fingerprint: str
    labels: Mapping[str, str]
    state: AlertState
    transitions: tuple[Transition, ...]
    judged: float


def evaluate(
    rules: Sequence[Rule],
    window: Window,
    metrics: Sequence[WindowMetric],
    history: History,
    past: Past,
    passed: datetime | None = None,
) -> list[Verdict]:
    """Take every instance one step over ``window``, those that have no number in it included.

    Done again with the same numbers it changes nothing. With others, because late rows have come, it may resolve what
    fired at this window, cancel what is pending or begin an episode; one that was resolved at this window stays so: no
    episode pages twice. An instance that has transitions after this window, or whose application has numbers in a later
    one, is left as it is: that later window has been judged. So is one without a number in a window that was decided
    before, unless there was one then: how long there had been none was judged when time passed.

    Args:
        rules: what is asked.
        window: the window; it may be one without any row.
        metrics: its numbers.
        history: what has been decided, from the store or from ``Memory``.
        past: the numbers of other windows.
        passed: up to which event time windows have been decided before, those without rows included.

    Raises:
        ValueError: a metric belongs to another window.
    """
    kinds = by_kind(metrics, rules)
    since = min((horizon(rule, window) for rule in rules), default=window.end)
    newest = {kind: past.newest(*kind, since, window.end) for kind in kinds}
    moved_on = {kind: {series.application for series, one in own.items() if one.later} for kind, own in newest.items()}
    verdicts: list[Verdict] = []
    for rule in rules:
        kind = kind_of(rule)
        own = newest[kind]
        for series, metric in _instances(rule, window, kinds[kind], own, history):
            identity, labels = _identity(rule.name, series)
            if metric is not None and metric.window != window:
                raise ValueError(f"{metric.metric} of {series} is of {metric.window}, expected {window}")
            found = own.get(series, NOTHING)
            now = history.now(identity)
            over = passed is not None and window.end <= passed and (metric is None or not metric.known)
            over = over and all(isnan(one.value) for one in history.recorded.get(identity, ()))
            if over or identity in history.later or series.application in moved_on[kind]:
                verdicts.append(Verdict(rule, window, metric, identity, labels, now, (), float("nan")))
                continue
            reading = read(rule, window, metric, past, _seen(rule, window, found))
            before = history.before.get(identity, AlertState())
            state, transitions = step(rule, before, identity, labels, reading)
            if recorded := history.recorded.get(identity):
                state, transitions = revise(rule, now, recorded, state, identity, labels, reading)
            verdicts.append(Verdict(rule, window, metric, identity, labels, state, tuple(transitions), reading.judged))
    return verdicts


def horizon(rule: Rule, window: Window) -> datetime:
    """Return from when on numbers of earlier windows matter to whether ``window`` is one of a silence."""
    if rule.no_data is Silence.KEEP and rule.error is Silence.KEEP:
        return window.end
    return window.end - rule.no_data_after - 2 * window.size


def ended(rule: Rule) -> Rule:
    """Return ``rule`` as one that has no number any more and does not wait for any: what is open of it resolves."""
    resolve = {"no_data": Silence.RESOLVE, "error": Silence.RESOLVE, "no_data_after": timedelta(0)}
    return rule.model_copy(update=resolve)


def left_out(rules: Sequence[Rule], metrics: Sequence[WindowMetric], history: History) -> dict[str, int]:
    """Return rule -> how many series of a window are over its ``max_instances`` and not looked at."""
    kinds = by_kind(metrics, rules)
    found = {rule.name: looked_at(rule, kinds[kind_of(rule)], _active(rule, history))[1] for rule in rules}
    return {name: count for name, count in found.items() if count}


def quiet(
    rules: Sequence[Rule], began: datetime, until: datetime, size: timedelta, slide: timedelta, history: History,
    past: Past,
) -> list[Window]:  # fmt: skip
    """Return the windows without any row that end in ``(began, until]`` and at which a silence may become too long.

    At all other windows without rows nothing changes. ``history`` and ``past`` are seen from ``until``.
    """
    if until <= began:
        return []
    first = Window(began + slide - size, began + slide)
    ends: set[datetime] = set()
    since = min((horizon(rule, first) for rule in rules), default=until)
    for rule in rules:
        if rule.no_data is Silence.KEEP and rule.error is Silence.KEEP:
            continue
        newest = past.newest(*kind_of(rule), since, until)
        for series, _ in _instances(rule, first, [], newest, history):
            if history.now(_identity(rule.name, series)[0]).state in UNKNOWN:
                continue
            seen = newest.get(series, NOTHING).before
            due = first.end if seen is None else max(seen + rule.no_data_after, first.end)
            end = EPOCH + -((EPOCH - due) // slide) * slide
            if end <= until:
                ends.add(end)
    return [Window(end - size, end) for end in sorted(ends)]


@lru_cache(maxsize=1 << 16)
def _identity(rule: str, series: SeriesKey) -> tuple[str, Mapping[str, str]]:
    """Return the fingerprint and the labels of an instance."""
    labels = series.labels()
    return fingerprint(rule, labels), labels


def _instances(
    rule: Rule,
    window: Window,
    metrics: Sequence[WindowMetric],
    newest: Mapping[SeriesKey, Newest],
    history: History,
) -> Iterator[tuple[SeriesKey, WindowMetric | None]]:
    """Yield (series, number): those with a number, those with an alert, and applications that had numbers."""
    active = _active(rule, history)
    chosen, _ = looked_at(rule, metrics, active)
    with_number = {metric.series for metric in metrics}
    for metric in chosen:
        yield metric.series, metric
    missing = active - with_number
    if kind_of(rule)[1] == ALL:
        missing |= {
            series
            for series, found in newest.items()
            if series not in with_number and concerns(rule, series) and _seen(rule, window, found) is not None
        }
    for series in sorted(missing):
        yield series, None


def _active(rule: Rule, history: History) -> set[SeriesKey]:
    return {series_of(labels) for labels in history.labels.get(rule.name, {}).values()}


def _seen(rule: Rule, window: Window, newest: Newest) -> datetime | None:
    return newest.before if newest.before is not None and newest.before >= horizon(rule, window) else None


class Memory:
    """States and numbers in memory: what a test of rules and a back-test run on. Windows in order give what live gives.

    Args:
        rules: what is asked.
        size: of a window.
        slide: from the start of one window to that of the next; None: ``size``.
    """

    def __init__(self, rules: Sequence[Rule], size: timedelta, slide: timedelta | None = None) -> None:
        self._rules = tuple(rules)
        self._size, self._slide = size, slide or size
        self._metrics = {rule.metric for rule in rules}
        self._numbers: dict[tuple[str, SeriesKey], dict[datetime, WindowMetric]] = defaultdict(dict)
        self._fed: dict[datetime, list[tuple[str, SeriesKey]]] = defaultdict(list)
        self._ends: dict[Kind, dict[SeriesKey, list[datetime]]] = defaultdict(lambda: defaultdict(list))
        self._transitions: dict[str, list[Transition]] = defaultdict(list)
        self._reached: datetime | None = None

    @property
    def transitions(self) -> list[Transition]:
        """Every transition so far, in the order of event time."""
        every = [one for own in self._transitions.values() for one in own]
        return sorted(every, key=lambda one: (one.at, one.rule, one.fingerprint, one.sequence))

    def feed(self, window: Window, metrics: Sequence[WindowMetric]) -> list[Verdict]:
        """Judge a closed window, or one of its revisions; before it, the windows without rows that it leaves behind."""
        verdicts: list[Verdict] = []
        if self._reached is not None:
            verdicts += self.advance(window.end - self._slide)
        for own in self._fed.pop(window.end, ()):
            self._numbers[own].pop(window.end, None)
        for metric in metrics:
            if metric.metric in self._metrics:
                self._keep(metric)
        verdicts += self._judge(window, metrics, self._reached)
        self._reached = window.end if self._reached is None else max(self._reached, window.end)
        return verdicts

    def advance(self, until: datetime) -> list[Verdict]:
        """Let time pass: judge the windows without rows that end by ``until``."""
        if self._reached is None or until <= self._reached:
            return []
        began, self._reached = self._reached, until
        windows = quiet(self._rules, began, until, self._size, self._slide, self._history(until), self)
        return [verdict for window in windows for verdict in self._judge(window, (), began)]

    def numbers(
        self, metric: str, series: SeriesKey, start: datetime, end: datetime, every: timedelta | None = None
    ) -> Sequence[Number]:
        """Return the known numbers of windows within ``[start, end)``, oldest first; see ``reading.Past``."""
        own = self._numbers.get((metric, series), {})
        ends = self._ends.get((metric, series.dimension), {}).get(series, [])
        within = (own[one] for one in ends[bisect_left(ends, start) : bisect_right(ends, end)] if one in own)
        spaced = (one for one in within if every is None or (end - one.window.end) % every == timedelta(0))
        return [Number(one.value, one.n) for one in spaced if start <= one.window.start]

    def newest(self, metric: str, dimension: str, since: datetime, end: datetime) -> Mapping[SeriesKey, Newest]:
        """Return which series have numbers of other windows; see ``reading.Past``."""
        found = {}
        for series, ends in self._ends.get((metric, dimension), {}).items():
            place = bisect_left(ends, end)
            earlier = ends[place - 1] if place and ends[place - 1] >= since else None
            later = ends[-1] > end
            if earlier is not None or later:
                found[series] = Newest(earlier, later)
        return found

    def _keep(self, metric: WindowMetric) -> None:
        if metric.known:
            self._numbers[metric.metric, metric.series][metric.window.end] = metric
            self._fed[metric.window.end].append((metric.metric, metric.series))
            ends = self._ends[metric.metric, metric.series.dimension][metric.series]
            place = bisect_left(ends, metric.window.end)
            if ends[place : place + 1] != [metric.window.end]:
                ends.insert(place, metric.window.end)

    def _judge(self, window: Window, metrics: Sequence[WindowMetric], passed: datetime | None) -> list[Verdict]:
        verdicts = evaluate(self._rules, window, metrics, self._history(window.end), self, passed)
        for verdict in verdicts:
            self._transitions[verdict.fingerprint].extend(verdict.transitions)
        return verdicts

    def _history(self, end: datetime) -> History:
        before: dict[str, AlertState] = {}
        recorded: dict[str, tuple[Transition, ...]] = {}
        later: set[str] = set()
        labels: dict[str, dict[str, Mapping[str, str]]] = defaultdict(dict)
        for identity, every in self._transitions.items():
            if not every:
                continue
            # An instance that has moved on is left alone, so that its transitions are in the order of event time.
            known = bisect_right(every, end, key=lambda one: one.at)
            earlier = bisect_left(every, end, hi=known, key=lambda one: one.at)
            if known < len(every):
                later.add(identity)
            if earlier < known:
                recorded[identity] = tuple(every[earlier:known])
            if earlier:
                before[identity] = after(every[earlier - 1])
            if any(every[place - 1].to_state not in AT_REST for place in {earlier, known} if place):
                labels[every[0].rule][identity] = every[0].labels
        return History(before, recorded, frozenset(later), labels)
