"""From a closed window to a delivered page."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from math import inf
from uuid import uuid4

from inferwatch.schemas.alerts import Notification, Transition
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import DeliveryError
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.alerting import history, outbox
from inferwatch.streams.alerting.evaluation import ended, evaluate, left_out, quiet
from inferwatch.streams.alerting.message import Change, compose
from inferwatch.streams.alerting.outbox import Delivery, Parcel, Status, Waits
from inferwatch.streams.alerting.past import StoredPast
from inferwatch.streams.ports import Notifier, Store
from inferwatch.streams.telemetry import DELIVERIES, EVENT_TO_ALERT, SILENT, TRANSITIONS, Recorder

logger = logging.getLogger(__name__)

PER_PASS = 20
"""Most notifications tried per receiver in one pass."""
PASS_SECONDS = 10.0
"""After this long a receiver gets nothing more in one pass: the others wait for the slowest."""
ANSWER_SECONDS = 20.0
"""A notifier that has not returned by then is cut off: longer than its own timeout, shorter than the lease."""
DEAD_AFTER = 10
"""Refusals of a message, or in a row by a receiver, about half an hour of them, before old messages are given up."""


class Alerting:
    """Decides alerts and delivers them. Its memory is the store: any worker may go on where another stopped.

    Nothing is lost, because of the order in which one window is written: first the transitions (one atomic insert),
    then their outbox rows, and only then, by the caller, the row that marks the window closed. A crash

    - before the transitions leaves nothing, and the window is decided again from the same states;
    - between the two leaves transitions without messages. The window is not marked closed, so it is decided again:
      transitions recorded at its end are taken as they are, and the outbox rows they lack are made;
    - after the outbox finds everything there, and writes nothing.

    Nobody is paged twice, because a transition's id is a function of instance, window end and new state, the outbox
    row's key is that id and the receiver, and a delivery is recorded under the same key.

    One gap cannot be closed from this side: a crash after a receiver accepted a message and before that was recorded
    sends it again, 30 seconds or more later, with the same ids. PagerDuty absorbs the repetition by ``dedup_key``, a
    webhook's owner can by ``Idempotency-Key``; Slack shows it twice, with the same alert id in both.

    Args:
        settings: rules, receivers, segments, the address of the web page.
        store: where states, outbox and deliveries are kept.
        notifiers: receiver name -> how to reach it.
        clock: for due times and the time of decisions.
        score_thresholds: score name -> from which score on a row counts, for the messages' SQL and words; without an
            entry a score's metrics are explained from ``window_metrics``.
        recorder: is told transitions, deliveries and how long an alert took.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        notifiers: Mapping[str, Notifier],
        clock: Clock,
        score_thresholds: Mapping[str, float] | None = None,
        recorder: Recorder = SILENT,
    ) -> None:
        self._settings = settings
        self._store = store
        self._notifiers = notifiers
        self._clock = clock
        self._thresholds = dict(score_thresholds or {}) | settings.detectors.thresholds
        self._recorder = recorder
        self._rules = {rule.name: rule for rule in settings.active_rules}
        self._gone: dict[str, Rule] = {}
        self._owner = uuid4().hex
        self._everyone = tuple(receiver.name for receiver in settings.receivers)
        self._unrecorded: list[Delivery] = []
        self._waits = Waits(clock)
        self._closed_until: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._horizon: datetime | None = None
        self._over: Set[str] = frozenset()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in force."""
        return self._settings.active_rules

    def use(self, settings: Settings) -> None:
        """Decide by the rules of ``settings`` from the next window on; to be called between two windows.

        What is open of a rule that is gone resolves at that window: nobody else would ever say that it is over.
        """
        found = {rule.name: rule for rule in settings.active_rules}
        gone = self._gone | {name: ended(rule) for name, rule in self._rules.items()}
        self._gone = {name: rule for name, rule in gone.items() if name not in found}
        self._settings, self._rules = settings, found

    # Deciding ------------------------------------------------------------------------------------------------------

    def decide(self, window: Window, metrics: Sequence[WindowMetric]) -> list[Transition]:
        """Evaluate every rule on one window, closed or revised; store what changes, return the transitions at its end.

        Called again with the same numbers it returns the same and adds nothing; with others, because late rows have
        come, it corrects what was decided at this window, as far as nobody is paged twice. Instances that have moved on
        since are left alone (``evaluation.evaluate``).

        Raises:
            StoreUnavailable: call again with the same window.
        """
        if not self._rules and not self._gone:
            return []
        rules, gone = tuple(self._rules.values()), tuple(self._gone.values())
        known = history.load(self._store, [*self._rules, *self._gone], window.end)
        verdicts = evaluate(rules, window, metrics, known, StoredPast(self._store, rules))
        verdicts += evaluate(gone, window, (), known, StoredPast(self._store, gone)) if gone else []
        over = left_out(rules, metrics, known)
        for name in sorted(over.keys() - self._over):
            logger.warning("rule %s: %d series are over its max_instances and not looked at", name, over[name])
        self._over = over.keys()
        judged = {verdict.fingerprint: verdict.metric for verdict in verdicts if verdict.metric is not None}
        fresh = [transition for verdict in verdicts for transition in verdict.transitions]
        if fresh:
            rows = history.table(fresh, self._clock.now())
            self._store.insert("alerts_raw", rows, token=_token("alerts", window, (one.id for one in fresh)))
            for one in fresh:
                self._recorder.add(TRANSITIONS, 1, one.rule, one.to_state)
        found = [*(one for own in known.recorded.values() for one in own), *fresh]
        self._put_into_outbox(window, [one for one in found if one.told], judged)
        return sorted(found, key=lambda one: (one.rule, one.fingerprint, one.sequence))

    def let_pass(self, began: datetime, until: datetime) -> list[Transition]:
        """Decide the windows without any row that end in ``(began, until]``, where a silence has become too long.

        Raises:
            StoreUnavailable: call again.
        """
        if not self._rules or until <= began:
            return []
        rules = tuple(self._rules.values())
        known = history.load(self._store, list(self._rules), until)
        size, step = self._settings.windows.size, self._settings.windows.step
        windows = quiet(rules, began, until, size, step, known, StoredPast(self._store, rules))
        return [transition for window in windows for transition in self.decide(window, ())]

    def _put_into_outbox(
        self, window: Window, transitions: Sequence[Transition], judged: Mapping[str, WindowMetric]
    ) -> None:
        """Write a row for each transition and receiver that has none."""
        if not transitions:
            return
        there = outbox.existing(self._store, window.end)
        by_rule: dict[str, list[Change]] = {}
        for transition in transitions:
            receivers = self._receivers(self._rule(transition.rule))
            if any((transition.id, receiver) not in there for receiver in receivers):
                metric = _number_of(transition, window, judged.get(transition.fingerprint))
                by_rule.setdefault(transition.rule, []).append(Change(transition, metric))
        rows: list[tuple[Notification, str]] = []
        for name, changes in by_rule.items():
            rule = self._rule(name)
            for note in compose(self._store, self._settings, self._thresholds, rule, changes):
                rows += [(note, one) for one in self._receivers(rule) if (note.id, one) not in there]
        if rows:
            token = _token("outbox", window, (f"{note.id}/{receiver}" for note, receiver in rows))
            self._store.insert("outbox_raw", outbox.outbox_table(rows, self._clock.now()), token=token)

    def _rule(self, name: str) -> Rule:
        return self._rules.get(name) or self._gone[name]

    def _receivers(self, rule: Rule) -> tuple[str, ...]:
        return rule.receivers or self._everyone

    # Delivering ----------------------------------------------------------------------------------------------------

    async def deliver(self) -> int:
        """Try what is due, all receivers at once, at most 20 messages or 10 s each; return how many were accepted.

        Per receiver, messages of one alert go out in order. A message that fails waits 2 s, then twice as long each
        time, up to 15 minutes or what the receiver asks for, and so does its receiver; after 24 hours and ten attempts,
        or when the receiver says that it never will take it, it is recorded as failed and logged. A message older than
        that which was tried less often, because no process ran, is given up only once its receiver has refused ten
        times in a row. Waits are measured by the monotonic timer, so that no wrong clock holds up a message. No
        receiver holds up another for longer than 30 seconds. One process at a time should deliver; two at once are kept
        apart by a lease of 30 seconds.

        Raises:
            StoreUnavailable: call again; what was accepted and could not be recorded is recorded first then.
        """
        await self._record()
        now = self._clock.now()
        parcels = await asyncio.to_thread(outbox.open_parcels, self._store, self._horizon)
        if outbox.all_listed(parcels):
            self._horizon = min([now, *(parcel.created_at for parcel in parcels)]) - outbox.OVERLAP
        self._waits.look(parcels)
        queues: dict[str, list[Parcel]] = {}
        for parcel in parcels:
            hopeless = parcel.receiver not in self._notifiers or self._failures.get(parcel.receiver, 0) >= DEAD_AFTER
            if now - parcel.created_at >= outbox.GIVE_UP and (parcel.attempts >= DEAD_AFTER or hopeless):
                self._result(parcel, max(parcel.attempts, 1), Status.FAILED, "gave up after 24 h")
            else:
                queues.setdefault(parcel.receiver, []).append(parcel)
        await self._record()
        due = {
            receiver: outbox.next_due(queue, self._waits.over, PER_PASS)
            for receiver, queue in queues.items()
            if receiver in self._notifiers and self._closed_until.get(receiver, -inf) <= self._clock.monotonic()
        }
        if not any(due.values()):
            return 0
        chosen = [parcel for own in due.values() for parcel in own]
        notes = await asyncio.to_thread(outbox.payloads, self._store, chosen)
        results = await asyncio.gather(
            *(self._send_all(receiver, own, notes) for receiver, own in due.items()), return_exceptions=True
        )
        await self._record()
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return sum(result for result in results if isinstance(result, int))

    async def _send_all(
        self, receiver: str, parcels: Sequence[Parcel], notes: Mapping[tuple[str, str], Notification]
    ) -> int:
        """Send to one receiver, in order, until it does not take one for now or its time is up."""
        sent = 0
        started = self._clock.monotonic()
        for parcel in parcels:
            if self._clock.monotonic() - started >= PASS_SECONDS:
                break
            status = await self._send(parcel, notes[parcel.id, receiver])
            sent += status is Status.SENT
            if status in (Status.RETRYING, Status.ATTEMPTING):
                break
        return sent

    async def _send(self, parcel: Parcel, note: Notification) -> Status:
        """Try once; return what came of it, ATTEMPTING where it was left to another process or to later."""
        attempt = parcel.attempts + 1
        now, started = self._clock.now(), self._clock.monotonic()
        begun = Delivery(
            parcel.id, parcel.receiver, attempt, Status.ATTEMPTING, "", now + outbox.LEASE, now, self._owner
        )
        await self._insert([begun])
        if await asyncio.to_thread(outbox.taken, self._store, begun):
            logger.info("alert %s for receiver %s is another process's", parcel.alert_id, parcel.receiver)
            return Status.ATTEMPTING
        # The last thing before sending: this process may have been stopped since, and at the lease's end another sends.
        if self._clock.monotonic() - started > outbox.LEASE.total_seconds() - ANSWER_SECONDS:
            logger.warning("alert %s: too late to send it under its lease; it is tried again", parcel.alert_id)
            return Status.ATTEMPTING
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._notifiers[parcel.receiver].notify(note)
        except DeliveryError as error:
            status, reason, retry_after = _verdict(error)
        except TimeoutError:
            status, reason, retry_after = Status.RETRYING, f"receiver {parcel.receiver!r}: no answer in time", None
        except Exception as error:
            # A fault of ours must not stop the other pages; its text may hold a secret, its type cannot.
            status, reason, retry_after = Status.RETRYING, f"unexpected {type(error).__name__}", None
        else:
            self._failures.pop(parcel.receiver, None)
            waited = (self._clock.now() - note.at).total_seconds()
            self._recorder.observe(EVENT_TO_ALERT, [waited], parcel.receiver)
            self._result(parcel, attempt, Status.SENT, "")
            await self._record()
            return Status.SENT
        wait = timedelta(0)
        if status is Status.RETRYING:
            failures = self._failures[parcel.receiver] = self._failures.get(parcel.receiver, 0) + 1
            wait = outbox.delay(parcel.id, attempt, retry_after)
            gate = outbox.delay(parcel.receiver, failures, retry_after)
            self._closed_until[parcel.receiver] = self._clock.monotonic() + gate.total_seconds()
        self._result(parcel, attempt, status, reason, wait)
        await self._record()
        return status

    def _result(self, parcel: Parcel, attempt: int, status: Status, error: str, wait: timedelta = timedelta(0)) -> None:
        now = self._clock.now()
        if status is Status.FAILED:
            logger.error("alert %s will not reach receiver %s: %s", parcel.alert_id, parcel.receiver, error)
        elif status is Status.RETRYING:
            logger.warning("alert %s: %s; again in %.0f s", parcel.alert_id, error, wait.total_seconds())
        self._recorder.add(DELIVERIES, 1, parcel.receiver, status)
        self._unrecorded.append(
            Delivery(parcel.id, parcel.receiver, attempt, status, error, now + wait, now, self._owner)
        )

    async def _record(self) -> None:
        """Write what happened; what cannot be written now is kept and written first next time."""
        if not self._unrecorded:
            return
        pending, self._unrecorded = self._unrecorded, []
        try:
            await self._insert(pending)
        except BaseException:
            self._unrecorded = pending + self._unrecorded
            raise

    async def _insert(self, deliveries: Sequence[Delivery]) -> None:
        token = _digest(
            f"{one.id}/{one.receiver}/{one.attempt}/{one.status}/{one.at}/{one.owner}" for one in deliveries
        )
        rows = outbox.delivery_table(deliveries)
        await asyncio.to_thread(self._store.insert, "deliveries_raw", rows, token=f"deliveries/{token}")


def _verdict(error: DeliveryError) -> tuple[Status, str, float | None]:
    return (Status.RETRYING if error.retryable else Status.FAILED), str(error), error.retry_after


def _number_of(transition: Transition, window: Window, judged: WindowMetric | None) -> WindowMetric:
    """Return the number behind ``transition``: ``judged``, unless the rows have changed since it was decided."""
    if judged is not None and judged.value == transition.value and judged.n == transition.n:
        return judged
    segments = [(name, value) for name, value in transition.labels.items() if name != "application"]
    series = SeriesKey(transition.labels["application"], *(segments[0] if segments else ()))
    detail = {"weighted": True} if transition.detail.get("weighted") else {}
    return WindowMetric(window, series, transition.metric, transition.value, transition.n, transition.n, detail=detail)


def _token(table: str, window: Window, ids: Iterable[str]) -> str:
    """Return an insert token of a window and what is written for it."""
    return f"{table}/{window.start.isoformat()}/{window.end.isoformat()}/{_digest(ids)}"


def _digest(ids: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:32]
