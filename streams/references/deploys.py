"""A new model or prompt version takes over: what was before it is frozen, so that the two can be compared."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import DriftSettings
from inferwatch.schemas.windows import EPOCH, Window
from inferwatch.streams.aggregate import IN_WINDOW, segment_expression
from inferwatch.streams.ports import Store
from inferwatch.streams.references.firsts import PATIENCE
from inferwatch.streams.references.promotions import Promotion
from inferwatch.streams.references.references import References
from inferwatch.streams.references.sampling import Scope, revisions, start_of_last
from inferwatch.streams.rows import INSTANT

logger = logging.getLogger(__name__)

ORIGIN = "deploy"
MAJORITY = 0.5
LOOKBACK = timedelta(days=30)
"""How long before it took over the first row with a value is looked for: a canary may have run that long."""


Place = tuple[str, str]
"""Application and dimension."""


@dataclass(frozen=True, slots=True)
class Deploy:
    """``value`` had more than half of an application's rows for the first time in the window that starts ``at``.

    ``first_seen`` is when its first row came. ``previous`` had the traffic before; empty: nobody knows.
    """

    application: str
    dimension: str
    value: str
    previous: str
    at: datetime
    first_seen: datetime

    @property
    def before(self) -> str:
        """The name of the reference of what came before."""
        return f"before {self.dimension} {self.value}"

    @property
    def after(self) -> str:
        """The name of the reference of what came with it."""
        return f"after {self.dimension} {self.value}"


class Deploys:
    """Notices deploys in the rows of closed windows, and freezes references for them.

    A value is a deploy once: one that has had the traffic before, and gets it back, is a return to what is known.
    Everything is a function of the rows of windows up to the one that is closed and is written down so that doing it
    again changes nothing.
    """

    def __init__(self, store: Store, references: References, settings: DriftSettings, clock: Clock) -> None:
        self._store = store
        self._references = references
        self._settings = settings
        self._clock = clock

    def look(self, window: Window, applications: Sequence[str], revision: str) -> None:
        """Note what took over in ``window`` and freeze what was before it; adopt what took over earlier, if wanted."""
        if self._settings.on_deploy == "off" or not self._settings.deploy_dimensions:
            return
        known, leaders = self._known(window.start), self._leaders(window)
        for dimension in self._settings.deploy_dimensions:
            for application in applications:
                before = known.get((application, dimension), [])
                leader = leaders.get((application, dimension), "")
                if leader and all(one.value != leader for one in before):
                    deploy = self._deploy(window, application, dimension, leader, before)
                    if deploy.previous:
                        for field in self._settings.fields:
                            self._freeze_before(deploy, field, revision)
                    self._note(deploy)
                if self._settings.on_deploy == "adopt" and before and before[-1].previous:
                    for field in self._settings.fields:
                        self._adopt(before[-1], window, field, revision)

    def _known(self, until: datetime) -> dict[Place, list[Deploy]]:
        """Return the deploys before ``until``, the last at the end."""
        rows = self._store.query(
            "SELECT application, dimension, value, previous, at, first_seen FROM deploys "
            "WHERE at < {until:DateTime64(3, 'UTC')} ORDER BY at, value",
            {"until": until},
        )
        found: dict[Place, list[Deploy]] = {}
        for row in rows.to_pylist():
            found.setdefault((row["application"], row["dimension"]), []).append(Deploy(**row))
        return found

    def _leaders(self, window: Window) -> dict[Place, str]:
        """Return the value that more than half of an application's rows in ``window`` have, if it has enough."""
        dimensions = self._settings.deploy_dimensions
        pairs = ", ".join(f"('{one}', toString({segment_expression(one)}))" for one in dimensions)
        rows = self._store.query(
            "SELECT application, dimension, value, n, sum(n) OVER (PARTITION BY application, dimension) AS total FROM ("
            "SELECT application, pair.1 AS dimension, pair.2 AS value, count() AS n FROM ("
            f"SELECT application, arrayJoin([{pairs}]) AS pair FROM inferences WHERE {IN_WINDOW}"
            ") GROUP BY application, dimension, value) "
            "ORDER BY application, dimension, n DESC, value LIMIT 1 BY application, dimension",
            {"start": window.start, "end": window.end},
        ).to_pylist()
        enough = [row for row in rows if row["n"] >= self._settings.min_rows and row["n"] > MAJORITY * row["total"]]
        return {(row["application"], row["dimension"]): str(row["value"]) for row in enough}

    def _deploy(self, window: Window, application: str, dimension: str, value: str, before: Sequence[Deploy]) -> Deploy:
        first = self._store.query(
            "SELECT min(timestamp) AS first FROM inferences WHERE application = {application:String} "
            f"AND {IN_WINDOW} AND {segment_expression(dimension)} = {{value:String}}",
            {
                "application": application,
                "start": max(EPOCH, window.start - LOOKBACK),
                "end": window.end,
                "value": value,
            },
        ).to_pylist()
        previous = before[-1].value if before else ""
        return Deploy(application, dimension, value, previous, window.start, first[0]["first"])

    def _note(self, deploy: Deploy) -> None:
        if deploy.previous:
            detail = (
                f"{deploy.dimension} {deploy.previous} -> {deploy.value}, first seen {deploy.first_seen.isoformat()}"
            )
            logger.info("deploy of %s: %s", deploy.application, detail)
            self._references.promotions.audit("inferwatch", "deploy", deploy.application, detail, deploy.at)
        table = pa.table(
            {
                "application": [deploy.application],
                "dimension": [deploy.dimension],
                "value": [deploy.value],
                "previous": [deploy.previous],
                "at": pa.array([deploy.at], INSTANT),
                "first_seen": pa.array([deploy.first_seen], INSTANT),
                "noted_at": pa.array([self._clock.now()], INSTANT),
            }
        )
        token = f"deploy/{deploy.application}/{deploy.dimension}/{deploy.value}/{deploy.at.isoformat()}"
        self._store.insert("deploys_raw", table, token=token)

    def _freeze_before(self, deploy: Deploy, field: str, revision: str) -> None:
        """Freeze the latest rows before the first one of the new value. Nothing is promoted."""
        scope = Scope(deploy.application, field, EPOCH, deploy.first_seen, revision)
        start = start_of_last(self._store, scope, self._settings.reference_rows) or max(
            EPOCH, deploy.first_seen - LOOKBACK
        )
        self._build(Scope(deploy.application, field, start, deploy.first_seen, revision), deploy.before)

    def _adopt(self, deploy: Deploy, window: Window, field: str, revision: str) -> None:
        """Promote a reference of what came with ``deploy``, once it is enough and of one kind."""
        application, name = deploy.application, deploy.after
        if self._references.promotions.ever(application, field, name, revision):
            return
        scope = Scope(application, field, deploy.at, window.start, revision)
        rows = sum(revisions(self._store, scope).values())
        if rows < self._settings.reference_rows:
            return
        version = self._build(scope, name, patient=rows < PATIENCE * self._settings.reference_rows)
        if version is None:
            return
        why = f"{name} v{version}: drift.on_deploy is adopt, and it took over at {deploy.at.isoformat()}"
        logger.warning("new baseline of %s, %s: %s", application, field, why)
        promotion = Promotion(name, version, window.start, ORIGIN)
        self._references.promotions.add(application, field, promotion, revision, "inferwatch", window.start, why)

    def _build(self, scope: Scope, name: str, *, patient: bool = False) -> int | None:
        """Return the version frozen from ``scope``; None if it has too few rows, or is not of one kind yet."""
        versions = self._references.versions
        period = (scope.start, scope.end)
        version = versions.made_of(scope.application, scope.field, name, scope.revision or "", period)
        if version is not None:
            return version
        try:
            draft = self._references.builder.draft(scope, name=name, rows=self._settings.reference_rows, origin=ORIGIN)
        except Misconfigured as error:
            logger.info("%s", error)
            return None
        if draft.findings and patient:
            logger.info("%s of %s, %s not yet: %s", name, scope.application, scope.field, "; ".join(draft.findings))
            return None
        return self._references.keep_once(draft)
