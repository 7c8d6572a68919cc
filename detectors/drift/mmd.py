"""Did the distribution of the vectors change? Maximum mean discrepancy through random Fourier features."""

from __future__ import annotations

from inferwatch.detectors.drift.spectral import SpectralTest


class RandomFeatureMMD(SpectralTest):
    """Two-sample test of a window against a reference: squared distance of the mean Fourier features.

    The kernel is the mean of Gaussian kernels at half, once and twice the median distance within the reference. No
    bandwidth has to be chosen, as in MMDAgg, which takes the best of several tests and pays for each; kernels of
    neighbouring widths say so nearly the same that their sum loses little to the best of them.

    Sees any change, and those along the directions that vary most first. It is here to compare with; the default is
    ``SpectralTest``, which finds what this finds, and changes of style besides.

    Args:
        features: random Fourier features of each bandwidth, even.
        min_rows: with fewer rows on either side the test abstains.
        seed: of the frequencies, beside the contents.

    References:
        Gretton, Borgwardt, Rasch, Schoelkopf and Smola 2012, A kernel two-sample test, JMLR 13.
        Schrab, Kim, Albert, Laurent, Guedj and Gretton 2023, MMD aggregated two-sample test, JMLR 24.
    """

    def __init__(self, *, features: int = 256, min_rows: int = 30, seed: int = 0) -> None:
        super().__init__(
            features=features, bandwidths=(0.5, 1.0, 2.0), linear=False, ridge=None, min_rows=min_rows, seed=seed
        )
