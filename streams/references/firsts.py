"""Where there is no reference yet: freeze what came first, once it is enough and all of one kind."""

from __future__ import annotations

import logging
from datetime import timedelta

from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import DriftSettings
from inferwatch.schemas.windows import EPOCH, Window
from inferwatch.streams.ports import Store
from inferwatch.streams.references.promotions import Promotion
from inferwatch.streams.references.references import References
from inferwatch.streams.references.sampling import Scope, revisions, start_of_first, start_of_last

logger = logging.getLogger(__name__)

NAME = "first-windows"
ENOUGH, WAIT = 1000, timedelta(days=1)
"""Where traffic is thin: a reference of so many rows, after so long, is better than none for weeks."""
PATIENCE = 4
"""What speaks against the rows delays the freeze until there are this many times ``drift.reference_rows`` of them."""


def freeze_first(
    store: Store, references: References, settings: DriftSettings, window: Window, application: str, field: str,
    revision: str,
) -> None:  # fmt: skip
    """Freeze the latest ``drift.reference_rows`` vectors before ``window`` and promote them from it on, if need be.

    A day after the first of them fewer will do, if they are at least 1,000.

    While they are not homogeneous, or one text is too many of them, nothing is frozen: the start of a service is
    often its test, and the next windows push it out of the latest rows. A service that never is of one kind gets its
    reference, with what speaks against it written down, once four times the rows are there.

    Called before ``window`` is measured, and a function of the rows before it: a window that is closed again after a
    crash finds the reference it would have found without one.
    """
    if references.in_force(application, field, revision, window.start) is not None:
        return
    since = references.promotions.retired_from(application, field, window.start) or EPOCH
    scope = Scope(application, field, since, window.start, revision)
    start = start_of_last(store, scope, settings.reference_rows)
    if start is None and start_of_last(store, scope, ENOUGH) is not None:
        first = start_of_first(store, scope)
        start = first if first is not None and window.start - first >= WAIT else None
    if start is None:
        return
    latest = Scope(application, field, start, window.start, revision)
    version = references.versions.made_of(application, field, NAME, revision, (latest.start, latest.end))
    if version is None:
        try:
            draft = references.builder.draft(latest, name=NAME, rows=settings.reference_rows, origin=NAME)
        except Misconfigured as error:
            logger.info("%s", error)
            return
        if draft.findings and sum(revisions(store, scope).values()) < PATIENCE * settings.reference_rows:
            logger.info("no reference of %s, %s yet: %s", application, field, "; ".join(draft.findings))
            return
        version = references.keep_once(draft)
    why = f"{NAME} v{version}: there was no reference"
    promotion = Promotion(NAME, version, window.start, NAME)
    references.promotions.add(application, field, promotion, revision, "inferwatch", window.start, why)
