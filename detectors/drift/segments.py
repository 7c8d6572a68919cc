"""Which segments a change is in: values over-represented among the new rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import fisher_exact

from inferwatch.schemas.explanation import SegmentShift

_LEAST_ROWS = 5
_ALPHA = 0.01


def carriers(new: Sequence[int], columns: Mapping[str, Sequence[str]], *, count: int = 3) -> tuple[SegmentShift, ...]:
    """Return the segments whose rows are new more often than the others', the largest difference first.

    A value counts when Fisher's exact test says so at 1 % over all values tested (Holm); rows without a value stand on
    the other side of each. Where two dimensions say the same of the same rows, the first one speaks.

    Args:
        new: positions of the new rows.
        columns: dimension -> the (n,) values of the rows; empty where a row has none.
        count: most segments returned.

    References:
        Fisher 1922, On the interpretation of chi-squared from contingency tables, JRSS 85.
        Holm 1979, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6.
    """
    tested: list[tuple[float, SegmentShift, frozenset[int]]] = []
    picked = np.asarray(new, np.int64)
    for dimension, values in columns.items():
        held = np.asarray(values, object)
        fresh = np.zeros(len(held), np.bool_)
        fresh[picked] = True
        for value in sorted({one for one in values if one}):
            inside = held == value
            rows, rest = int(inside.sum()), int((~inside).sum())
            if rows < _LEAST_ROWS or not rest:
                continue
            here, there = int((inside & fresh).sum()), int((~inside & fresh).sum())
            chance = float(fisher_exact([[here, rows - here], [there, rest - there]], alternative="greater")[1])
            shift = SegmentShift(dimension, str(value), rows, here / rows, there / rest)
            tested.append((chance, shift, frozenset(np.flatnonzero(inside).tolist())))
    tested.sort(key=lambda one: (one[0], -(one[1].share - one[1].elsewhere)))
    found: list[SegmentShift] = []
    spoken: list[frozenset[int]] = []
    for place, (chance, shift, rows_of) in enumerate(tested):
        if chance * (len(tested) - place) > _ALPHA:
            break
        if rows_of not in spoken:
            spoken.append(rows_of)
            found.append(shift)
    found.sort(key=lambda one: one.elsewhere - one.share)
    return tuple(found[:count])
