"""A reference that follows the traffic from day to day, and cannot learn the drift in.

A reference that is rebuilt from all of the recent past follows a slow drift step by step, and never sees it. Three
things keep this one from it: it is built from calm windows only, those that did not differ from the reference of their
own time; the latest past (``lag``) is left out, so that a drift is seen before it can be learnt; and it is adopted only
while it is within a stated effect of the *anchor*, the last reference that a person or the start of the service chose.
The last bounds the sum of the steps, whatever their size: once the traffic has gone further than that, the reference
stands still, and the distance to it grows until it is found.

References:
    Gama et al. 2014, A survey on concept drift adaptation (blind and informed adaptation). Montgomery 2020,
    Introduction to statistical quality control, section 5.3 (limits are revised from in-control samples only).
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from inferwatch.detectors.drift.reference import Reference
from inferwatch.detectors.drift.result import TwoSampleTest
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import DriftSettings
from inferwatch.schemas.windows import ALL, EPOCH, Window
from inferwatch.streams.ports import Store
from inferwatch.streams.references.promotions import ROLLING, Promotion
from inferwatch.streams.references.references import References
from inferwatch.streams.references.sampling import Scope
from inferwatch.streams.references.stored import Draft
from inferwatch.streams.references.two_sample import two_sample_test

logger = logging.getLogger(__name__)


class Rolling:
    """Rebuilds the rolling references of an application at its first window of each local day.

    Args:
        store: has the vectors, and the published drift of the windows they are of.
        references: where references are read and kept.
        settings: of drift.
        size: of the windows.
    """

    def __init__(self, store: Store, references: References, settings: DriftSettings, size: timedelta) -> None:
        self._store = store
        self._references = references
        self._settings = settings
        self._size = size

    def roll(self, window: Window, application: str, field: str, revision: str) -> None:
        """Build and promote the day's rolling reference, if ``window`` is the first of its day and the limits allow it.

        A function of what was published before ``window``; done again it finds what it made.
        """
        day = self._day(window, application)
        if self._closed_since(day, window, application):
            return
        anchor = self._references.anchor(application, field, revision, day)
        if anchor is None:
            return
        version = self._references.versions.made_of(application, field, ROLLING, revision, self._period(day))
        if version is None:
            version = self._built(day, application, field, revision, anchor)
        if version is not None:
            limit = self._settings.rolling.most_effect
            why = f"{ROLLING} v{version}: within effect {limit:g} of {anchor.name} v{anchor.version}"
            promotion = Promotion(ROLLING, version, day, ROLLING)
            self._references.promotions.add(application, field, promotion, revision, "inferwatch", day, why)

    def _built(self, day: datetime, application: str, field: str, revision: str, anchor: Promotion) -> int | None:
        start, end = self._period(day)
        scope = self._calm(Scope(application, field, max(start, EPOCH), end, revision))
        try:
            draft = self._references.builder.draft(
                scope, name=ROLLING, rows=self._settings.reference_rows, origin=ROLLING
            )
        except Misconfigured as error:
            logger.info("%s", error)
            return None
        frozen = self._references.versions.load(application, field, anchor.name, anchor.version).whole
        limit = self._settings.rolling.most_effect
        effect = within(two_sample_test(self._settings), frozen, draft, limit)
        if effect is not None:
            far = f"effect {effect:.3f} from {anchor.name} v{anchor.version}, and {limit:g} is allowed"
            why = f"kept as it was: a new one would be at {far}"
            logger.warning("rolling reference of %s, %s %s", application, field, why)
            subject = f"rolling reference {application}/{field}"
            self._references.promotions.audit("inferwatch", "keep", subject, why, day)
            return None
        return self._references.keep_once(draft)

    def _day(self, window: Window, application: str) -> datetime:
        """Return when the local day began that ``window`` starts in."""
        local = window.start.astimezone(self._settings.zone(application))
        return local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(window.start.tzinfo)

    def _period(self, day: datetime) -> tuple[datetime, datetime]:
        end = day - self._settings.rolling.lag
        return end - self._settings.rolling.period, end

    def _closed_since(self, day: datetime, window: Window, application: str) -> bool:
        # Of the table, by its sorting key: the view looks at every window there is.
        rows = self._store.query(
            "SELECT 1 FROM window_metrics_raw WHERE application = {application:String} AND metric = 'inferences' "
            "AND segment_dimension = {all:String} AND segment_value = {all:String} "
            "AND window_start >= {day:DateTime64(3, 'UTC')} AND window_start < {start:DateTime64(3, 'UTC')} LIMIT 1",
            {"application": application, "all": ALL, "day": day, "start": window.start},
        )
        return bool(rows.num_rows)

    def _calm(self, scope: Scope) -> Scope:
        """Return ``scope`` less the rows of windows that differed from their reference, or had no number."""
        condition = (
            "intDiv(toUnixTimestamp64Milli(timestamp), {size:Int64}) IN ("
            "SELECT intDiv(toUnixTimestamp64Milli(window_start), {size:Int64}) FROM window_metrics AS m "
            "WHERE application = {application:String} AND metric = {metric:String} "
            "AND segment_dimension = {all:String} AND m.value >= {calm:Float64} "
            "AND window_start >= {start:DateTime64(3, 'UTC')} AND window_start < {end:DateTime64(3, 'UTC')} "
            "AND toUnixTimestamp64Milli(window_start) % {size:Int64} = 0)"
        )
        own = {
            "size": self._size // timedelta(milliseconds=1),
            "metric": f"drift.{scope.field}.p_value",
            "all": ALL,
            "calm": self._settings.rolling.calm,
        }
        return Scope(scope.application, scope.field, scope.start, scope.end, scope.revision, condition, own)


def within(test: TwoSampleTest, anchor: Reference, draft: Draft, limit: float) -> float | None:
    """Return None if ``draft`` is within ``limit`` of ``anchor``, else the effect; NaN where the test abstains."""
    drift = test.compare(anchor, draft.vectors)
    return None if drift.effect <= limit else drift.effect
