"""From alerts that stand to messages in the outbox: reads what is, plans, writes what is due."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import isnan
from threading import Lock

from inferwatch.schemas.alerts import ACTIVE, Notification, State, Transition
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.routing import RECEIVER_DOWN_RULE
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.settings import Settings
from inferwatch.streams.alerting import outbox
from inferwatch.streams.alerting.digest import digest
from inferwatch.streams.alerting.message import Change, compose
from inferwatch.streams.alerting.numbers import numbers_behind
from inferwatch.streams.alerting.receivers_down import changes_of_receivers
from inferwatch.streams.alerting.route.alert import NOBODY, Alert, matching_labels
from inferwatch.streams.alerting.route.dedup import Held, News
from inferwatch.streams.alerting.route.log import Log
from inferwatch.streams.alerting.route.plan import Flush, Plan, plan
from inferwatch.streams.alerting.rules import series_of
from inferwatch.streams.alerting.silences import standing as standing_silences
from inferwatch.streams.alerting.standing import Standing, read_acknowledged, read_alerts, read_log, rows_written
from inferwatch.streams.ports import Store
from inferwatch.streams.rows import ids_digest
from inferwatch.streams.telemetry import SUPPRESSED, Recorder

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""How often the store is looked at where nothing is known to be due: silences, ends of mute times, repetitions."""
REST_SECONDS = 30.0
"""Where no alert stood, only whether rows have come is asked until then; after it everything is read, in case one came
while the engine merged two others into one."""


