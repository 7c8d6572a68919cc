"""Sampling plans in the store: made when a window closes, read by every worker.

A plan says with which probability a row of each band of the guide is scored. It holds from one window's length after
the window it was made of, so that rows it will decide have, in live traffic, not been seen yet. No number depends on
when a worker learns of a plan: what a row was drawn with is stored in the row.
"""

from __future__ import annotations

import hashlib
import logging
from bisect import bisect_right
from collections.abc import Mapping
from datetime import datetime, timedelta

import pyarrow as pa

from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import StoreUnavailable
from inferwatch.schemas.settings import BudgetSettings
from inferwatch.schemas.windows import Window
from inferwatch.streams.aggregate import IN_WINDOW
from inferwatch.streams.ports import Store
from inferwatch.streams.rows import INSTANT
from inferwatch.streams.sampling import BANDS, BOUNDS, probabilities

logger = logging.getLogger(__name__)

MEMORY = 12
"""Of how many window lengths the mix of bands is taken."""
RELOAD = timedelta(seconds=5)
HOLDS = timedelta(days=1)
"""How long a plan holds that none follows; after a longer silence the plain share is back."""

_BAND = "+".join(f"(scores[{{guide:String}}] >= {bound})" for bound in BOUNDS)


class Plans:
    """The plans that rows are drawn by, read from the store every few seconds.

    Args:
        store: where the plans are.
        budgets: detector -> budget; those without a guide need no plan.
        clock: says when to read again.
    """

    def __init__(self, store: Store, budgets: Mapping[str, BudgetSettings], clock: Clock) -> None:
        self._store = store
        self._guided = {name: budget for name, budget in budgets.items() if budget.guide}
        self._clock = clock
        self._found: dict[tuple[str, str], list[tuple[datetime, tuple[float, ...]]]] = {}
        self._span: tuple[datetime, datetime] | None = None
        self._read_at: datetime | None = None

    def refresh(self, oldest: datetime, newest: datetime) -> None:
        """Read what is needed for rows of the event times ``[oldest, newest]``, unless that was done a moment ago.

        While the store does not answer, the plans known so far go on: they are as unbiased as any.
        """
        now = self._clock.now()
        fresh = self._read_at is not None and now - self._read_at < RELOAD
        covered = self._span is not None and self._span[0] <= oldest and newest <= self._span[1]
        if not self._guided or (fresh and covered):
            return
        since, until = oldest - HOLDS, newest + HOLDS
        try:
            rows = self._store.query(
                "SELECT application, detector, effective_from, probabilities, budget FROM sampling_plans "
                "WHERE effective_from > {since:DateTime64(3, 'UTC')} "
                "AND effective_from <= {until:DateTime64(3, 'UTC')} ORDER BY effective_from",
                {"since": since, "until": until},
            ).to_pylist()
        except StoreUnavailable as error:
            logger.warning("sampling plans cannot be read: %s; the last ones go on", error)
            return
        found: dict[tuple[str, str], list[tuple[datetime, tuple[float, ...]]]] = {}
        for row in rows:
            budget = self._guided.get(row["detector"])
            if budget is not None and row["budget"] == _describe(budget):
                plan = (row["effective_from"], tuple(row["probabilities"]))
                found.setdefault((row["application"], row["detector"]), []).append(plan)
        self._found = found  # at once: another batch may be reading
        self._span, self._read_at = (oldest, until), now

    def of(self, application: str, detector: str, at: datetime) -> tuple[float, ...] | None:
        """Return the probabilities by band in force at event time ``at``; None before the first plan."""
        known = self._found.get((application, detector), [])
        place = bisect_right(known, at, key=lambda plan: plan[0])
        if not place or known[place - 1][0] <= at - HOLDS:
            return None
        return known[place - 1][1]


class Planner:
    """Makes the plans that follow from a closed window."""

    def __init__(self, store: Store, budgets: Mapping[str, BudgetSettings], clock: Clock) -> None:
        self._store = store
        self._guided = {name: budget for name, budget in budgets.items() if budget.guide}
        self._clock = clock

    def plan(self, window: Window) -> None:
        """Store the plans that ``window``, and the plans of the windows before it, lead to.

        Raises:
            StoreUnavailable: call again; the same window gives the same plans.
        """
        for detector, budget in self._guided.items():
            seen = self._seen(window, budget)
            before = self._before(window, detector, budget)
            found = {
                application: probabilities(
                    [a + b for a, b in zip(counts, before.get(application, [0] * BANDS), strict=True)], budget
                )
                for application, counts in seen.items()
            }
            if found:
                self._store_plans(window, detector, budget, seen, found)

    def _seen(self, window: Window, budget: BudgetSettings) -> dict[str, list[int]]:
        """Return application -> rows of ``window`` in each band."""
        rows = self._store.query(
            f"SELECT application, if(mapContains(scores, {{guide:String}}), 1 + {_BAND}, 0) AS band, count() AS n "
            f"FROM inferences WHERE {IN_WINDOW} GROUP BY application, band ORDER BY application, band",
            {"guide": budget.guide, "start": window.start, "end": window.end},
        )
        found: dict[str, list[int]] = {}
        for row in rows.to_pylist():
            found.setdefault(row["application"], [0] * BANDS)[row["band"]] = int(row["n"])
        return found

    def _before(self, window: Window, detector: str, budget: BudgetSettings) -> dict[str, list[int]]:
        """Return application -> rows in each band in the windows before, as their plans say."""
        rows = self._store.query(
            "SELECT application, sumForEach(counts) AS counts FROM sampling_plans WHERE detector = {detector:String} "
            "AND budget = {budget:String} AND effective_from > {from:DateTime64(3, 'UTC')} "
            "AND effective_from < {until:DateTime64(3, 'UTC')} GROUP BY application",
            {
                "detector": detector,
                "budget": _describe(budget),
                "from": _effective(window) - MEMORY * window.size,
                "until": _effective(window),
            },
        )
        return {row["application"]: [int(count) for count in row["counts"]] for row in rows.to_pylist()}

    def _store_plans(
        self,
        window: Window,
        detector: str,
        budget: BudgetSettings,
        seen: Mapping[str, list[int]],
        found: Mapping[str, tuple[float, ...]],
    ) -> None:
        n = len(found)
        described = _describe(budget)
        content = hashlib.sha256(repr((described, sorted(seen.items()), sorted(found.items()))).encode()).hexdigest()
        table = pa.table(
            {
                "application": pa.array(list(found), pa.string()),
                "detector": pa.array([detector] * n, pa.string()),
                "effective_from": pa.array([_effective(window)] * n, INSTANT),
                "budget": pa.array([described] * n, pa.string()),
                "counts": pa.array([seen[application] for application in found], pa.list_(pa.uint64())),
                "probabilities": pa.array(list(found.values()), pa.list_(pa.float32())),
                "planned_at": pa.array([self._clock.now()] * n, INSTANT),
            }
        )
        self._store.insert("sampling_plans_raw", table, token=f"{detector}/{_effective(window).isoformat()}/{content}")


def _effective(window: Window) -> datetime:
    return window.end + window.size


def _describe(budget: BudgetSettings) -> str:
    """Return what a plan was made for: one made for another budget is not followed."""
    return f"share={budget.share:g} floor={budget.lowest:g} guide={budget.guide}"
