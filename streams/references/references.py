"""The references of a store: built, listed, promoted, retired, and chosen for a window."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from inferwatch.detectors.drift.reference import Reference
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import EPOCH, Window
from inferwatch.streams.ports import Store
from inferwatch.streams.references.building import Builder
from inferwatch.streams.references.promotions import ROLLING, Promotion, Promotions
from inferwatch.streams.references.sampling import Rows, Scope
from inferwatch.streams.references.stored import Draft, ReferenceInfo, StoredReferences

logger = logging.getLogger(__name__)

PERSON = "inferwatch reference"
"""Who is named in the audit log for what was asked for."""


class References:
    """What drift is measured against.

    Args:
        store: keeps references and promotions, and the vectors that they are built from.
        clock: stamps what is made.
        settings: of drift and windows.
    """

    def __init__(self, store: Store, clock: Clock, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self._store = store
        self._clock = clock
        self._rolling = settings.drift.reference == "rolling"
        self.versions = StoredReferences(store, clock)
        self.promotions = Promotions(store, clock, self.versions)
        self.builder = Builder(store, settings.drift, settings.windows.size)

    def choose(self, window: Window, application: str, field: str, encoder_revision: str) -> Reference | None:
        """Return what ``window`` is compared with, None when there is nothing of this encoder revision.

        That is the version promoted for the latest event time up to the window's start, and of a seasonal one the slots
        that the window touches. A pure function of the promotions stored: as a promotion holds from the next window to
        be closed unless its maker wants otherwise, and references never change, a window that is closed again, or
        published again for late rows, is compared with what it was compared with before.
        """
        chosen = self.in_force(application, field, encoder_revision, window.start)
        if chosen is None:
            return None
        return self.versions.load(application, field, chosen.name, chosen.version).at(window)

    def in_force(self, application: str, field: str, revision: str, at: datetime) -> Promotion | None:
        """Return the promotion that counts at event time ``at``."""
        found = self.promotions.until(application, field, revision, at)
        return next((one for one in found if self._rolling or one.origin != ROLLING), None)

    def anchor(self, application: str, field: str, revision: str, at: datetime) -> Promotion | None:
        """Return the latest promotion up to ``at`` that is not of a rolling reference."""
        found = self.promotions.until(application, field, revision, at)
        return next((one for one in found if one.origin != ROLLING), None)

    def build(
        self,
        application: str,
        field: str,
        start: datetime,
        end: datetime,
        *,
        name: str = "baseline",
        rows: int = 1000,
        seasonal: str = "off",
        strict: bool = False,
    ) -> ReferenceInfo:
        """Freeze a hash-determined sample of at most ``rows`` vectors of ``[start, end)`` as a new version.

        Args:
            application: whose.
            field: ``input`` or ``output``.
            start: of the period, included.
            end: of the period, not included.
            name: of the reference.
            rows: most vectors; with seasons, of each slot.
            seasonal: ``auto``, ``hour-of-day``, ``hour-of-week`` or ``off``.
            strict: refuse a period against which something speaks.

        Raises:
            Misconfigured: the period holds fewer than 50 vectors, or vectors of several encoder revisions; with
                ``strict``, anything speaks against it.
        """
        scope = Scope(application, field, start, end)
        return self.keep(self.builder.draft(scope, name=name, rows=rows, origin="period", seasonal=seasonal), strict)

    def build_of(
        self, rows: Rows, *, name: str, application: str, field: str, revision: str, strict: bool = False
    ) -> ReferenceInfo:
        """Freeze rows that are not in the store, those of a file, as a new version.

        Raises:
            Misconfigured: they are fewer than 50; with ``strict``, anything speaks against them.
        """
        draft = self.builder.draft_of(
            rows, name=name, application=application, field=field, revision=revision, origin="file"
        )
        return self.keep(draft, strict)

    def keep(self, draft: Draft, strict: bool = False, version: int | None = None) -> ReferenceInfo:
        """Store a draft as ``version`` of its name, by default the next, and return it as it is listed.

        Raises:
            Misconfigured: with ``strict``, something speaks against it.
        """
        what = f"reference {draft.name!r} of {draft.application!r}, field {draft.field!r}"
        if draft.findings and strict:
            raise Misconfigured(f"{what} was not built: {'; '.join(draft.findings)}")
        version = version or self.versions.next_version(draft)
        self.versions.save(draft, version)
        for finding in draft.findings:
            logger.warning("%s v%d: %s", what, version, finding)
        return self.find(draft.application, draft.field, draft.name, version)

    def keep_once(self, draft: Draft) -> int:
        """Store a draft unless there is one of its name and period already; return the version.

        Building takes a while: a closer that was stopped in it finds what its successor made. The number is read before
        one looks: what a stopped closer has sent, and the store takes in only now, is this version with the same rows.
        """
        version = self.versions.next_version(draft)
        made = self.versions.made_of(draft.application, draft.field, draft.name, draft.encoder_revision, draft.period)
        return made if made is not None else self.keep(draft, version=version).version

    def find(self, application: str, field: str, name: str, version: int) -> ReferenceInfo:
        """Return one version.

        Raises:
            Misconfigured: there is no such version; the message lists those there are.
        """
        known = self.versions.versions(application, field)
        for info in known:
            if (info.name, info.version) == (name, version):
                return info
        there = ", ".join(f"{info.name} v{info.version}" for info in known) or "none"
        raise Misconfigured(f"{application!r}, field {field!r} has no reference {name!r} v{version}; it has: {there}")

    def promote(
        self,
        application: str,
        field: str,
        name: str,
        version: int,
        effective_from: datetime | None = None,
    ) -> datetime:
        """Compare the windows that start at ``effective_from`` or later with this version; return that time.

        Without one: from the next window to be closed on, so that nothing published changes.

        Raises:
            Misconfigured: there is no such version; the message lists those there are.
        """
        info = self.find(application, field, name, version)
        since = effective_from if effective_from is not None else self._next_window()
        promotion = Promotion(name, version, since, info.origin)
        why = f"{name} v{version} from {since.isoformat()}"
        self.promotions.add(application, field, promotion, info.encoder_revision, PERSON, self._clock.now(), why)
        return since

    def retire(self, application: str, field: str, effective_from: datetime | None = None) -> datetime:
        """Compare windows from ``effective_from`` on with nothing that was promoted before it; return that time.

        With ``drift.auto_reference`` the windows after it make a new baseline.

        Raises:
            Misconfigured: the application has no reference of this field.
        """
        if not self.versions.versions(application, field):
            raise Misconfigured(f"{application!r} has no reference of field {field!r} to retire")
        since = effective_from if effective_from is not None else self._next_window()
        why = f"everything before {since.isoformat()}"
        self.promotions.add(application, field, Promotion("", 0, since, ""), "", PERSON, self._clock.now(), why)
        return since

    def list(self) -> list[ReferenceInfo]:
        """Return every version of every reference, without vectors."""
        return self.versions.versions()

    def described(self, application: str, field: str, name: str, version: int) -> dict[str, Any]:
        """Return one version with everything that was found of it when it was built.

        Raises:
            Misconfigured: there is no such version; the message lists those there are.
        """
        info = self.find(application, field, name, version)
        return asdict(info) | {"verdict": self.versions.verdict(application, field, name, version)}

    def newest_revision(self) -> str | None:
        """Return the encoder revision of the reference made last, None where there is no reference."""
        return self.versions.newest_revision()

    def _next_window(self) -> datetime:
        """Return the least start that no closed window has."""
        rows = self._store.query("SELECT window_start FROM windows_raw ORDER BY window_start DESC LIMIT 1").to_pylist()
        return rows[0]["window_start"] + timedelta(milliseconds=1) if rows else EPOCH
