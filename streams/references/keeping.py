"""What happens to references by itself, before a window is measured."""

from __future__ import annotations

from collections.abc import Sequence

from inferwatch.schemas.clock import Clock
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import Window
from inferwatch.streams.ports import Store
from inferwatch.streams.references.deploys import Deploys
from inferwatch.streams.references.firsts import freeze_first
from inferwatch.streams.references.references import References
from inferwatch.streams.references.rolling import Rolling


class Keeper:
    """Freezes the first windows, notices deploys and rolls rolling references, as ``settings.drift`` says."""

    def __init__(
        self, store: Store, references: References, settings: Settings, encoder_revision: str, clock: Clock
    ) -> None:
        self._store = store
        self._references = references
        self._settings = settings.drift
        self._revision = encoder_revision
        self._deploys = Deploys(store, references, settings.drift, clock)
        self._rolling = Rolling(store, references, settings.drift, settings.windows.size)

    def keep(self, window: Window, applications: Sequence[str]) -> None:
        """Do what is due before a window that was never published is measured; doing it again changes nothing."""
        fields = self._settings.fields
        if self._settings.auto_reference:
            for application, field in ((one, field) for one in applications for field in fields):
                freeze_first(self._store, self._references, self._settings, window, application, field, self._revision)
        if self._settings.reference == "rolling":
            for application, field in ((one, field) for one in applications for field in fields):
                self._rolling.roll(window, application, field, self._revision)
        self._deploys.look(window, applications, self._revision)
