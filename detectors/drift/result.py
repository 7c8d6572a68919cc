"""What a two-sample test says of a window, and what every such test is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.reference import Reference
from inferwatch.schemas.errors import Permanent

F64 = npt.NDArray[np.float64]

LEAST_P = 1e-12
"""No p-value below this is given: the tails of a null distribution are not known that far out."""


@dataclass(frozen=True, eq=False)
class Drift:
    """One comparison of a window with a reference; NaN numbers and a reason in ``abstained`` where there is none.

    ``statistic`` is the test's own, the larger the further apart.
    ``p_value`` is the chance of one at least as large without any change, in [1e-12, 1].
    ``effect`` says how large the change is, whatever the counts: 0 is none, 1 means that the two means are as far
    apart as a reference row is, on average (root mean square), from the reference's mean.
    ``witness`` is (n_window,) float32: the higher, the less the row is like the reference and the more it is like the
    rest of the window.
    ``total`` is the sum of the window's features, by which windows can be pooled; empty where the test has none.
    """

    statistic: float
    p_value: float
    effect: float
    n_reference: int
    n_window: int
    witness: F32
    abstained: str = ""
    total: F64 = field(default_factory=lambda: np.empty(0))


class TwoSampleTest(Protocol):
    """Compares a window with a reference. A pure function of the contents: the order of rows changes nothing."""

    def compare(self, reference: Reference, window: F32) -> Drift:
        """Compare (n, dim) ``window`` vectors with ``reference``; the encoder must be the same (``require_revision``).

        Raises:
            Permanent: another number of columns than the reference, or numbers that are not finite.
        """
        ...


def abstain(reference: Reference, window: F32, reason: str, total: F64 | None = None) -> Drift:
    """Return a comparison without numbers: too few rows is a state, not a zero."""
    nothing = float("nan")
    witness = np.full(len(window), np.nan, np.float32)
    left = np.empty(0) if total is None else total
    return Drift(nothing, nothing, nothing, len(reference.vectors), len(window), witness, reason, left)


def too_few(reference: Reference, window: F32, min_rows: int) -> str:
    """Return why the two cannot be compared for want of rows, or nothing."""
    if len(window) < min_rows:
        return "too few rows in the window"
    return "too few rows in the reference" if len(reference.vectors) < min_rows else ""


def checked(reference: Reference, window: F32) -> F32:
    """Return ``window`` as contiguous float32 rows that can be compared with ``reference``.

    Raises:
        Permanent: another number of columns, or numbers that are not finite on either side.
    """
    new = np.ascontiguousarray(window, np.float32)
    if new.ndim != 2 or new.shape[1] != reference.vectors.shape[1]:
        raise Permanent(
            f"window vectors have shape {new.shape}, reference {reference.name!r} version {reference.version} has "
            f"{reference.vectors.shape[1]} columns: they are of different encoders"
        )
    if not (np.isfinite(reference.vectors).all() and np.isfinite(new).all()):
        raise Permanent(f"vectors of the window or of reference {reference.name!r} hold NaN or infinity")
    return new


def canonical(rows: F32) -> npt.NDArray[np.intp]:
    """Return an order of the rows that depends on their contents only."""
    keys = [row.tobytes() for row in rows]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), np.intp)
