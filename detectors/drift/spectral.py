"""Did the distribution of the vectors change? A regularised Hotelling test in feature space: the default."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from math import nan
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.features import FeatureMap
from inferwatch.detectors.drift.reference import Reference
from inferwatch.detectors.drift.result import F64, Drift, abstain, canonical, checked, too_few
from inferwatch.detectors.drift.scan import Distance
from inferwatch.detectors.drift.spectrum import Spectrum, mean_norm
from inferwatch.detectors.drift.variety import packaged

_threads: Any = threadpool_limits  # it has no types
KEPT = 128
"""References kept ready, some 5 MB each beside their vectors."""
_LEAST_VARIANCE = 1e-6
_DIGITS = 4
"""Of a witness, after the point where the largest of the window is 1."""


class SpectralTest:
    """Two-sample test of a window against a reference: ``d' (S + r I)^-1 d``, d the difference of mean features.

    The features are the vectors themselves beside random Fourier features of a Gaussian kernel; S is their covariance
    in the reference. Without the whitening this is the kernel MMD, which looks along the directions that vary most: the
    topics. Whitened, it sees a small shift along a quiet direction, such as another model's style, as a classifier
    trained for it would, without training: the power of a linear classifier two-sample test, for one pass over the
    window. Two ``forms`` that know how texts of all kinds vary look at the d of one window for other content, and for
    the same content in another manner; its p-value is that of all three (``combination``), each by ``null.tail``. The
    effect is the distance of the mean vectors over the root mean square distance of a reference row from its mean, both
    squares estimated without bias; without vectors among the features, that of the features.

    ``compare`` is a pure function of its arguments: frequencies and bandwidth come from the reference, and rows are
    put in a canonical order first, so that their order changes nothing.

    Args:
        features: random Fourier features of each bandwidth, even.
        bandwidths: of the Gaussian kernels, in median distances of the reference.
        linear: whether the vectors themselves are among the features.
        ridge: r in traces of S over m, the rows of the reference; None: no whitening.
        variety: whether what is known of how texts vary counts; without whitening, or without the vectors, it does not.
        min_rows: with fewer rows on either side the test abstains.
        seed: of frequencies and folds, beside the contents.

    References:
        Harchaoui, Bach and Moulines 2007, Testing for homogeneity with kernel Fisher discriminant analysis, NeurIPS 20.
        Li, Aue, Paul, Peng and Wang 2020, An adaptable generalization of Hotelling's T^2 test in high dimension,
        Annals of Statistics 48.
        Hagrass, Sriperumbudur and Li 2024, Spectral regularized kernel two-sample tests, Annals of Statistics 52.
    """

    def __init__(
        self,
        *,
        features: int = 128,
        bandwidths: Sequence[float] = (1.0,),
        linear: bool = True,
        ridge: float | None = 8.0,
        variety: bool = True,
        min_rows: int = 30,
        seed: int = 0,
    ) -> None:
        if min_rows < 10:
            raise ValueError(f"min_rows must be at least 10, got {min_rows}")
        if ridge is not None and ridge <= 0:
            raise ValueError(f"ridge must be over 0, or None, got {ridge}")
        self._features, self._bandwidths, self._linear = features, tuple(bandwidths), linear
        self._ridge, self._seed = ridge, seed
        self._variety = packaged() if variety and linear else None
        self.min_rows = min_rows
        self._ready: OrderedDict[Reference, Spectrum] = OrderedDict()

    def prepare(self, reference: Reference) -> Spectrum:
        """Return what of ``reference`` can be computed once: some tenths of a second for 1,000 rows, then nothing."""
        found = self._ready.pop(reference, None)
        if found is None:
            found = self._prepared(reference)
        self._ready[reference] = found
        if len(self._ready) > KEPT:
            self._ready.popitem(last=False)
        return found

    def compare(self, reference: Reference, window: F32) -> Drift:
        """Compare (n, dim) ``window`` vectors with ``reference``; the encoder must be the same (``require_revision``).

        Raises:
            Permanent: another number of columns than the reference, or numbers that are not finite.
        """
        new = checked(reference, window)
        if len(reference.vectors) < self.min_rows:
            return abstain(reference, new, "too few rows in the reference")
        spectrum = self.prepare(reference)
        order = canonical(new)
        rows = spectrum.features(new[order])
        total: F64 = rows.sum(axis=0)
        if reason := too_few(reference, new, self.min_rows):
            return abstain(reference, new, reason, total)
        whitened = spectrum.whitened(total, len(new))
        witness = np.empty(len(new), np.float32)
        witness[order] = _witness(spectrum, rows)
        return Drift(
            statistic=spectrum.statistic(whitened, len(new)),
            p_value=spectrum.p_value(whitened, len(new), overdispersion=reference.dispersion),
            effect=_effect(spectrum, rows),
            n_reference=len(reference.vectors),
            n_window=len(new),
            witness=witness,
            total=total,
        )

    def pooled(self, reference: Reference, whitened: F64, rows: int) -> float:
        """Return the p-value of several windows together from the sum of their ``Spectrum.whitened``; NaN if few.

        It is that of the whitened distance, and of content where the reference is large (``Spectrum.chances``). A scan
        asks for chances of 1e-5, and so far out that of manner, which looks along the quietest directions, hangs on
        rows of kinds that a reference lacks by luck.
        """
        if min(rows, len(reference.vectors)) < self.min_rows:
            return nan
        return self.prepare(reference).p_value(whitened, rows, overdispersion=reference.dispersion, pooled=True)

    def shift(self, reference: Reference, whitened: F64, rows: int) -> Distance:
        """Return how far the mean of ``rows`` > 0 rows is from the reference."""
        return self.prepare(reference).shift(whitened, rows, overdispersion=reference.dispersion)

    def parts(self, reference: Reference, codes: npt.NDArray[np.int64]) -> tuple[F64, F64]:
        """Compare each part of ``reference`` with all its other rows; the whitening is that of all rows, made once.

        Args:
            reference: m rows.
            codes: (m,) which part a row is in, 0 to k - 1.

        Returns:
            (k,) p-values and (k,) effects; NaN where either side has fewer than ``min_rows`` rows.
        """
        m, sizes = len(codes), np.bincount(codes)
        p_values, effects = np.full(len(sizes), nan), np.full(len(sizes), nan)
        if len(reference.vectors) < 2 * self.min_rows:
            return p_values, effects
        spectrum = self.prepare(reference)
        rows = spectrum.features(reference.vectors)
        plain = rows[:, spectrum.features.plain]
        scatter = max(m / (m - 1) * (spectrum.norm - float(np.square(plain.mean(axis=0)).sum())), _LEAST_VARIANCE)
        for code in np.flatnonzero(np.minimum(sizes, m - sizes) >= self.min_rows):
            inside, n, others = codes == code, int(sizes[code]), int(m - sizes[code])
            # The coordinates of all rows sum to nothing, so those of the others follow from those of the part.
            apart = spectrum.whitened(rows[inside].sum(axis=0), n) * (1 / n + 1 / others)
            p_values[code] = spectrum.chances(apart[None, :], np.array([n]), others)[0]
            moved = plain[inside].mean(axis=0) - plain[~inside].mean(axis=0)
            squared = float(moved @ moved) - scatter * (1 / n + 1 / others)
            effects[code] = math.sqrt(max(0.0, squared) / scatter)
        return p_values, effects

    def _prepared(self, reference: Reference) -> Spectrum:
        vectors = np.ascontiguousarray(reference.vectors, np.float32)
        vectors = vectors[canonical(vectors)]
        described = (self._features, self._bandwidths, self._linear, self._ridge, self._seed)
        digest = blake2b(repr(described).encode(), digest_size=8)
        digest.update(repr(vectors.shape).encode())
        digest.update(vectors.tobytes())
        mapped = FeatureMap(
            vectors,
            features=self._features,
            bandwidths=self._bandwidths,
            linear=self._linear,
            seed=int.from_bytes(digest.digest(), "big"),
        )
        revision = f"{type(self).__name__}-{digest.hexdigest()}"
        # Many small products: the threads of a second core would wait for one another longer than they would work.
        with _threads(1, user_api="blas"):
            return Spectrum.of(
                mapped(vectors), mapped, revision, ridge=self._ridge, seed=self._seed, variety=self._variety
            )


def _witness(spectrum: Spectrum, rows: F64) -> F32:
    """Return how much nearer each row is to the other rows of the window than to the reference, (n,)."""
    coordinates = spectrum.whitening.quickly(rows)
    others = coordinates @ coordinates.sum(axis=0) - np.einsum("ij,ij->i", coordinates, coordinates)
    # Rounded, so that equal texts are equal whatever machine and library multiplied them.
    scale = max(float(np.abs(others).max(initial=0.0)), _LEAST_VARIANCE)
    found: F32 = (np.round(others / scale, _DIGITS) * (scale / (len(rows) - 1))).astype(np.float32)
    return found


def _effect(spectrum: Spectrum, rows: F64) -> float:
    m, n, plain = spectrum.rows, len(rows), spectrum.features.plain
    old, new = spectrum.whitening.centre[plain], rows[:, plain].mean(axis=0)
    # The mean product over pairs i != j is (n |mean|^2 - mean |row|^2) / (n - 1).
    within_old = (m * float(old @ old) - spectrum.norm) / (m - 1)
    within_new = (n * float(new @ new) - mean_norm(rows, spectrum.features)) / (n - 1)
    squared = within_old + within_new - 2 * float(old @ new)
    return math.sqrt(max(0.0, squared) / max(spectrum.norm - within_old, _LEAST_VARIANCE))
