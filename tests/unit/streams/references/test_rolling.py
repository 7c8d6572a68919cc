"""A rolling reference follows the seasons of the year, and not a drift."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np

from inferwatch.detectors.drift.reference import Reference
from inferwatch.detectors.drift.spectral import SpectralTest
from inferwatch.infra.clickhouse.store import ClickHouseStore

PER_DAY = 150
TREE = {"windows": {"size": "1d", "revise_for": "2000d"}, "segments": {"dimensions": []}}
ROLLING: dict[str, Any] = {
    "reference": "rolling",
    "rolling": {"period": "4d", "lag": "1d", "calm": 0.05, "most_effect": 0.12},
    "reference_rows": 300,
}
STEP, STEPS = timedelta(days=2), 20


def slow_drift(seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(days, rows, 6) of every second day: each day another 1 % of the rows are of a new kind."""
    rng = np.random.default_rng(seed)
    found = rng.standard_normal((STEPS, PER_DAY, 6)).astype(np.float32)
    for place in range(STEPS):
        found[place, rng.random(PER_DAY) < 0.01 * max(0, 2 * place - 4), :2] += 4
    return found


def naive(vectors: np.ndarray[Any, np.dtype[np.float32]]) -> list[float]:
    """The p-values of each day against two of the days just before."""
    test = SpectralTest(min_rows=20)
    found = []
    for place in range(3, len(vectors)):
        past = vectors[place - 3 : place - 1].reshape(-1, vectors.shape[2])
        ids = tuple(map(str, range(len(past))))
        past_days = Reference("past", place, "shop", "input", "enc-1", ids, past)
        found.append(test.compare(past_days, vectors[place]).p_value)
    return found


def test_one_percent_a_day_is_found_although_the_reference_rolls(
    store: ClickHouseStore, put: Any, spread: Any, closer: Any, drift: Any, day: datetime
) -> None:
    vectors = slow_drift(3)
    put([at for n in range(STEPS) for at in spread(PER_DAY, 24, day + n * STEP)], vectors.reshape(-1, 6))
    closer(store, tree=TREE, **ROLLING).flush()
    found = list(drift().values())
    used = [detail.get("reference", "") for _, detail in found]
    assert len(set(used)) >= 4  # it does roll,
    assert used[-1].startswith("rolling")
    assert used[-5:] == [used[-1]] * 5  # and stands still when it is too far from where it began,
    assert sum(value <= 0.01 for value, _ in found[-5:]) >= 4  # so that the drift is found, and goes on being found.
    # A reference that learns whatever comes does not see the same drift.
    assert sum(value <= 0.01 for value in naive(vectors)[-5:]) <= 1
    kept = store.query("SELECT detail FROM audit_log WHERE action = 'keep' ORDER BY at").to_pylist()
    assert "from first-windows v1, and 0.12 is allowed" in kept[-1]["detail"]


def test_without_drift_it_rolls_every_day_and_doing_it_again_changes_nothing(
    store: ClickHouseStore, put: Any, spread: Any, normal: Any, closer: Any, drift: Any, day: datetime
) -> None:
    days = 9
    vectors = normal(days * PER_DAY)
    wrong = slice(6 * PER_DAY, 7 * PER_DAY)  # an incident of one day
    vectors[wrong, 0] += 4
    put(spread(days * PER_DAY, days * 24), vectors)
    closer(store, tree=TREE, **ROLLING).flush()
    used = [detail.get("reference", "") for _, detail in drift().values()]
    # The first day that has a number is the third, and yesterday is not learnt from: on the fifth day it rolls.
    assert used[:4] == ["", "", "first-windows v1", "first-windows v1"]
    assert used[4:] == [f"rolling v{n}" for n in range(1, 6)]
    closer(store, tree=TREE, **ROLLING).flush()
    assert store.query("SELECT uniqExact(version) AS n FROM references WHERE name = 'rolling'").to_pylist() == [
        {"n": 5}
    ]
    # The rows of the incident are in no reference.
    learnt = store.query(
        "SELECT count() AS n FROM references WHERE name = 'rolling' AND timestamp >= {a:DateTime64(3, 'UTC')} "
        "AND timestamp < {b:DateTime64(3, 'UTC')}",
        {"a": day + timedelta(days=6), "b": day + timedelta(days=7)},
    ).to_pylist()
    assert learnt == [{"n": 0}]
