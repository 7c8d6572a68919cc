"""Why a window differs from its reference, as people and programs read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from inferwatch.schemas.windows import Window


@dataclass(frozen=True, slots=True)
class Share:
    """A share in [0, 1] with a 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def proven(self) -> bool:
        """Whether 0 is outside the interval."""
        return self.low > 0

    def rounded(self) -> Share:
        """Return it with four decimals: what is published is the same on every machine."""
        return Share(round(self.value, 4), round(self.low, 4), round(self.high, 4))


@dataclass(frozen=True, slots=True)
class SegmentShift:
    """Of the ``rows`` with this value, ``share`` are new; of those with another value, ``elsewhere``."""

    dimension: str
    value: str
    rows: int
    share: float
    elsewhere: float


@dataclass(frozen=True, slots=True)
class Brief:
    """What changed, without any text but keywords: small enough for the ``detail`` of a metric.

    ``new`` is the share of the window that has no counterpart in the reference, ``gone`` the share of the reference
    that has none in the window. ``note`` says what is missing here and why.
    """

    new: Share
    gone: Share
    keywords: tuple[str, ...] = ()
    gone_keywords: tuple[str, ...] = ()
    segments: tuple[SegmentShift, ...] = ()
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return JSON values; ``of`` reads them."""
        return asdict(self)

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Brief:
        """Read what ``as_json`` returned.

        Raises:
            KeyError, TypeError: it is not one.
        """
        return cls(
            new=Share(**value["new"]),
            gone=Share(**value["gone"]),
            keywords=tuple(map(str, value["keywords"])),
            gone_keywords=tuple(map(str, value["gone_keywords"])),
            segments=tuple(SegmentShift(**one) for one in value["segments"]),
            note=str(value["note"]),
        )


@dataclass(frozen=True, slots=True)
class Example:
    """One row; ``text`` is redacted, and empty where no text is stored."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """One drifted window of one field: what changed, and rows that show it.

    ``rows`` and ``reference_rows`` are how many vectors were looked at, ``examples`` rows of the window that stand
    for what is new, ``gone`` rows of the reference that stand for what is missing.
    """

    application: str
    field: str
    window: Window
    reference: str
    rows: int
    reference_rows: int
    brief: Brief
    examples: tuple[Example, ...]
    gone: tuple[Example, ...]

    def as_json(self) -> dict[str, Any]:
        """Return JSON values but for the window's times, which are aware datetimes."""
        found = asdict(self)
        window = found.pop("window")
        return {"window_start": window["start"], "window_end": window["end"], **found}
