"""From a closed window to a delivered page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime

from inferwatch.schemas.alerts import Transition
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import Window
from inferwatch.streams.alerting import history
from inferwatch.streams.alerting.delivering import Deliverer
from inferwatch.streams.alerting.dispatch import Dispatcher
from inferwatch.streams.alerting.evaluation import ended, evaluate, left_out, quiet
from inferwatch.streams.alerting.events import EventWatch
from inferwatch.streams.alerting.past import StoredPast
from inferwatch.streams.ports import Notifier, Store
from inferwatch.streams.rows import ids_digest
from inferwatch.streams.telemetry import SILENT, TRANSITIONS, Recorder

logger = logging.getLogger(__name__)


class Alerting:
    """Decides alerts, and sees to it that people are told. Its memory is the store: any worker may go on where another
    stopped.

    Nothing is lost, because of the order in which one window is written: first the transitions (one atomic insert),
    then the messages that are due (one atomic insert into the outbox, which is also the log of what has been told), and
    only then, by the caller, the row that marks the window closed. A crash

    - before the transitions leaves nothing, and the window is decided again from the same states;
    - between the two leaves transitions without messages. What is to be told is not derived from the window but from
      the alerts that stand and the log, so the next look makes up for it, here or in another process. The window is not
      marked closed, so it is decided again, before any later one could end the alert: transitions recorded at its end
      are taken as they are;
    - after the outbox finds everything there, and writes nothing.

    What is not due when a window closes (a group that waits, a mute time, a silence, a repetition) is found by the same
    look, which ``deliver`` takes every few seconds. There is no timer that a crash could take: waits count from times
    that are stored.

    Nobody is paged twice. Each message names the one that was its group's last when it was decided, and its id is a
    function of group, receiver, that one, and what it tells of which alert: the same decision made again, by a
    repetition or another process, is the same row, and a delivery is recorded under the same key. Two processes that
    saw different news at once may write a message each after the same one; before one is sent the other is looked for,
    only one of them goes out, and what only the other told is news again.

    One gap cannot be closed from this side: a crash after a receiver accepted a message and before that was recorded
    sends it again, 30 seconds or more later, with the same ids. PagerDuty absorbs the repetition by ``dedup_key``, a
    webhook's owner can by ``Idempotency-Key``; Slack shows it twice, with the same alert id in both.

    Args:
        settings: rules, receivers, routing, segments, the address of the web page.
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
        self._clock = clock
        self._recorder = recorder
        self._rules = {rule.name: rule for rule in settings.active_rules}
        thresholds = dict(score_thresholds or {}) | settings.detectors.thresholds
        self._events = EventWatch(store, settings.event_rules, clock, recorder)
        self._dispatcher = Dispatcher(settings, store, clock, thresholds, recorder)
        self._deliverer = Deliverer(store, notifiers, clock, recorder)
        self._gone: dict[str, Rule] = {}
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
        self._events.use(settings.event_rules)
        self._dispatcher.use(settings, tuple(self._gone.values()))

    # Deciding ------------------------------------------------------------------------------------------------------

    def decide(
        self, window: Window, metrics: Sequence[WindowMetric], passed: datetime | None = None
    ) -> list[Transition]:
        """Evaluate every rule on one window, closed or revised; store what changes, return the transitions at its end.

        Called again with the same numbers it returns the same and adds nothing; with others, because late rows have
        come, it corrects what was decided at this window, as far as nobody is paged twice. Instances that have moved on
        since are left alone, and so are those that have no number in a window that ends by ``passed``, up to which
        windows have been decided before (``evaluation.evaluate``).

        Raises:
            StoreUnavailable: call again with the same window.
        """
        if not self._rules and not self._gone:
            return []
        rules, gone = tuple(self._rules.values()), tuple(self._gone.values())
        known = history.load(self._store, [*self._rules, *self._gone], window.end)
        verdicts = evaluate(rules, window, metrics, known, StoredPast(self._store, rules), passed)
        verdicts += evaluate(gone, window, (), known, StoredPast(self._store, gone)) if gone else []
        over = left_out(rules, metrics, known)
        for name in sorted(over.keys() - self._over):
            logger.warning("rule %s: %d series are over its max_instances and not looked at", name, over[name])
        self._over = over.keys()
        fresh = [transition for verdict in verdicts for transition in verdict.transitions]
        if fresh:
            rows = history.table(fresh, self._clock.now())
            self._store.insert("alerts_raw", rows, token=_token("alerts", window, (one.id for one in fresh)))
            for one in fresh:
                self._recorder.add(TRANSITIONS, 1, one.rule, one.to_state)
        found = [*(one for own in known.recorded.values() for one in own), *fresh]
        if any(one.told for one in found):
            self._dispatcher.dispatch()
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
        return [transition for window in windows for transition in self.decide(window, (), began)]

    def look_at_rows(self, mark: datetime | None) -> list[Transition]:
        """Let rules on single rows take in what has been stored; ``mark`` is up to where event time is complete.

        Raises:
            StoreUnavailable: call again.
        """
        changed = self._events.look(mark)
        if changed:
            self._dispatcher.dispatch()
        return changed

    # Telling ---------------------------------------------------------------------------------------------------------

    async def deliver(self) -> int:
        """Write what has become due into the outbox, then try what is in it; return how many messages were accepted.

        Raises:
            StoreUnavailable: call again; what was accepted and could not be recorded is recorded first then.
        """
        await asyncio.to_thread(self._dispatcher.dispatch_if_due)
        return await self._deliverer.deliver()


def _token(table: str, window: Window, ids: Iterable[str]) -> str:
    """Return an insert token of a window and what is written for it."""
    return f"{table}/{window.start.isoformat()}/{window.end.isoformat()}/{ids_digest(ids)}"
