"""Compares windows with references by Evidently and alibi-detect. Run with the Python of their environment.

    python rival_process.py POOL.npy LIBRARY[,LIBRARY] < lines

Every line is a JSON request and is answered by one. ``score``: rows of a reference and of windows -> for each method
and window its statistic. ``decide``: the same by the method's own default rule. ``time``: seconds of one comparison.
``online``: rows until the online detector's alarm. The first answer, unasked, says what could be imported.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

F32 = npt.NDArray[np.float32]
Answer = dict[str, Any]
MISSING: dict[str, str] = {}
WANTED = sys.argv[2].split(",")
EVIDENTLY: dict[str, Callable[[], Any]] = {}
ALIBI: dict[str, Callable[..., Any]] = {}
try:
    if "evidently" in WANTED:
        from evidently import DataDefinition, Dataset, Report
        from evidently.legacy.metrics.data_drift.embedding_drift_methods import distance, mmd, model, ratio
        from evidently.metrics.embeddings import EmbeddingsDrift

        EVIDENTLY |= {
            "evidently model": model,
            "evidently mmd": mmd,
            "evidently distance": distance,
            "evidently ratio": ratio,
        }
except Exception:
    MISSING["evidently"] = traceback.format_exc(limit=1)
try:
    if "alibi-detect" in WANTED:
        import torch
        from alibi_detect.cd import LSDDDrift, MMDDrift, MMDDriftOnline

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        ALIBI |= {"alibi-detect MMD": MMDDrift, "alibi-detect LSDD": LSDDDrift}
except Exception:
    MISSING["alibi-detect"] = traceback.format_exc(limit=1)
ALARM = 0.05
"""The p-value that is drift by alibi-detect's default."""


def evidently(name: str, reference: F32, window: F32) -> tuple[float, bool]:
    """Return score and decision of a method as it is by default."""
    # The method adds a column to its arguments.
    score, drifted, _ = EVIDENTLY[name]()(pd.DataFrame(window), pd.DataFrame(reference))
    return float(score), bool(drifted)


def ratio_score(reference: F32, window: F32) -> float:
    """Return Evidently's ratio: of all columns at once, instead of one by one, what it computes column by column.

    Its column test is the Wasserstein distance over the reference's standard deviation (at least 0.001), drifted from
    0.1 on. ``main`` checks that both agree.
    """
    both = np.concatenate([reference, window]).astype(np.float64)
    order = np.argsort(both, axis=0, kind="stable")
    steps = np.diff(np.take_along_axis(both, order, axis=0), axis=0)
    old = order < len(reference)
    ahead = np.cumsum(old, axis=0)[:-1] / len(reference) - np.cumsum(~old, axis=0)[:-1] / len(window)
    apart = (np.abs(ahead) * steps).sum(axis=0) / np.maximum(reference.std(axis=0, dtype=np.float64), 0.001)
    return float((apart >= 0.1).mean())


def score(reference: F32, windows: list[F32], methods: list[str]) -> dict[str, list[float]]:
    """Return each method's statistic of each window; permutations, which do not change it, are left out."""
    found: dict[str, list[float]] = {}
    for name in methods:
        if name in ALIBI:
            torch.manual_seed(0)
            detector = ALIBI[name](reference, backend="pytorch", n_permutations=1)
            found[name] = [float(detector.predict(window)["data"]["distance"]) for window in windows]
        elif name == "evidently ratio":
            found[name] = [ratio_score(reference, window) for window in windows]
        else:
            found[name] = [evidently(name, reference, window)[0] for window in windows]
    return found


def decide(reference: F32, windows: list[F32], methods: list[str]) -> dict[str, list[bool]]:
    """Return each method's own decision on each window, everything as by default."""
    found: dict[str, list[bool]] = {}
    for name in methods:
        if name in ALIBI:
            torch.manual_seed(0)
            detector = ALIBI[name](reference, backend="pytorch", p_val=ALARM)
            found[name] = [bool(detector.predict(window)["data"]["is_drift"]) for window in windows]
        elif name == "evidently ratio":
            found[name] = [ratio_score(reference, window) > 0.2 for window in windows]
        else:
            found[name] = [evidently(name, reference, window)[1] for window in windows]
    return found


def timed(name: str, way: str, reference: F32, window: F32) -> float:
    """Return the seconds of one comparison: the method's function, or the report that Evidently's users run."""
    frames = pd.DataFrame(window), pd.DataFrame(reference)
    if way == "report":
        columns = [f"e{at}" for at in range(reference.shape[1])]
        for frame in frames:
            frame.columns = columns
        start = time.perf_counter()
        definition = DataDefinition(embeddings={"vector": columns})
        current, before = (Dataset.from_pandas(frame, data_definition=definition) for frame in frames)
        Report([EmbeddingsDrift(embeddings_name="vector", drift_method=EVIDENTLY[name]())]).run(current, before)
    elif name in ALIBI:
        start = time.perf_counter()
        ALIBI[name](reference, backend="pytorch").predict(window)
    else:
        start = time.perf_counter()
        EVIDENTLY[name]()(*frames)
    return time.perf_counter() - start


def online(reference: F32, streams: list[F32], ert: float, window: int, bootstraps: int) -> Answer:
    """Return for each stream how many rows came before the alarm of alibi-detect's online MMD; None: no alarm."""
    torch.manual_seed(0)
    start = time.perf_counter()
    detector = MMDDriftOnline(
        reference, ert=ert, window_size=window, backend="pytorch", n_bootstraps=bootstraps, verbose=False
    )
    ready = time.perf_counter() - start
    found: list[int | None] = []
    rows = 0
    start = time.perf_counter()
    for stream in streams:
        detector.reset_state()
        alarm = None
        for at, row in enumerate(stream):
            rows += 1
            if detector.predict(row)["data"]["is_drift"]:
                alarm = at + 1
                break
        found.append(alarm)
    return {"alarms": found, "configure_s": ready, "row_s": (time.perf_counter() - start) / max(1, rows)}


def same_ratio() -> None:
    """Raise where ``ratio_score`` is not what Evidently finds."""
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.15):
        old, new = (rng.standard_normal((120, 24)).astype(np.float32) for _ in range(2))
        new[:, ::2] += shift
        theirs, own = evidently("evidently ratio", old, new)[0], ratio_score(old, new)
        if abs(theirs - own) > 1e-12:
            raise RuntimeError(f"evidently's ratio is {theirs}, computed at once {own}")


def main() -> None:
    pool = np.load(sys.argv[1], mmap_mode="r")
    if EVIDENTLY:
        same_ratio()
    packages = ("evidently", "alibi-detect", "numpy", "pandas", "scikit-learn", "torch")
    about = {name: version(name) for name in packages}
    answer({"methods": [*EVIDENTLY, *ALIBI], "missing": MISSING, "versions": about})
    while line := sys.stdin.readline():
        asked = json.loads(line)
        reference = np.ascontiguousarray(pool[asked["reference"]])
        windows = [np.ascontiguousarray(pool[rows]) for rows in asked["windows"]]
        if asked["do"] == "time":
            seconds = timed(asked["method"], asked["way"], reference, windows[0])
            answer({"seconds": seconds, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})
        elif asked["do"] == "online":
            answer(online(reference, windows, asked["ert"], asked["window"], asked["bootstraps"]))
        else:
            do = score if asked["do"] == "score" else decide
            answer(do(reference, windows, asked["methods"]))


def answer(found: object) -> None:
    print(json.dumps(found), file=REAL, flush=True)


if __name__ == "__main__":
    # What the libraries say belongs to stderr, also what they say past sys.stdout: stdout carries answers only.
    REAL = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    main()
