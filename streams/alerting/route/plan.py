"""What is to be told to whom now: the stages, in their order. Pure, and the whole of routing's decisions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from inferwatch.schemas.alerts import State
from inferwatch.schemas.routing import RoutingSettings
from inferwatch.streams.alerting.route.alert import Alert, worst_first
from inferwatch.streams.alerting.route.dedup import Held, News, news
from inferwatch.streams.alerting.route.group import Group, groups
from inferwatch.streams.alerting.route.inhibit import inhibited
from inferwatch.streams.alerting.route.log import GroupKey, Log, Told
from inferwatch.streams.alerting.route.mute import muted
from inferwatch.streams.alerting.route.silence import Silence, silenced
from inferwatch.streams.alerting.route.tree import tree


@dataclass(frozen=True, slots=True)
class Flush:
    """One message to be written.

    ``alerts`` are what it shows, worst first: the active ones, and those resolved since the last message. ``told`` is
    what the log holds of the group afterwards, which includes active alerts that were told and are suppressed now.
    ``id`` is a function of the group, its receiver, the message before, and ``told``: the same decision made twice, by
    whomever, is one message.
    """

    id: str
    key: GroupKey
    previous: str
    reason: News
    alerts: tuple[Alert, ...]
    told: Mapping[str, State]
    dedup_key: str
    at: datetime

    @property
    def state(self) -> State:
        """What the message says of the group: firing while anything fires, resolved when nothing is left."""
        left = set(self.told.values())
        return next((one for one in (State.FIRING, State.NO_DATA, State.ERROR) if one in left), State.RESOLVED)


@dataclass(frozen=True, slots=True)
class Suppressed:
    """An alert that a receiver is not told of now, though there would be something to tell."""

    alert_id: str
    receiver: str
    reason: Held


@dataclass(frozen=True, slots=True)
class Plan:
    """What is due, and what is held back and why."""

    flushes: tuple[Flush, ...]
    suppressed: tuple[Suppressed, ...]

    @property
    def waiting(self) -> bool:
        """Whether something is due in a moment."""
        return any(one.reason is Held.WAITING for one in self.suppressed)


def plan(
    alerts: Sequence[Alert], silences: Sequence[Silence], log: Log, routing: RoutingSettings, now: datetime
) -> Plan:
    """Return the messages that are due at ``now``.

    Silences and inhibitions hold back alerts, not the end of one that has been told: who knows of an alert learns that
    it is over. Mute times hold back everything until they are over; what has come and gone by then is never told.

    Args:
        alerts: every active one, and every resolved one that the log has as active.
        silences: those that may be active.
        log: what has been told.
        routing: who is told of what, and when.
        now: by the wall clock.
    """
    quiet = dict.fromkeys(inhibited(alerts, routing.inhibit_rules), Held.INHIBITED)
    quiet |= dict.fromkeys(silenced(alerts, silences, now), Held.SILENCED)
    intervals = {one.name: one for one in routing.time_intervals}
    flushes: list[Flush] = []
    suppressed: list[Suppressed] = []
    for group in groups(alerts, tree(routing), log):
        told = log.last.get(group.key)
        shown = [one for one in group.alerts if one.alert_id not in quiet or not one.active]
        held = [(one, quiet[one.alert_id]) for one in group.alerts if one.active and one.alert_id in quiet]
        answer = news(told, shown, group.route, now)
        if isinstance(answer, News) and muted(group.route, intervals, now):
            answer = Held.MUTED
        if told is not None and told.forked:
            answer = Held.WAITING
        if isinstance(answer, News):
            flushes.append(_flush(group, told, shown, answer))
        else:
            held += [(one, answer) for one in shown if answer is not Held.TOLD and _is_news(one, told, answer)]
        suppressed += [Suppressed(one.alert_id, group.key.receiver, reason) for one, reason in held]
    return Plan(tuple(flushes), tuple(suppressed))


def _is_news(alert: Alert, told: Told | None, answer: Held) -> bool:
    return answer is Held.ACKNOWLEDGED or told is None or told.alerts.get(alert.alert_id) != alert.state


def _flush(group: Group, told: Told | None, shown: Sequence[Alert], reason: News) -> Flush:
    active = {one.alert_id: one.state for one in shown if one.active}
    gone = {one.alert_id: one.state for one in shown if not one.active}
    before = {} if told is None else {one: it for one, it in told.alerts.items() if it is not State.RESOLVED}
    after = before | active | gone
    ordered = tuple(sorted(shown, key=worst_first))
    previous = "" if told is None else told.id
    dedup_key = told.dedup_key if told is not None and before else f"inferwatch/{ordered[0].alert_id}"
    is_news = [one.at for one in shown if before.get(one.alert_id) != one.state]
    at = max([*is_news, *([told.at] if told is not None else [])])
    content = [*group.key, previous, *(f"{one}={after[one]}" for one in sorted(after))]
    digest = hashlib.sha256("\n".join(content).encode()).hexdigest()[:24]
    return Flush(digest, group.key, previous, reason, ordered, after, dedup_key, at)
