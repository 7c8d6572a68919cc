"""Whether a text is scored as toxic because it names a group: three areas for each identity.

References: D. Borkan, L. Dixon, J. Sorensen, N. Thain & L. Vasserman (2019), "Nuanced metrics for measuring unintended
bias with real data for text classification", WWW companion.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.evaluation.bootstrap import bootstrap
from inferwatch.detectors.evaluation.ranking import F64, Labels, Ranked, Values
from tests.bench.quality.arguments import plain
from tests.bench.quality.sets import Madlibs

LEAST = 20
"""Rows of an identity, of either label, from which on it has an area."""


def bias(data: Madlibs, values: Values, draws: int) -> dict[str, Any]:
    """Return subgroup, BPSN and BNSP AUC of each identity, the worst, and the gap between the subgroup areas.

    BPSN: insults of others against harmless sentences on the group; low means that the group is called toxic. BNSP: the
    reverse; low means that insults of the group are missed.
    """
    identities = np.array(data.identities)
    kept = [
        name
        for name in sorted(set(data.identities))
        if min(data.labels[identities == name].sum(), (~data.labels[identities == name]).sum()) >= LEAST
    ]
    masks = {name: identities == name for name in kept}
    areas = {name: _areas(data.labels, values, mask) for name, mask in masks.items()}
    ranks = [(mask, Ranked(data.labels[mask], values[mask])) for mask in masks.values()]

    def gap(weights: F64) -> F64:
        found = [ranked.curve(weights[mask]).area for mask, ranked in ranks]
        return np.array([np.nanmax(found) - np.nanmin(found) if found else np.nan])

    (spread,), _ = bootstrap(gap, np.ones(len(values)), draws=draws)
    table = np.array(list(areas.values())).reshape(-1, 3)
    return {
        "n": len(values),
        "identities": {name: [round(area, 4) for area in own] for name, own in areas.items()},
        "overall": Ranked(data.labels, values).curve(np.ones(len(values))).area,
        "worst": dict(
            zip(("subgroup", "bpsn", "bnsp"), table.min(axis=0).tolist() if kept else [None] * 3, strict=True)
        ),
        "subgroup_gap": plain(spread),
    }


def _areas(labels: Labels, values: Values, group: npt.NDArray[np.bool_]) -> list[float]:
    rows = (group, group & ~labels | ~group & labels, group & labels | ~group & ~labels)
    return [Ranked(labels[mask], values[mask]).curve(np.ones(int(mask.sum()))).area for mask in rows]
