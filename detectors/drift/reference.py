"""What a window is compared with: a frozen, named set of vectors."""

from __future__ import annotations

from dataclasses import dataclass

from inferwatch.detectors.base import F32
from inferwatch.schemas.errors import Permanent


@dataclass(frozen=True, eq=False)
class Reference:
    """A drift baseline of one field of one application.

    ``ids`` are the n inferences it was built from, ``vectors`` is (n, dim) float32 of encoder
    ``encoder_revision``. A rebuilt reference gets a higher ``version``; a stored one never changes.
    ``dispersion``, at least 1, is by how much the means of windows of the reference's own period vary more (variance)
    than those of independent rows would.

    Raises:
        ValueError: ids and vectors do not match, or ``dispersion`` is below 1.
    """

    name: str
    version: int
    application: str
    field: str
    encoder_revision: str
    ids: tuple[str, ...]
    vectors: F32
    dispersion: float = 1.0

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.ids) != len(self.vectors):
            raise ValueError(
                f"reference {self.name!r} has {len(self.ids)} ids and vectors of shape {self.vectors.shape}; "
                "allowed: one row for each id"
            )
        if not self.dispersion >= 1:
            raise ValueError(f"dispersion of reference {self.name!r} must be at least 1, got {self.dispersion}")


def require_revision(reference: Reference, encoder_revision: str) -> None:
    """Refuse to compare vectors of two encoders.

    Raises:
        Permanent: ``reference`` was built by another encoder; the message names both.
    """
    if reference.encoder_revision != encoder_revision:
        raise Permanent(
            f"reference {reference.name!r} version {reference.version} of {reference.application}.{reference.field} "
            f"holds vectors of encoder {reference.encoder_revision}, this worker's encoder is {encoder_revision}: "
            "vectors of two encoders cannot be compared; build a new reference"
        )
