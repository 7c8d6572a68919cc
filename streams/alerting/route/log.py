"""The notification log: what each receiver has been told of each group. Its rows are those of the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from inferwatch.schemas.alerts import State


class GroupKey(NamedTuple):
    """A group is of one receiver."""

    name: str
    receiver: str


@dataclass(frozen=True, slots=True)
class Told:
    """The last message of a group: its id, what it told of which alert, when it was written, and its dedup key.

    ``at`` is the event time of its newest news; ``forked`` says that two processes have written one each, and that it
    is not known yet which counts.
    """

    id: str
    alerts: Mapping[str, State]
    written_at: datetime
    at: datetime
    dedup_key: str
    forked: bool = False


@dataclass(frozen=True, slots=True)
class Log:
    """Every group's last message."""

    last: Mapping[GroupKey, Told]

    def active(self) -> dict[str, dict[str, str]]:
        """Return alert id -> receiver -> the group in which it was told that the alert is active."""
        found: dict[str, dict[str, str]] = {}
        for key, told in self.last.items():
            for alert_id, state in told.alerts.items():
                if state is not State.RESOLVED:
                    found.setdefault(alert_id, {})[key.receiver] = key.name
        return found
