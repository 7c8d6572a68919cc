"""Rows of a period -> a reference with what is to be known of it: seasons, homogeneity, dispersion, neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.homogeneity import MOST_BLOCKS, dispersion, homogeneity
from inferwatch.detectors.drift.seasonality import HOURS, Cycle, seasonality, slots
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import DriftSettings
from inferwatch.streams.ports import Store
from inferwatch.streams.references.neighbours import unlike_neighbours
from inferwatch.streams.references.sampling import Rows, Scope, panes, revisions, sample
from inferwatch.streams.references.seasons import Season, hour_of
from inferwatch.streams.references.stored import Draft
from inferwatch.streams.references.two_sample import two_sample_test

SMALLEST = 50
"""A baseline of fewer vectors says too little about what is normal."""
HISTORY = 10_000
"""Rows that are asked whether there are seasons."""
CHECKED = 2000
"""Rows of a large reference that are tested for homogeneity."""


class Builder:
    """Makes drafts of references; stores nothing.

    Args:
        store: where the vectors are.
        settings: of drift.
        size: of the windows that will be compared.
    """

    def __init__(self, store: Store, settings: DriftSettings, size: timedelta) -> None:
        self._store = store
        self._settings = settings
        self._size = size

    def draft(self, scope: Scope, *, name: str, rows: int, origin: str, seasonal: str = "off") -> Draft:
        """Sample ``scope`` and look whether it is fit to be a reference.

        Args:
            scope: which vectors.
            name: of the reference.
            rows: most vectors kept; with seasons, of each slot.
            origin: where it comes from.
            seasonal: ``off``, ``hour-of-day``, ``hour-of-week``, or ``auto``: what the data ask for.

        Raises:
            Misconfigured: there are fewer than 50 vectors, or vectors of several encoder revisions.
        """
        what = (
            f"reference {name!r} of {scope.application!r}, field {scope.field!r}, "
            f"[{scope.start.isoformat()}, {scope.end.isoformat()})"
        )
        found = revisions(self._store, scope)
        if len(found) > 1:
            listed = ", ".join(f"{revision} ({n} rows)" for revision, n in found.items())
            raise Misconfigured(f"{what}: the period mixes encoder revisions {listed}; choose a period with one")
        if sum(found.values()) < SMALLEST:
            raise Misconfigured(
                f"{what}: the period holds {sum(found.values())} vectors, at least {SMALLEST} are needed"
            )
        verdict: dict[str, Any] = {}
        season = self._season(scope, seasonal, rows, verdict)
        kept = sample(self._store, scope, rows, season)
        if len(kept.ids) < SMALLEST:
            raise Misconfigured(
                f"{what}: the period holds {len(kept.ids)} conversations, at least {SMALLEST} are needed"
            )
        draft = Draft(
            name, scope.application, scope.field, next(iter(found)), (scope.start, scope.end), kept.ids, kept.vectors,
            kept.timestamps, kept.slots, origin, season, verdict=verdict,
        )  # fmt: skip
        windows, groups, usual = panes(self._store, scope, self._size, self._settings.min_rows)
        spread = 1.0
        if groups:
            hours = tuple(season.slots[season.hour(at)] if season else 0 for at in windows.timestamps)
            rest = _without_season(replace(windows, slots=hours), _means(kept))
            spread = dispersion(rest, groups, min(usual, self._settings.window_rows))
        unlike = unlike_neighbours(self._store, scope) if origin == "period" else ()
        return self.judged(draft, spread, unlike)

    def draft_of(self, rows: Rows, *, name: str, application: str, field: str, revision: str, origin: str) -> Draft:
        """Make a draft of rows that are not in the store.

        Raises:
            Misconfigured: they are fewer than 50.
        """
        if len(rows.ids) < SMALLEST:
            raise Misconfigured(
                f"reference {name!r} of {application!r}, field {field!r}: {len(rows.ids)} rows have a vector, at least "
                f"{SMALLEST} are needed"
            )
        rows = rows.sorted()
        period = (rows.timestamps[0], rows.timestamps[-1] + timedelta(milliseconds=1))
        draft = Draft(
            name, application, field, revision, period, rows.ids, rows.vectors, rows.timestamps, rows.slots, origin
        )
        blocks = [place * MOST_BLOCKS // len(rows.ids) for place in range(len(rows.ids))]
        # Of its own blocks, not of windows: nobody knows how many rows those had.
        size = min(self._settings.window_rows, len(rows.ids) / MOST_BLOCKS)
        return self.judged(draft, dispersion(rows.vectors, blocks, size))

    def judged(self, draft: Draft, spread: float, unlike: tuple[str, ...] = ()) -> Draft:
        """Return ``draft`` with its verdict: what speaks against it, and the numbers."""
        rows = Rows(draft.ids, draft.vectors, draft.timestamps, draft.slots)
        step = max(1, -(-len(rows.ids) // CHECKED))
        rest = _without_season(rows, _means(rows))[::step]
        checked = replace(draft, ids=draft.ids[::step], vectors=rest).reference()
        found = homogeneity(two_sample_test(self._settings), checked)
        findings = (*found.findings, *unlike)
        verdict = draft.verdict | asdict(found) | {"findings": findings, "dispersion": spread}
        return replace(draft, dispersion=spread, verdict=verdict)

    def _season(self, scope: Scope, seasonal: str, rows: int, verdict: dict[str, Any]) -> Season | None:
        """Return the season to build by, and note in ``verdict`` what the data said."""
        if seasonal == "off":
            return None
        zone = self._settings.zone(scope.application)
        history = sample(self._store, scope, HISTORY)
        local = [at.astimezone(zone) for at in history.timestamps]
        days, hours = (np.array(part) for part in zip(*((at.toordinal(), at.hour) for at in local), strict=True))
        said = seasonality(history.vectors, days - 1, hours)  # ordinal 1 was a Monday
        cycle: Cycle = said.asked_for if seasonal == "auto" else seasonal  # type: ignore[assignment]
        verdict["seasonality"] = asdict(said) | {"cycle": cycle}
        return (
            None
            if cycle == "off"
            else self._slots(history, zone, cycle, rows, sum(revisions(self._store, scope).values()))
        )

    def _slots(self, history: Rows, zone: ZoneInfo, cycle: Cycle, rows: int, total: int) -> Season:
        hours = np.array([hour_of(at, zone, HOURS[cycle]) for at in history.timestamps])
        # A slot should hold half of what a whole reference may; the history is a sample of what there is.
        least = max(1, round(max(SMALLEST, rows / 2) * len(hours) / total))
        return Season(zone.key, slots(history.vectors, hours, HOURS[cycle], least))


def _means(rows: Rows) -> Mapping[int, F32]:
    """Return slot -> mean vector."""
    codes = np.array(rows.slots)
    return {int(slot): rows.vectors[codes == slot].mean(axis=0) for slot in np.unique(codes)}


def _without_season(rows: Rows, means: Mapping[int, F32]) -> F32:
    """Return the vectors less what their slots have in common; as they are where there is one slot."""
    if len(means) < 2:
        return rows.vectors
    usual = np.mean(list(means.values()), axis=0)
    return rows.vectors - np.stack([means.get(slot, usual) for slot in rows.slots]).astype(np.float32)
