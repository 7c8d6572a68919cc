"""This project's side of many draws, in as many processes as there are cores, each of one thread."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from inferwatch.detectors.base import F32

Item = TypeVar("Item")
Result = TypeVar("Result")
_POOL: list[F32] = []


def each(task: Callable[[F32, Item], Result], vectors: F32, items: Sequence[Item]) -> list[Result]:
    """Return ``task(vectors, item)`` for every item, in their order; ``task`` is a function of a module."""
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vectors.npy"
        np.save(file, vectors)
        with ProcessPoolExecutor(cores, get_context("spawn"), initializer=_open, initargs=(file,)) as workers:
            return list(workers.map(partial(_run, task), items, chunksize=max(1, len(items) // (8 * cores))))


def _open(file: Path) -> None:
    threadpool_limits(1)
    _POOL.append(np.load(file, mmap_mode="r"))


def _run(task: Callable[[F32, Item], Result], item: Item) -> Result:
    return task(_POOL[0], item)
