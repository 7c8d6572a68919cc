"""What rules would have done on recorded windows: which alerts, how often, for how long. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from inferwatch.schemas.alerts import ACTIVE, UNKNOWN, State, Transition
from inferwatch.schemas.rules import Rule, Silence
from inferwatch.schemas.settings import WindowSettings
from inferwatch.streams.alerting.evaluation import Memory, Verdict
from inferwatch.streams.alerting.looks import Look

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert from opening to resolution, in event time; ``ended`` is None where it goes on at the history's end.

    ``pages`` are the messages that say that something is wrong. ``silent`` is one that no number fired: data ran out.
    """

    rule: str
    labels: Mapping[str, str]
    began: datetime
    ended: datetime | None
    pages: int
    silent: bool

    def lasted(self, until: datetime) -> timedelta:
        """Return how long it was open by ``until``."""
        return (self.ended or until) - self.began


@dataclass(frozen=True, slots=True)
class Summary:
    """The episodes of one rule in one application over ``length`` of history."""

    rule: str
    application: str
    fired: int
    pages: int
    per_week: float
    total: timedelta
    median: timedelta
    longest: timedelta
    open: int
    silences: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a back-test found in ``[since, until)``: every episode that opened there, and each rule by application."""

    since: datetime
    until: datetime
    windows: int
    revisions: int
    episodes: tuple[Episode, ...]

    def summaries(self, rules: Sequence[Rule]) -> list[Summary]:
        """Return a line for each rule and application that fired, and one with no application for each that did not."""
        found: list[Summary] = []
        for rule in rules:
            own = [one for one in self.episodes if one.rule == rule.name]
            applications = sorted({one.labels["application"] for one in own}) or [""]
            found += [self._summary(rule.name, application, own) for application in applications]
        return found

    def _summary(self, rule: str, application: str, episodes: Sequence[Episode]) -> Summary:
        own = [one for one in episodes if one.labels["application"] == application]
        lengths = [one.lasted(self.until) for one in own]
        pages = sum(one.pages for one in own)
        return Summary(
            rule,
            application,
            fired=len(own),
            pages=pages,
            per_week=pages / ((self.until - self.since) / WEEK),
            total=sum(lengths, timedelta(0)),
            median=timedelta(seconds=median(one.total_seconds() for one in lengths)) if own else timedelta(0),
            longest=max(lengths, default=timedelta(0)),
            open=sum(one.ended is None for one in own),
            silences=sum(one.silent for one in own),
        )


def backtest(
    rules: Sequence[Rule], looks: Iterable[Look], windows: WindowSettings, since: datetime, until: datetime
) -> Report:
    """Let ``rules`` see ``looks`` in their order, and report what fired in ``[since, until)``.

    Looks at windows before ``since`` (see ``lookback``) give the rules their past, and their alerts are not counted.
    """
    memory = Memory(rules, windows.size, windows.step)
    counted = revisions = 0
    for look in looks:
        see(memory, look)
        if look.window.end > since:
            counted += not look.revision
            revisions += look.revision > 0
    memory.advance(until)
    found = tuple(one for one in episodes(memory.transitions) if one.began > since)
    return Report(since, until, counted, revisions, found)


def see(memory: Memory, look: Look) -> list[Verdict]:
    """Let ``memory`` judge what ``look`` shows, as the service did when it was published."""
    passed = [] if look.passed is None else memory.advance(look.passed)
    return passed + memory.feed(look.window, look.metrics)


def lookback(rules: Iterable[Rule], windows: WindowSettings) -> timedelta:
    """Return how long before its first window a back-test has to begin, for its rules to know what live ones do."""
    lengths = [windows.size]
    for rule in rules:
        lengths += [rule.hold + windows.size, rule.keep_firing_for]
        if (rule.no_data, rule.error) != (Silence.KEEP, Silence.KEEP):
            lengths.append(rule.no_data_after + 2 * windows.size)
        if rule.compare is not None:
            lengths.append(rule.compare.to.back + max(rule.compare.over, windows.size) + windows.size)
        if rule.burn_rate is not None:
            lengths.append(rule.burn_rate.long + windows.size)
    return max(lengths)


def episodes(transitions: Sequence[Transition]) -> list[Episode]:
    """Return the alerts that opened, by when they did. ``transitions`` are in the order of event time."""
    by_alert: dict[str, list[Transition]] = {}
    for one in transitions:
        by_alert.setdefault(one.alert_id, []).append(one)
    found: list[Episode] = []
    for own in by_alert.values():
        opened = next((one for one in own if one.to_state in ACTIVE), None)
        if opened is None:
            continue
        last = own[-1]
        found.append(
            Episode(
                rule=opened.rule,
                labels=opened.labels,
                began=opened.at,
                ended=last.at if last.to_state is State.RESOLVED else None,
                pages=sum(one.told and one.to_state is not State.RESOLVED for one in own),
                silent=all(one.to_state in UNKNOWN or one.to_state not in ACTIVE for one in own),
            )
        )
    return sorted(found, key=lambda one: (one.began, one.rule, tuple(sorted(one.labels.items()))))