class Dispatcher:
    """Writes the messages that are due into the outbox, which is also the log of what has been told.

    It may be called by several threads, and by several processes at once: what one decides is a function of the store
    and the time, and the message's id one of what was decided.

    Args:
        settings: rules, receivers, routing.
        store: where alerts, silences and the outbox are.
        clock: for waits, mute times and silences.
        score_thresholds: for the messages' words, as ``message.compose`` has them.
        recorder: is told of alerts that are held back.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        score_thresholds: Mapping[str, float],
        recorder: Recorder,
    ) -> None:
        self._store = store
        self._clock = clock
        self._thresholds = score_thresholds
        self._recorder = recorder
        self._lock = Lock()
        # How many rows there were when no alert stood, and when all was read last.
        self._calm_at: tuple[int, ...] | None = None
        self._read_at = 0.0
        self.use(settings)
        self._looked_at: float | None = None
        self._waiting = False
        self._seen: dict[str, datetime] = {}
        self._written: dict[str, datetime] = {}
        self._untold: set[str] = set()
        self._suppressed: set[tuple[str, str, Held]] = set()

    def use(self, settings: Settings, gone: Sequence[Rule] = ()) -> None:
        """Go by ``settings`` from the next look on; of the rules that are ``gone`` the end is still told."""
        with self._lock:
            self._settings = settings
            self._rules = {rule.name: rule for rule in (*gone, *settings.active_rules, RECEIVER_DOWN_RULE)}
            self._everyone = tuple(receiver.name for receiver in settings.receivers)
            self._calm_at = None

    def dispatch_if_due(self) -> int:
        """Do ``dispatch`` where something may be due; return how many messages were written."""
        now = self._clock.monotonic()
        rested = self._looked_at is None or now - self._looked_at >= LOOK_SECONDS
        if not (rested or self._waiting):
            return 0
        calm = self._calm_at is not None and now - self._read_at < REST_SECONDS
        if calm and rows_written(self._store) == self._calm_at:
            self._looked_at = now
            return 0
        return self.dispatch()

    def dispatch(self) -> int:
        """Write every message that is due; return how many.

        Raises:
            StoreUnavailable: call again; what was written is in the log and not decided again.
        """
        with self._lock:
            self._looked_at = self._clock.monotonic()
            self._waiting = True  # until it is known, so that a failure is made up for at once
            self._calm_at = None
            # Counted before anything is read: what comes meanwhile makes a difference.
            rows, self._read_at = rows_written(self._store), self._looked_at
            now = self._clock.now()
            # The log first: whoever stops between the two then knows of too little that was told, writes after a
            # message that another has already followed, and that is noticed. The other way round an alert that has
            # ended and been told would look new.
            log = self._by_this_clock(read_log(self._store), now)
            standing = self._standing(now)
            transitions = {one.transition.alert_id: one.transition for one in standing}
            found = self._plan(standing, log, now)
            self._write(found.flushes, transitions, now)
            self._account(found, transitions)
            self._waiting = found.waiting
            # Time alone makes nothing due where no alert stands.
            self._calm_at = None if standing else rows
            return len(found.flushes)

    def _standing(self, now: datetime) -> list[Standing]:
        """Return the alerts that stand, those about receivers brought up to date."""
        names = list(self._rules)
        found = read_alerts(self._store, names)
        if changes_of_receivers(self._store, self._everyone, [one.transition for one in found], now):
            found = read_alerts(self._store, names)
        return [one for one in found if one.transition.rule in self._rules]

    def _by_this_clock(self, log: Log, now: datetime) -> Log:
        """Return ``log`` with nothing written after this process first saw it, or after now.

        So no wait is as long as another's clock is wrong, or as this one has been set back.
        """
        self._written = _known(self._written, ((told.id, told.written_at) for told in log.last.values()), now)
        return Log({key: replace(told, written_at=self._written[told.id]) for key, told in log.last.items()})

    def _plan(self, standing: Sequence[Standing], log: Log, now: datetime) -> Plan:
        if not standing:
            return Plan((), ())
        acknowledged = read_acknowledged(self._store)
        # As with the log: an alert is known at the latest since it was first seen here.
        self._seen = _known(self._seen, ((one.transition.alert_id, one.known_at) for one in standing), now)
        alerts = [self._alert(one.transition, acknowledged) for one in standing]
        return plan(alerts, standing_silences(self._store, now), log, self._settings.routing, now)

    def _alert(self, transition: Transition, acknowledged: frozenset[str]) -> Alert:
        rule = self._rules[transition.rule]
        state = transition.to_state if transition.to_state in ACTIVE else State.RESOLVED
        state = State.FIRING if state is State.RECOVERING else state
        labels = matching_labels(rule.name, transition.severity, transition.metric, state, transition.labels)
        return Alert(
            alert_id=transition.alert_id,
            rule=rule.name,
            severity=transition.severity,
            labels=labels,
            state=state,
            since=transition.since,
            at=transition.at,
            known_at=self._seen[transition.alert_id],
            receivers=rule.receivers or self._everyone,
            acknowledged=transition.alert_id in acknowledged,
            badness=0.0 if isnan(transition.value) else transition.value if rule.when.rising else -transition.value,
            about=transition.labels["receiver"] if rule is RECEIVER_DOWN_RULE else "",
        )

    # Writing ---------------------------------------------------------------------------------------------------------

    def _write(self, flushes: Sequence[Flush], transitions: Mapping[str, Transition], now: datetime) -> None:
        if not flushes:
            return
        leads = self._compose([one for one in flushes if one.key.receiver != NOBODY], transitions)
        rows: list[tuple[Flush, Notification | None]] = []
        for flush in flushes:
            lead = leads.get(flush.id)
            note = None if lead is None else digest(self._settings, flush, lead, transitions, self._rules)
            rows.append((flush, note))
        token = ids_digest(flush.id for flush in flushes)
        self._store.insert("outbox_raw", outbox.outbox_table(rows, now), token=f"outbox/{token}/{now.isoformat()}")
        for flush in flushes:
            logger.info("%s: %s to %s", flush.key.name, flush.reason, flush.key.receiver or "nobody")

    def _compose(self, flushes: Sequence[Flush], transitions: Mapping[str, Transition]) -> dict[str, Notification]:
        """Return flush id -> its first alert in full; those of one rule and window are read together."""
        batches: dict[tuple[str, datetime, str, bool], list[tuple[Flush, Transition]]] = {}
        for flush in flushes:
            lead = flush.alerts[0]
            transition = replace(transitions[lead.alert_id], to_state=lead.state)
            newest = flush.reason is News.REPEAT
            dimension = series_of(transition.labels).dimension
            batches.setdefault((lead.rule, transition.at, dimension, newest), []).append((flush, transition))
        found: dict[str, Notification] = {}
        for (name, _, _, newest), batch in batches.items():
            one_each = {transition.alert_id: transition for _, transition in batch}
            rule = self._rules[name]
            metrics = numbers_behind(self._store, list(one_each.values()), self._settings.windows.size, newest=newest)
            notes = {
                note.alert_id: note
                for own in _by_window([_change(*pair) for pair in zip(one_each.values(), metrics, strict=True)])
                for note in compose(self._store, self._settings, self._thresholds, rule, own)
            }
            found |= {flush.id: notes[transition.alert_id] for flush, transition in batch}
        return found

    # Counting --------------------------------------------------------------------------------------------------------

    def _account(self, found: Plan, transitions: Mapping[str, Transition]) -> None:
        """Count each alert that is held back once for each receiver and reason, until it is no longer."""
        held = {(one.alert_id, one.receiver, one.reason) for one in found.suppressed}
        for _, _, reason in held - self._suppressed:
            self._recorder.add(SUPPRESSED, 1, reason)
        self._suppressed = held
        short = self._untold - transitions.keys()
        if short:
            self._recorder.add(SUPPRESSED, len(short), Held.SHORT)
        told = {alert.alert_id for flush in found.flushes for alert in flush.alerts}
        self._untold = {one.alert_id for one in found.suppressed if one.reason is not Held.ACKNOWLEDGED} - told


def _known(
    before: Mapping[str, datetime], stated: Iterable[tuple[str, datetime]], now: datetime
) -> dict[str, datetime]:
    """Return id -> since when it is known: as ``stated``, but no later than it was found ``before`` or ``now``."""
    return {one: min(at, before.get(one, now), now) for one, at in stated}


def _change(transition: Transition, metric: WindowMetric) -> Change:
    if metric.window.end > transition.at:
        transition = replace(transition, at=metric.window.end, value=metric.value, n=metric.n)
    return Change(transition, metric)


def _by_window(changes: Sequence[Change]) -> list[list[Change]]:
    found: dict[object, list[Change]] = {}
    for change in changes:
        found.setdefault(change.metric.window, []).append(change)
    return list(found.values())
