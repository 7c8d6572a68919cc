"""One alert from its first transition to its last, as the store has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from inferwatch.schemas.alerts import ACTIVE
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.alerting.history import LATEST
from inferwatch.streams.alerting.rules import series_of
from inferwatch.streams.ports import Store

OPEN = tuple(sorted(state.value for state in ACTIVE))
"""States in which people were told that it began, and not yet that it is over."""
OVER = ("resolved", "inactive")


@dataclass(frozen=True, slots=True)
class Step:
    """One transition. ``window`` is the one it was decided by, where that is known; ``at`` is its end.

    ``detail`` is what the rule's evaluation left: ``weighted``, ``reason``, ``judged`` and others.
    """

    from_state: str
    to_state: str
    at: datetime
    decided_at: datetime
    value: float
    threshold: str
    n: int
    window: Window | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert, ``steps`` in order, at least one."""

    alert_id: str
    fingerprint: str
    rule: str
    metric: str
    severity: str
    labels: dict[str, str]
    since: datetime
    steps: tuple[Step, ...]

    @property
    def series(self) -> SeriesKey:
        return series_of(self.labels)

    @property
    def state(self) -> str:
        return self.steps[-1].to_state

    @property
    def opened(self) -> Step:
        """The step that people were told of first; of an alert that never fired, the last one."""
        return next((step for step in self.steps if step.to_state in OPEN), self.steps[-1])

    @property
    def fired(self) -> datetime | None:
        return next((step.at for step in self.steps if step.to_state == "firing"), None)

    @property
    def ended(self) -> datetime | None:
        """When it was over, None while it lasts."""
        return self.steps[-1].at if self.state in OVER else None

    @property
    def size(self) -> timedelta:
        """The length of its windows."""
        known = (step.window for step in self.steps if step.window is not None)
        return next((window.size for window in known), timedelta(minutes=5))

    @property
    def bad_until(self) -> datetime | None:
        """Where the last window that was not yet well ends; None while the alert lasts."""
        last = self.steps[-1]
        if self.ended is None:
            return None
        begun = last.window.start if last.window is not None else last.at - self.size
        return max(begun, min(step.at for step in self.steps))


def read(store: Store, alert_id: str) -> Episode | None:
    """Return the alert of this id, or None where the store has no transition of it."""
    rows = store.query(
        "SELECT fingerprint, rule, metric, severity, labels, from_state, to_state, a.at AS at, since, value, "
        f"threshold, n, detail, decided_at FROM alerts AS a WHERE alert_id = {{id:String}} ORDER BY {LATEST}",
        {"id": alert_id},
    ).to_pylist()
    if not rows:
        return None
    last = rows[-1]
    return Episode(
        alert_id=alert_id,
        fingerprint=last["fingerprint"],
        rule=last["rule"],
        metric=last["metric"],
        severity=last["severity"],
        labels=dict(last["labels"]),
        since=min(row["since"] for row in rows),
        steps=tuple(_step(row) for row in rows),
    )


def _step(row: Mapping[str, Any]) -> Step:
    detail = orjson.loads(row["detail"] or "{}")
    begun = detail.get("window_start")
    start = datetime.fromisoformat(begun) if isinstance(begun, str) else None
    return Step(
        from_state=row["from_state"],
        to_state=row["to_state"],
        at=row["at"],
        decided_at=row["decided_at"],
        value=row["value"],
        threshold=row["threshold"],
        n=int(row["n"]),
        window=Window(start, row["at"]) if start is not None and start < row["at"] else None,
        detail=detail,
    )
