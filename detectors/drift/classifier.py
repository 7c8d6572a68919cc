"""Did the distribution of the vectors change? Can a classifier tell the window's rows from the reference's?"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr
from scipy.stats import rankdata

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.reference import Reference
from inferwatch.detectors.drift.result import F64, LEAST_P, Drift, abstain, canonical, checked, too_few


class ClassifierTest:
    """Classifier two-sample test: ridge discriminant analysis, fitted on one half, judged on the other, and again.

    Rows of the half that was held out are ranked by the discriminant; the p-value of a half is that of the one-sided
    Mann-Whitney test, exact in level given the other half, and the test's twice the mean of the two, which is valid
    however they depend on one another. The statistic is the mean area under the ROC curve, and the effect twice its
    excess over one half: 0 is none, 1 tells every row. It fits anew for every window and gives half of the rows away
    to fitting; ``SpectralTest`` has the same direction without either, and is the default.

    Args:
        ridge: added to the pooled covariance, as a share of its trace.
        min_rows: with fewer rows on either side the test abstains.
        seed: of the halves, beside the contents.

    References:
        Lopez-Paz and Oquab 2017, Revisiting classifier two-sample tests, arXiv:1610.06545.
        Kim, Ramdas, Singh and Wasserman 2021, Classification accuracy as a proxy for two-sample testing, Annals of
        Statistics 49.
        Vovk and Wang 2020, Combining p-values via averaging, Biometrika 107.
    """

    def __init__(self, *, ridge: float = 0.02, min_rows: int = 30, seed: int = 0) -> None:
        self.ridge, self.min_rows, self.seed = ridge, min_rows, seed

    def compare(self, reference: Reference, window: F32) -> Drift:
        """Compare (n, dim) ``window`` vectors with ``reference``; the encoder must be the same (``require_revision``).

        Raises:
            Permanent: another number of columns than the reference, or numbers that are not finite.
        """
        new = checked(reference, window)
        if reason := too_few(reference, new, self.min_rows):
            return abstain(reference, new, reason)
        order, old = canonical(new), reference.vectors[canonical(reference.vectors)].astype(np.float64)
        rows = new[order].astype(np.float64)
        rng = np.random.default_rng(self.seed)
        old_half, new_half = (rng.permutation(len(side)) % 2 == 0 for side in (old, rows))
        scores = np.empty(len(rows))
        p_values, areas = [], []
        for half in (False, True):
            old_out, new_out = old_half != half, new_half != half
            direction = self._direction(old[~old_out], rows[~new_out])
            scores[new_out] = rows[new_out] @ direction
            area, p_value = mann_whitney(old[old_out] @ direction, scores[new_out])
            p_values.append(p_value)
            areas.append(area)
        witness = np.empty(len(rows), np.float32)
        witness[order] = scores
        mean_area = float(np.mean(areas))
        return Drift(
            statistic=mean_area,
            p_value=min(1.0, max(LEAST_P, 2 * float(np.mean(p_values)))),
            effect=max(0.0, 2 * mean_area - 1),
            n_reference=len(old),
            n_window=len(rows),
            witness=witness,
        )

    def _direction(self, old: F64, new: F64) -> F64:
        """Return the discriminant between the two sides' means, (dim,), scaled so that scores of two halves compare."""
        centred = np.concatenate([old - old.mean(axis=0), new - new.mean(axis=0)])
        covariance = centred.T @ centred / len(centred)
        covariance[np.diag_indices_from(covariance)] += self.ridge * np.trace(covariance) + 1e-9
        shift = new.mean(axis=0) - old.mean(axis=0)
        direction: F64 = np.linalg.solve(covariance, shift)
        return direction / max(float(np.sqrt(direction @ covariance @ direction)), 1e-12)


def mann_whitney(old: F64, new: F64) -> tuple[float, float]:
    """Return the area under the ROC curve of scores, and the chance of one at least as large; ties are allowed for."""
    n, m = len(new), len(old)
    ranks = rankdata(np.concatenate([new, old]))
    area = float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))
    _, tied = np.unique(ranks, return_counts=True)
    variance = (n + m + 1 - (tied**3 - tied).sum() / ((n + m) * (n + m - 1))) / (12 * n * m)
    return area, float(ndtr((0.5 - area) / np.sqrt(variance))) if variance > 0 else 1.0
