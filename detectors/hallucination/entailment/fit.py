"""Fit the cross-encoder on prepared pairs; needs torch, transformers and the encoder's folder, but no data set.

    python -m inferwatch.detectors.hallucination.entailment.fit PAIRS OUT [--device cuda] [--workers 8] [--encoder DIR]

PAIRS is what prepare.py wrote. Step 1 learns from pairs in which no family is, with each choice of ``STARTS``. From
there step 2 goes on with the families, by each of ``RECIPES``, once for each of ``UNITS`` left out and once for none;
the means of the weights so found are candidates too. OUT gets ``judged.npz``, the log odds of the claims left out by
START/CANDIDATE/WINDOW/FAMILY, and for each candidate ``START-CANDIDATE.npz``, what training with all families changed
(see ``differences.py``). Nothing is chosen here. Seeded; bfloat16 sums differ from machine to machine.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inferwatch.detectors.encoder.folder import BUNDLED, model_folder
from inferwatch.detectors.hallucination.entailment.bank import Bank
from inferwatch.detectors.hallucination.entailment.differences import F32, differences, restored
from inferwatch.detectors.hallucination.entailment.learning import judge, train
from inferwatch.detectors.hallucination.entailment.network import Network
from inferwatch.detectors.hallucination.entailment.tokens import WINDOWS

UNITS: Mapping[str, tuple[str, ...]] = {
    "": (),
    "wizards": ("begin", "memnet"),
    "anyscale": ("anyscale",),
    "news": ("summedits_news",),
    "sales": ("summedits_sales_call",),
    "samsum": ("summedits_samsum",),
    "scitldr": ("summedits_scitldr",),
    "support": ("support",),
}
"""What is left out together, nothing first; BEGIN and memnet share passages."""
STARTS = {"nli": ("made", "nli"), "made": ("made",)}
"""Which pairs teach in step 1, once."""
_BATCH, _FIRST_BATCH = 256, 512
_FIRST_RATE = 2e-4
_DROPOUT = 0.1


@dataclass(frozen=True)
class Recipe:
    """Step 2: so many batches at ``rate``, of which ``again`` are pairs of step 1; ``most`` pairs a family and pass."""

    steps: int
    rate: float
    windows: tuple[int, ...] = (65,)
    again: float = 0.25
    most: int = 4000


RECIPES = {
    "gentle": Recipe(50, 6e-5),
    "brief": Recipe(120, 6e-5),
    "long": Recipe(250, 1e-4),
    "wide": Recipe(120, 6e-5, WINDOWS),
}


@dataclass(frozen=True)
class Place:
    """Where a process finds and leaves things."""

    pairs: Path
    out: Path
    source: Path
    device: str


@cache
def _bank(place: Place) -> Bank:
    torch.set_num_threads(1)
    return Bank({path.stem: path for path in sorted(place.pairs.glob("*.npz"))}, place.device)


def start(place: Place, key: str) -> None:
    """Do step 1 with the pairs of ``STARTS[key]`` and leave the weights in ``start-KEY.pt``, unless they are there."""
    kept = place.out / f"start-{key}.pt"
    if kept.exists():
        return
    bank = _bank(place)
    rows = _first(bank, key)
    network = _network(place)
    steps = len(rows) // _FIRST_BATCH
    train(network, bank, lambda rng: rng.permutation(rows), (steps, _FIRST_BATCH), _FIRST_RATE, 1)
    torch.save(network.state_dict(), kept.with_suffix(".new"))
    os.replace(kept.with_suffix(".new"), kept)


def go_on(place: Place, key: str, left_out: str) -> dict[str, F32]:
    """Do step 2 from a start by every recipe, and return the log odds of the claims of ``UNITS[left_out]``.

    Each network is judged as it is packaged, after ``differences`` and ``restored``.
    """
    bank, plain = _bank(place), Network(place.source).to(place.device)
    begun = torch.load(place.out / f"start-{key}.pt", map_location=place.device)
    found = {"start": begun}
    for name, recipe in RECIPES.items():
        network = _network(place)
        network.load_state_dict(begun)
        drawn = _drawing(bank, key, left_out, recipe)
        train(network, bank, drawn, (recipe.steps, _BATCH), recipe.rate, 2)
        found[name] = {own: value.detach().clone() for own, value in network.state_dict().items()}
    found["mean"] = _mean([found[name] for name in RECIPES])
    found["half"] = _mean([found["start"], found["mean"]])
    logits: dict[str, F32] = {}
    untrained = _arrays(plain.state_dict())
    for name, state in found.items():
        changed = differences(_arrays(state), untrained)
        if not left_out:
            np.savez_compressed(place.out / f"{key}-{name}.npz", allow_pickle=False, **changed)
        plain.load_state_dict({own: torch.from_numpy(value) for own, value in restored(untrained, changed).items()})
        for family in UNITS[left_out]:
            for window in WINDOWS:
                logits[f"{key}/{name}/{window}/{family}"] = judge(plain, bank, f"test-{window}-{family}")
    return logits


def _arrays(state: Mapping[str, Any]) -> dict[str, F32]:
    return {name: value.cpu().numpy().copy() for name, value in state.items()}


def _first(bank: Bank, key: str) -> Any:
    return np.concatenate([rows for name, rows in bank.rows.items() if name.startswith(STARTS[key])])


def _drawing(bank: Bank, key: str, left_out: str, recipe: Recipe) -> Any:
    """Return what draws the rows of one pass of step 2."""
    names = [f"family-{window}-{own}" for window in recipe.windows for unit in UNITS.values() for own in unit]
    absent = {f"family-{window}-{own}" for window in recipe.windows for own in UNITS[left_out]}
    taught = [bank.rows[name] for name in names if name not in absent]
    first = _first(bank, key)

    def drawn(rng: np.random.Generator) -> Any:
        chosen = [_some(rows, bank.told, recipe.most, rng) for rows in taught]
        again = int(sum(map(len, chosen)) * recipe.again / (1 - recipe.again))
        return rng.permutation(np.concatenate([*chosen, rng.choice(first, again)]))

    return drawn


def _some(rows: Any, told: Any, most: int, rng: np.random.Generator) -> Any:
    """Return what people labelled, and of the rest as much as there is room for."""
    sure, rest = rows[told[rows]], rows[~told[rows]]
    return np.concatenate([sure, rng.permutation(rest)[: max(0, most - len(sure))]])


def _network(place: Place) -> Network:
    return Network(place.source, _DROPOUT).to(place.device)


def _mean(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean of weights that have one start.

    Reference: M. Wortsman et al. (2022), "Model soups: averaging weights of multiple fine-tuned models", ICML.
    """
    return {name: sum(own[name] for own in states) / len(states) for name in states[0]}


def fit(place: Place, workers: int = 1) -> None:
    """Write what the module's docstring says to ``place.out``; without ``nli.npz`` there is one start."""
    place.out.mkdir(parents=True, exist_ok=True)
    starts = [key for key in STARTS if key != "nli" or (place.pairs / "nli.npz").exists()]
    logits: dict[str, F32] = {}
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        begun = {pool.submit(start, place, key): key for key in starts}
        going: list[Future[dict[str, F32]]] = []
        for one in as_completed(begun):
            one.result()
            print(f"step 1 done: {begun[one]}", flush=True)
            going += [pool.submit(go_on, place, begun[one], left_out) for left_out in UNITS]
        for done in as_completed(going):
            logits |= done.result()
            np.savez(place.out / "judged.npz", allow_pickle=False, **logits)
            print(f"{len(logits)} judged", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="networks trained at once")
    parser.add_argument("--encoder", default=BUNDLED, help="folder of the encoder; default: the bundled one")
    options = parser.parse_args(arguments)
    fit(Place(options.pairs, options.out, model_folder(options.encoder), options.device), options.workers)


if __name__ == "__main__":
    main()
