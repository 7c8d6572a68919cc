"""Closes windows: decides which are complete, publishes their metrics, asks for alerts.

State is in the store only. A window is published in this order: metrics, alert transitions with their outbox,
then the ``windows`` row that makes the revision visible. A crash anywhere before the last step repeats the window,
with the same numbers and the same transition ids, so nothing is lost and nothing counts twice.

Two closers at once (one that had been stopped wakes up beside its successor) cost work, not correctness. What they
publish of one window differs in its edition where its numbers differ, and the views show one edition whole: the
highest revision, and within a revision the one computed from more rows. That is the one computed last, because a
window's rows only ever grow and a revision is counted from what was published before its rows were read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from inferwatch.schemas.clock import Clock
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import ALL, EPOCH, Window, floor, sliding
from inferwatch.streams.aggregate import IN_WINDOW, aggregate
from inferwatch.streams.blind import BlindWatch
from inferwatch.streams.canary import CanaryWatch
from inferwatch.streams.drift import DriftWatch
from inferwatch.streams.explaining import Explainer
from inferwatch.streams.multiplicity import shared
from inferwatch.streams.opinions import PREFIX, opinions
from inferwatch.streams.plans import Planner
from inferwatch.streams.ports import Source, Store
from inferwatch.streams.progress import Arrivals, ProgressWatch
from inferwatch.streams.publication import Publication, publication, published, same
from inferwatch.streams.references import References
from inferwatch.streams.references.keeping import Keeper
from inferwatch.streams.scalar_drift import ScalarWatch
from inferwatch.streams.telemetry import CLOSED, CLOSING, REVISED, SILENT, STALLS, Recorder
from inferwatch.streams.watermark import Progress, watermark

logger = logging.getLogger(__name__)

REVISION_SCAN = timedelta(seconds=15)
"""How often closed windows that late rows have come for are computed again."""
WINDOWS_A_TICK = 50

Contents = tuple[int, int]
"""How many rows and how much feedback a window was computed from."""


class Decider(Protocol):
    """What is asked for alerts when a window closes; ``streams.alerting.engine.Alerting`` is it."""

    def decide(self, window: Window, metrics: Sequence[WindowMetric], passed: datetime | None) -> object:
        """Evaluate every rule on one window, closed or revised; calling it again with the same changes nothing.

        ``passed`` is up to which event time windows have been decided before, those without rows included.
        """
        ...

    def let_pass(self, began: datetime, until: datetime) -> object:
        """Evaluate every rule on the windows without rows that end in ``(began, until]``; again changes nothing."""
        ...


class Closer:
    """Publishes complete windows, and those again that late rows have come for.

    Which windows have rows is learnt from the stretches of event time that every stored batch leaves behind
    (``progress.Arrivals``), so a look at which nothing is due costs the same whatever is stored. The first look, and
    the first after ``release``, searches the rows themselves for what may have been left undone.

    Args:
        settings: the validated configuration.
        store: rows in, metrics out.
        clock: for idle and stalled partitions, and ``closed_at``.
        alerting: evaluates the rules on each newly closed window.
        encoder_revision: vectors of other revisions are not compared.
        thresholds: score name -> threshold, of every score the detectors emit.
        source: what the rows come from, if it can say how far it reaches; without one, what is stored is taken to be
            all there is.
        recorder: is told what was closed and how long it took.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        alerting: Decider,
        encoder_revision: str,
        thresholds: Mapping[str, float],
        source: Source | None = None,
        recorder: Recorder = SILENT,
    ) -> None:
        self._settings = settings
        self._windows = settings.windows
        self._store = store
        self._clock = clock
        self._alerting = alerting
        self._thresholds = thresholds
        self._blind = BlindWatch(store, settings.windows, list(thresholds))
        self._references = references = References(store, clock, settings)
        self._keeper = Keeper(store, references, settings, encoder_revision, clock)
        explainer = Explainer(store, settings.segments.dimensions, texts=settings.privacy.store_text)
        self._drift = DriftWatch(
            store, references, settings.drift, settings.windows, encoder_revision, clock, explainer
        )
        self._canary = CanaryWatch(store, settings, encoder_revision)
        self._scalars = ScalarWatch(store, references, settings, encoder_revision, thresholds, clock)
        self._planner = Planner(store, settings.detectors.budgets, clock)
        self._source = source
        self._recorder = recorder
        self._stalled: set[tuple[str, int]] = set()
        self.watermark: datetime | None = None
        """Event time up to which windows have been closed; never goes back."""
        self.closed = 0
        self.stalls = 0
        """How often a partition was no longer waited for although records of it were not stored."""
        self.release()

    def release(self) -> None:
        """Forget what is to be done: another process closes windows now."""
        self._progress = ProgressWatch(self._store, self._source, self._clock)
        self._arrivals = Arrivals(self._store)
        self._due: set[Window] | None = None
        self._revised_at: float | None = None
        self._looked_up_to: datetime | None = None
        self._passed: datetime | None = None

    def tick(self) -> list[Window]:
        """Close what the stored progress allows, oldest first; at most 50 windows a call.

        Raises:
            StoreUnavailable, Retryable: call again later; nothing is lost.
        """
        progress = self._progress.read()
        self._report_stalls(progress)
        mark = watermark(
            progress,
            lateness=self._windows.allowed_lateness,
            idle_timeout=self._windows.idle_timeout,
            stall_timeout=self._windows.stall_timeout,
        )
        if mark is not None:
            self.watermark = mark if self.watermark is None else max(mark, self.watermark)
        if self.watermark is None:
            return []
        now = self._clock.monotonic()
        revising = self._revised_at is None or now - self._revised_at >= REVISION_SCAN.total_seconds()
        place = floor(self.watermark, self._windows.step)
        if place == self._looked_up_to and not revising:
            return []
        last = self._last_closed()
        due = self._touched(self.watermark, last)
        fresh = [window for window in due if last is None or window.start > last]
        closed = self._close(fresh[:WINDOWS_A_TICK], last)
        self._let_pass(min([self.watermark, *(one.end - self._windows.step for one in fresh[WINDOWS_A_TICK:])]))
        self._looked_up_to = place if len(fresh) <= WINDOWS_A_TICK else None
        if revising:
            self._revised_at = now
            oldest = self.watermark - self._windows.revise_for
            late = [window for window in due if last is not None and window.start <= last]
            self._due = (self._due or set()) - {window for window in late if window.end <= oldest}
            closed += self._revise([window for window in late if window.end > oldest][:WINDOWS_A_TICK])
        return closed

    def flush(self) -> list[Window]:
        """Close every window that rows have been stored for: the source is finite and at its end."""
        arrivals = Arrivals(self._store).read()
        windows = sorted(self._holding(arrivals))
        last = self._last_closed()
        closed = self._close([window for window in windows if last is None or window.start > last], last)
        return closed + self._revise([window for window in windows if last is not None and window.start <= last])

    def _report_stalls(self, progress: Iterable[Progress]) -> None:
        stalled = {(part.topic, part.partition) for part in progress if part.stalled(self._windows.stall_timeout)}
        for topic, partition in sorted(stalled - self._stalled):
            self.stalls += 1
            self._recorder.add(STALLS, 1)
            logger.warning(
                "partition %d of %s holds records that nobody has stored for %s (windows.stall_timeout): windows close "
                "without them, and are revised when they come",
                partition, topic, self._windows.stall_timeout,
            )  # fmt: skip
        self._stalled = stalled

    # What is due -----------------------------------------------------------------------------------------------------

    def _touched(self, mark: datetime, last: datetime | None) -> list[Window]:
        """Return the windows that end by ``mark`` and have got rows since they were last looked at, oldest first."""
        if self._due is None:
            # What is noted from here on cannot be missed by a search that begins afterwards.
            self._arrivals.skip()
            since = EPOCH if last is None else max(EPOCH, min(last, mark) - self._windows.revise_for)
            self._due = self._holding(self._search(since))
        self._due |= self._holding(self._arrivals.read())
        return sorted(window for window in self._due if window.end <= mark)

    def _search(self, since: datetime) -> list[tuple[datetime, datetime]]:
        """Return the stretches of event time since ``since`` that have rows; reads one column of them all."""
        rows = self._store.query(
            "SELECT DISTINCT intDiv(toUnixTimestamp64Milli(timestamp), {step:Int64}) AS place FROM inferences_raw "
            "WHERE timestamp >= {since:DateTime64(3, 'UTC')}",
            {"step": self._windows.step // timedelta(milliseconds=1), "since": since},
        )
        starts = [EPOCH + int(row["place"]) * self._windows.step for row in rows.to_pylist()]
        return [(start, start) for start in starts]

    def _holding(self, stretches: Iterable[tuple[datetime, datetime]]) -> set[Window]:
        """Return the windows that hold a part of one of the stretches ``[first, last]``."""
        found: set[Window] = set()
        step, size = self._windows.step, self._windows.size
        for first, last in stretches:
            pane = floor(first, step)
            while pane <= last:
                found.update(sliding(pane, size, step))
                pane += step
        return found

    def _last_closed(self) -> datetime | None:
        """Return the start of the newest window ever closed."""
        rows = self._store.query("SELECT window_start FROM windows_raw ORDER BY window_start DESC LIMIT 1")
        return next((row["window_start"] for row in rows.to_pylist()), None)

    # Publishing ------------------------------------------------------------------------------------------------------

    def _close(self, windows: Sequence[Window], last: datetime | None) -> list[Window]:
        closed = []
        if self._passed is None and last is not None:
            self._passed = last + self._windows.size
        for window in windows:
            started = self._clock.monotonic()
            found = self._compute(window, 0, late=False)
            if found.rows:
                self._let_pass(window.end - self._windows.step)
                self._publish(found, late=False)
                self._passed = window.end
                closed.append(window)
                self._recorder.observe(CLOSING, [self._clock.monotonic() - started])
            self._settled(window)
        return closed

    def _let_pass(self, until: datetime) -> None:
        """Tell the alerting that no window that ends by ``until``, and has not been closed, has any row."""
        until = floor(until, self._windows.step)
        if self._passed is not None and until > self._passed:
            self._alerting.let_pass(self._passed, until)
            self._passed = until

    def _revise(self, windows: Sequence[Window]) -> list[Window]:
        """Publish again those of the closed ``windows`` that hold more than what was published."""
        revised = []
        known = self._published(windows)
        for window in windows:
            contents, revision = known.get(window, ((0, 0), -1))
            started = self._clock.monotonic()
            found = self._grown(window, contents, revision + 1)
            if found is not None:
                logger.info("%s again, revision %d: %s -> %s rows", window, revision + 1, contents[0], found.rows)
                self._publish(found, late=True)
                revised.append(window)
                self._recorder.observe(CLOSING, [self._clock.monotonic() - started])
            self._settled(window)
        return revised

    def _settled(self, window: Window) -> None:
        if self._due is not None:
            self._due.discard(window)

    def _published(self, windows: Sequence[Window]) -> dict[Window, tuple[Contents, int]]:
        """Return what was published of ``windows``, with its revision."""
        if not windows:
            return {}
        rows = self._store.query(
            "SELECT window_start, window_end, rows, feedback, revision FROM windows "
            "WHERE window_start >= {first:DateTime64(3, 'UTC')} AND window_start <= {last:DateTime64(3, 'UTC')}",
            {"first": min(window.start for window in windows), "last": max(window.start for window in windows)},
        ).to_pylist()
        return {
            Window(row["window_start"], row["window_end"]): ((row["rows"], row["feedback"]), row["revision"])
            for row in rows
        }

    def _grown(self, window: Window, contents: Contents, revision: int) -> Publication | None:
        """Return ``window`` computed again if it holds more than ``contents``; less it may, when rows have expired."""
        if self._has_more_rows(window, contents[0]):
            return self._compute(window, revision, late=True)
        if not contents[0]:
            return None
        # Nothing but feedback can have come, and the other numbers stay as they are.
        before = published(self._store, window)
        kept = [metric for metric in before if not metric.metric.startswith(PREFIX)]
        fed = self._opinions(window, kept)
        if not fed or same(fed, [metric for metric in before if metric.metric.startswith(PREFIX)]):
            return None
        return publication(window, revision, contents[0], kept + fed)

    def _has_more_rows(self, window: Window, rows: int) -> bool:
        span = {"start": window.start, "end": window.end}
        for table in ("inferences_raw", "inferences"):
            # Rows may be there more than once before they are merged: counting them all is quick, and a bound.
            counted = self._store.query(f"SELECT count() AS n FROM {table} WHERE {IN_WINDOW}", span)
            if counted.to_pylist()[0]["n"] <= rows:
                return False
        return True

    def _compute(self, window: Window, revision: int, *, late: bool) -> Publication:
        metrics = aggregate(self._store, window, self._settings.segments, self._thresholds)
        metrics += self._opinions(window, metrics)
        totals = {metric.series.application: metric.total for metric in metrics if metric.series.dimension == ALL}
        series = {metric.series: metric.total for metric in metrics}
        with self._references.promotions.once():
            if not late:
                self._keeper.keep(window, sorted(totals))
            metrics += shared(self._drift.measure(window, totals, revision))
            metrics += shared(self._scalars.measure(window, series))
        for application in sorted(totals):
            metrics += self._canary.measure(window, application)
        metrics += self._blind.measure(window, totals)
        return publication(window, revision, sum(totals.values()), metrics)

    def _opinions(self, window: Window, metrics: Sequence[WindowMetric]) -> list[WindowMetric]:
        return opinions(self._store, window, self._settings.segments, self._windows.revise_for, metrics)

    def _publish(self, found: Publication, *, late: bool) -> None:
        self._store.insert("window_metrics_raw", found.metric_rows(self._clock.now()), token=found.token)
        self._alerting.decide(found.window, found.metrics, self._passed)
        if not late:
            self._planner.plan(found.window)
        self._store.insert("windows_raw", found.window_row(self._clock.now(), self._passed), token=found.token)
        self.closed += 1
        self._recorder.add(REVISED if late else CLOSED, 1)
