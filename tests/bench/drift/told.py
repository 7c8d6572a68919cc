"""How soon a change is found by somebody who was told which: a yardstick for those who were not.

    python -m tests.bench.drift.told [--windows 400000] [--streams 4000] [--data FILE] [--output DIR]

For each contamination of ``delay.sudden`` a logistic regression learns from labels what is normal and what is new,
prompts apart (ten folds). Its calibrated log odds make the likelihood ratio of each row under a contamination of the
very share there is; their sum over the windows since the change may have begun (Page 1954) pages above the threshold
that null windows exceed once in thirty days. It knows kind, share and place of the change; a drift test has seen only
what is normal. Rows are drawn with replacement, as there.

Reference:
    E. S. Page (1954), "Continuous inspection schemes", Biometrika 41.
"""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from inferwatch.detectors.evaluation.ranking import F64, Ranked
from tests.bench.drift.delay import ROWS, Change, changes
from tests.bench.drift.logs import DATA, Pool, Rows, load
from tests.bench.drift.own import BUDGET_DAYS, SIZE
from tests.bench.drift.results import FOLDER
from tests.bench.machine import machine, write

STRENGTHS = (1.0, 10.0)
"""Of the regression, of which the better counts: a yardstick may choose after the fact."""
FOLDS, AT_ONCE, HALVINGS = 10, 2000, 30
WITHIN = (1, 2, 3, 6)
SEED = 43
_Regression: Any = LogisticRegression
_Folds: Any = GroupKFold


def log_odds(pool: Pool, change: Change) -> tuple[F64, float]:
    """Return of the normal and then the new rows the log odds that they are new, at even odds, and their AUC."""
    rows = np.concatenate(change[:2])
    new = np.repeat([False, True], [len(one) for one in change[:2]])
    prompts = _prompts(pool, rows)
    best: tuple[F64, float] | None = None
    for strength in STRENGTHS:
        found = np.empty(len(rows))
        for learned, held in _Folds(FOLDS, shuffle=True, random_state=SEED).split(rows, new, prompts):
            model = _Regression(C=strength, class_weight="balanced", max_iter=500)
            model.fit(pool.vectors[rows[learned]], new[learned])
            found[held] = model.decision_function(pool.vectors[rows[held]])
        scale = _Regression(C=1e6, class_weight="balanced").fit(found[:, None], new)
        odds, area = scale.decision_function(found[:, None]), Ranked(new, found).curve(np.ones(len(new))).area
        if best is None or area > best[1]:
            best = odds, float(area)
    assert best is not None
    return best


def _prompts(pool: Pool, rows: Rows) -> Rows:
    """Return which prompt a row is, or answers."""
    return np.where(rows < pool.inputs[0], rows % pool.table.shape[1], rows - pool.inputs[0])


def sums(rng: np.random.Generator, normal: F64, new: F64, share: float, windows: int) -> F64:
    """Return for so many windows the sum over their rows."""
    found = np.empty(windows)
    for start in range(0, windows, AT_ONCE):
        size = (min(AT_ONCE, windows - start), ROWS)
        drawn = rng.choice(normal, size)
        if share:
            drawn = np.where(rng.random(size) < share, rng.choice(new, size), drawn)
        found[start : start + AT_ONCE] = drawn.sum(axis=1)
    return found


def statistics(windows: F64, threshold: float) -> tuple[F64, int]:
    """Return Page's statistic after each window and how often it pages; after a page it begins anew."""
    found, held, pages = np.empty(len(windows)), 0.0, 0
    for at, one in enumerate(windows.tolist()):
        held = max(0.0, held) + one
        found[at] = held
        if held > threshold:
            pages, held = pages + 1, 0.0
    return found, pages


def threshold_of(windows: F64, run: float) -> float:
    """Return the least threshold that null windows page at most once in ``run`` of them."""
    low, high = 0.0, float(np.abs(windows).max() * 20)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if statistics(windows, middle)[1] * run > len(windows):
            low = middle
        else:
            high = middle
    return high


def told(pool: Pool, change: Change, null: int, streams: int) -> dict[str, Any]:
    """Return how well the rows are told apart, and in which part of the streams the change is found within 1 to 6."""
    normal, _, share = change
    odds, area = log_odds(pool, change)
    ratios = np.log1p(share * np.expm1(np.clip(odds, -20, 20)))
    old, new = ratios[: len(normal)], ratios[len(normal) :]
    rng = np.random.default_rng(SEED)
    windows = sums(rng, old, new, 0.0, null)
    threshold = threshold_of(windows, timedelta(days=BUDGET_DAYS) / SIZE)
    before = statistics(windows, threshold)[0]
    held = rng.choice(np.where(before > threshold, 0.0, before), streams)
    paged = np.zeros(streams, np.bool_)
    within = {}
    for window in range(1, max(WITHIN) + 1):
        held = np.maximum(0.0, held) + sums(rng, old, new, share, streams)
        paged |= held > threshold
        if window in WITHIN:
            within[str(window)] = round(float(paged.mean()), 4)
    return {"auc": round(area, 4), "within": within}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--windows", type=int, default=400_000, help="without a change, for the threshold")
    parser.add_argument("--streams", type=int, default=4_000)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    about = machine()
    pool = load(options.data)
    found = {}
    for name, change in changes(pool).items():
        if change[2] < 1:
            found[name] = told(pool, change, options.windows, options.streams)
            print(name, found[name], flush=True)
    write(
        "told",
        {
            "machine": about,
            "encoder": pool.revision,
            "data": pool.file,
            "rows": ROWS,
            "budget_days": BUDGET_DAYS,
            "windows": options.windows,
            "streams": options.streams,
            "found": found,
        },
        options.output,
    )


if __name__ == "__main__":
    main()
