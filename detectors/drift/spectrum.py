"""What is prepared of a reference once, so that a window costs one pass over its rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.combination import cauchy
from inferwatch.detectors.drift.far_tail import FarTail, weights
from inferwatch.detectors.drift.features import FeatureMap
from inferwatch.detectors.drift.forms import content, manner
from inferwatch.detectors.drift.null import Moments, average, mean_and_deviation, moments, tail
from inferwatch.detectors.drift.result import F64
from inferwatch.detectors.drift.scan import Distance
from inferwatch.detectors.drift.variety import agrees

MOST_FOLDS, ROWS_A_FOLD = 10, 25
POOLED_CONTENT = 2500
"""Rows of a reference from which on pooled windows are looked at for content, too. The more rows, the more directions
the whitened distance adds up, and the less it sees of new content; with fewer it finds no less by itself."""
_LEAST_VARIANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Sums:
    """How many rows there are, and the sums of their distances from ``origin`` and of the products of those."""

    rows: int
    origin: F64
    total: F64
    products: F64

    @classmethod
    def of(cls, rows: F64) -> Sums:
        origin = rows.mean(axis=0)
        apart = rows - origin
        return cls(len(rows), origin, np.zeros_like(origin), apart.T @ apart)  # of one array: half the products

    def without(self, rows: F64) -> Sums:
        """Return the sums without some of the rows: a fold costs its own rows, not all the others."""
        less = rows - self.origin
        return Sums(self.rows - len(rows), self.origin, self.total - less.sum(axis=0), self.products - less.T @ less)

    @property
    def mean(self) -> F64:
        return self.origin + self.total / self.rows

    @property
    def covariance(self) -> F64:
        return (self.products - np.outer(self.total, self.total / self.rows)) / (self.rows - 1)


@dataclass(frozen=True, eq=False)
class Whitening:
    """Coordinates in which noise is equal in all directions that vary: ``(S + r I)^(-1/2) (x - centre)``.

    S is the covariance of (n, D) rows, r a share of its trace: directions of less variance are not blown up.
    ``centre`` is (D,), ``root`` the lower Cholesky factor (D, D) of S + r I; without it the rows are only centred.
    """

    centre: F64
    root: F64 | None

    @classmethod
    def of(cls, sums: Sums, share: float | None) -> Whitening:
        if share is None:
            return cls(sums.mean, None)
        covariance = sums.covariance
        added = max(share * float(np.trace(covariance)), _LEAST_VARIANCE)
        root = np.asarray(np.linalg.cholesky(covariance + added * np.eye(len(covariance))), np.float64)
        return cls(sums.mean, root)

    @cached_property
    def inverse(self) -> F32:
        """The transposed inverse of ``root``, (D, D) float32: for many rows a product is quicker than a solution."""
        assert self.root is not None
        found = solve_triangular(self.root, np.eye(len(self.root)), lower=True, check_finite=False).T
        return np.ascontiguousarray(found, np.float32)

    def quickly(self, features: F64) -> F32:
        """Return the coordinates in single precision."""
        centred = np.subtract(features, self.centre, dtype=np.float32, casting="same_kind")
        return centred if self.root is None else centred @ self.inverse

    def __call__(self, features: F64) -> F64:
        """Return the (n, D) coordinates of (n, D) ``features``."""
        if self.root is None:
            return features - self.centre
        found: F64 = solve_triangular(self.root, (features - self.centre).T, lower=True, check_finite=False).T
        return found


@dataclass(frozen=True, eq=False)
class Form:
    """The form ``|w @ factor|^2`` of whitened coordinates w, (D,); ``factor`` is (D, k), or None for ``|w|^2``."""

    factor: F32 | None
    moments: Moments
    far: FarTail

    def p_values(self, shifts: F64, windows: npt.NDArray[Any], reference: float) -> list[float]:
        """Return the p-value of each of (k, D) ``shifts``; arguments as of ``Spectrum.chances``."""
        # Of few shifts, converting the factor to double precision would cost many times the product.
        seen = shifts if self.factor is None else (shifts.astype(np.float32) @ self.factor).astype(np.float64)
        return [
            tail(statistic, self.moments, n, reference, self.far)
            for statistic, n in zip(np.einsum("ij,ij->i", seen, seen), windows, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """A reference made ready: feature map, whitening, and the moments that the null distribution follows from.

    The moments are measured on rows that the whitening was not made from, fold by fold: new rows vary more along
    directions chosen to be quiet than the rows they were chosen by, and a window is made of new rows.

    Attributes:
        revision: names the feature map; sums of features of another revision mean something else.
        rows: how many the reference has.
        distance: what every shift is looked at by: how long it is, whitened.
        content, manner: and by what is known of how texts vary (``forms``); None where that is of other vectors.
        norm: mean squared norm of the reference's plain columns.
    """

    revision: str
    rows: int
    features: FeatureMap
    whitening: Whitening
    distance: Form
    content: Form | None
    manner: Form | None
    norm: float

    @classmethod
    def of(
        cls, rows: F64, mapped: FeatureMap, revision: str, *, ridge: float | None, seed: int, variety: F64 | None = None
    ) -> Spectrum:
        """Prepare the (m, D) features ``rows`` of a reference, m >= 10, as ``mapped`` made them.

        ``ridge`` is the least variance of a direction that is trusted, in traces of the covariance over m: the size of
        what sampling does to it. So a larger reference shows more directions.
        """
        share = None if ridge is None else ridge / len(rows)
        sums = Sums.of(rows)
        order = np.random.default_rng(seed).permutation(len(rows))
        plain, known = mapped.plain, variety
        if ridge is None or known is None or not agrees(sums.covariance[plain, plain], known):
            known = None
        whitening = Whitening.of(sums, share)
        factors = _factors(whitening, sums.covariance, known, plain, len(rows))
        folds = np.array_split(order, min(MOST_FOLDS, max(2, len(rows) // ROWS_A_FOLD)))
        measured = []
        sizes = [rows.shape[1] if factor is None else factor.shape[1] for factor in factors]
        products = [np.zeros((size, size)) for size in sizes]
        for fold in folds:
            others = sums.without(rows[fold])
            without = Whitening.of(others, share)
            held_out = without(rows[fold])
            seen = [
                held_out if factor is None else held_out @ factor
                for factor in _factors(without, others.covariance, known, plain, len(rows))
            ]
            measured.append([moments(one @ one.T) for one in seen])
            for product, one in zip(products, seen, strict=True):
                product += Sums.of(one).products
        forms = []
        for factor, of_folds, product in zip(factors, zip(*measured, strict=True), products, strict=True):
            own = average(of_folds)
            far = FarTail.of(weights(product / (len(rows) - len(folds)), own.square))
            forms.append(Form(factor, own, far))
        distance, *further = forms
        of_content, of_manner = further or (None, None)
        return cls(revision, len(rows), mapped, whitening, distance, of_content, of_manner, mean_norm(rows, mapped))

    def whitened(self, total: F64, rows: int) -> F64:
        """Return the sum of the (D,) coordinates of ``rows`` rows from the sum of their features."""
        found: F64 = self.all_whitened(total[None, :], np.array([rows]))[0]
        return found

    def all_whitened(self, totals: F64, rows: npt.NDArray[np.int64]) -> F64:
        """Return the (k, D) sums of the coordinates of k times (k,) rows from the sums of their features, at once."""
        means = np.where(rows[:, None] > 0, totals / np.maximum(rows, 1)[:, None], self.whitening.centre)
        return self.whitening(means) * rows[:, None]

    def statistic(self, whitened: F64, rows: int) -> float:
        """Return ``d' (S + r I)^-1 d`` of the sum of the coordinates of ``rows`` rows."""
        return float(whitened @ whitened) / rows**2

    def p_value(self, whitened: F64, rows: int, *, overdispersion: float = 1.0, pooled: bool = False) -> float:
        """Return the p-value of the sum of the coordinates of ``rows`` rows; NaN without rows.

        ``pooled`` is as of ``chances``.
        ``overdispersion`` says how much more the mean of a window varies than that of independent rows
        (``homogeneity.dispersion``). That of one window holds for any number of them pooled.
        """
        if not rows:
            return nan
        worth = np.array([rows / overdispersion])
        return float(self.chances(whitened[None, :] / rows, worth, self.rows, pooled=pooled)[0])

    def chances(self, shifts: F64, windows: npt.NDArray[Any], reference: float, *, pooled: bool = False) -> F64:
        """Return the (k,) p-values of (k, D) differences of mean coordinates.

        Args:
            shifts: the differences.
            windows: (k,) how many independent rows each window is worth.
            reference: and the reference.
            pooled: whether chances are asked for that are as small as those of a scan; ``manner`` is left out then,
                and ``content`` of a reference of fewer than ``POOLED_CONTENT`` rows.
        """
        without_content = pooled and self.rows < POOLED_CONTENT
        forms = (self.distance, None if without_content else self.content, None if pooled else self.manner)
        return cauchy(np.array([form.p_values(shifts, windows, reference) for form in forms if form is not None]))

    def shift(self, whitened: F64, rows: int, *, overdispersion: float = 1.0) -> Distance:
        """Return how far the mean of ``rows`` > 0 rows is, in units of the noise of one row in any direction."""
        usual, error = mean_and_deviation(self.distance.moments, rows / overdispersion, self.rows)
        noise = overdispersion / rows + 1 / self.rows
        return Distance(self.statistic(whitened, rows) - usual, error**2, noise)


def _factors(
    whitening: Whitening, covariance: F64, variety: F64 | None, plain: slice, rows: int
) -> tuple[F32 | None, ...]:
    """Return the factors of all forms, in single precision: a reference is kept ready with them.

    ``rows`` is that of the whole reference also without a fold: with another ridge the moments are of another form.
    """
    if variety is None or whitening.root is None:
        return (None,)
    root = whitening.root
    found = content(root, variety, plain), manner(root, variety, plain, covariance, rows)
    return (None, *(factor.astype(np.float32) for factor in found))


def mean_norm(rows: F64, mapped: FeatureMap) -> float:
    """Return the mean squared norm of the plain columns of (n, D) features."""
    plain = rows[:, mapped.plain]
    return float(np.einsum("ij,ij->", plain, plain)) / len(rows)
