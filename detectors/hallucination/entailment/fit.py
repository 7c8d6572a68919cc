"""Fit the cross-encoder on prepared pairs; needs torch, transformers and the encoder's folder, but no data set.

    python -m inferwatch.detectors.hallucination.entailment.fit PAIRS OUT [--device cuda] [--workers 8] [--encoder DIR]

PAIRS is what prepare.py wrote. Step 1 learns from pairs in which no family is, with each choice of ``STARTS``. From
there step 2 goes on with the families, by each of ``RECIPES``, once for each of ``UNITS`` left out and once for none;
the means of the weights so found are candidates too. OUT gets ``judged.npz``, the log odds of the claims left out by
START/CANDIDATE/WINDOW/FAMILY, and for each candidate ``START-CANDIDATE.npz``, what training with all families changed
(see ``network.differences``). Nothing is chosen here. Seeded; bfloat16 sums differ from machine to machine.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from inferwatch.detectors.encoder.folder import BUNDLED, model_folder
from inferwatch.detectors.hallucination.entailment.network import (
    MOST_CLAIM_TOKENS,
    MOST_TOKENS,
    Network,
    differences,
    restored,
)
from inferwatch.detectors.hallucination.entailment.tokens import WINDOWS, Tokens

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
F32 = npt.NDArray[np.float32]  # as in base.py, which needs more than there is where this runs
_START, _END = 101, 102
_BATCH, _FIRST_BATCH, _SORTED_TOGETHER = 256, 512, 24
_FIRST_RATE = 2e-4
_HEAD_RATE, _WARM_UP, _TOKEN_SHARE, _TOKEN_WEIGHT, _DROPOUT = 5.0, 0.06, 0.5, 4.0, 0.1
_functional: Any = torch.nn.functional


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


class Bank:
    """Pairs on the device that trains, by the name of their file; ``rows[name]`` are the places of its pairs."""

    def __init__(self, files: Mapping[str, Path], device: str) -> None:
        parts = {name: Tokens.load(path) for name, path in files.items()}
        texts = np.cumsum([0, *(len(one.starts) - 1 for one in parts.values())])
        tokens = np.cumsum([0, *(len(one.tokens) for one in parts.values())])
        marks = np.cumsum([0, *(len(one.marks) for one in parts.values())])
        ends = np.cumsum([0, *(len(one) for one in parts.values())])
        self.rows = {name: np.arange(ends[k], ends[k + 1]) for k, name in enumerate(parts)}
        ones = list(parts.values())

        def joined(arrays: Sequence[Any], dtype: Any) -> Any:
            return torch.from_numpy(np.concatenate(arrays).astype(dtype)).to(device)

        self.told = np.concatenate([one.told for one in ones])
        self.wrong = joined([one.wrong for one in ones], np.float32)
        self._tokens = joined([one.tokens for one in ones], np.int64)
        self._starts = joined([one.starts[:-1] + tokens[k] for k, one in enumerate(ones)], np.int64)
        sizes = np.concatenate([np.diff(one.starts) for one in ones])
        self._marks = joined([one.marks for one in ones], np.int64)
        self._marked = joined([one.marked[:-1] + marks[k] for k, one in enumerate(ones)], np.int64)
        self._known = joined([np.diff(one.marked) > 0 for one in ones], np.bool_)
        premises = np.concatenate([one.premises + texts[k] for k, one in enumerate(ones)])
        claims = np.concatenate([one.claims + texts[k] for k, one in enumerate(ones)])
        self._premises, self._claims = joined([premises], np.int64), joined([claims], np.int64)
        claimed = np.minimum(sizes[claims], MOST_CLAIM_TOKENS)
        given = np.minimum(sizes[premises], MOST_TOKENS - 3 - claimed)
        self.lengths = given + claimed + 3
        self._given, self._claimed = joined([given], np.int64), joined([claimed], np.int64)
        self.device = device

    def batch(self, rows: Any) -> tuple[Any, Any, Any, Any]:
        """Return (n, t) tokens, mask, where the claim is, and marks: 1 made wrong, 0 not, -1 unknown."""
        width = int(self.lengths[rows].max())
        rows = torch.from_numpy(rows).to(self.device)
        at = torch.arange(width, device=self.device)[None]
        given, claimed = self._given[rows][:, None], self._claimed[rows][:, None]
        first = given + 2
        claim = (at >= first) & (at < first + claimed)
        premise = (at >= 1) & (at <= given)
        place = torch.where(
            claim,
            self._starts[self._claims[rows]][:, None] + at - first,
            torch.where(premise, self._starts[self._premises[rows]][:, None] + at - 1, 0),
        )
        tokens = torch.where(claim | premise, self._tokens[place], 0)
        tokens = torch.where((at == given + 1) | (at == first + claimed), _END, tokens)
        tokens[:, 0] = _START
        known = claim & self._known[rows][:, None]
        marks = torch.where(known, self._marks[torch.where(known, self._marked[rows][:, None] + at - first, 0)], -1)
        return tokens, (at < first + claimed + 1).long(), claim.long(), marks


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
    _train(network, bank, lambda rng: rng.permutation(rows), (steps, _FIRST_BATCH), _FIRST_RATE, 1)
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
        _train(network, bank, drawn, (recipe.steps, _BATCH), recipe.rate, 2)
        found[name] = {own: value.detach().clone() for own, value in network.state_dict().items()}
    found["mean"] = _mean([found[name] for name in RECIPES])
    found["half"] = _mean([found["start"], found["mean"]])
    logits: dict[str, F32] = {}
    untrained = {name: value.clone() for name, value in plain.state_dict().items()}
    for name, state in found.items():
        changed = differences(state, untrained)
        if not left_out:
            np.savez_compressed(place.out / f"{key}-{name}.npz", allow_pickle=False, **changed)
        plain.load_state_dict(restored(untrained, changed))
        for family in UNITS[left_out]:
            for window in WINDOWS:
                logits[f"{key}/{name}/{window}/{family}"] = _judged(plain, bank, f"test-{window}-{family}")
    return logits


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


def _network(place: Place) -> Network:
    return Network(place.source, _DROPOUT).to(place.device)


def _mean(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean of weights that have one start.

    Reference: M. Wortsman et al. (2022), "Model soups: averaging weights of multiple fine-tuned models", ICML.
    """
    return {name: sum(own[name] for own in states) / len(states) for name in states[0]}


def _judged(network: Network, bank: Bank, name: str) -> F32:
    """Return the log odds of the claims of one file, in float32."""
    rows = bank.rows[name]
    found = np.zeros(len(rows), np.float32)
    order = np.argsort(bank.lengths[rows], kind="stable")
    network.eval()
    with torch.inference_mode():
        for first in range(0, len(rows), _BATCH):
            part = order[first : first + _BATCH]
            tokens, mask, claim, _ = bank.batch(rows[part])
            found[part] = network(tokens, mask, claim)[0].cpu().numpy()
    return found


def _train(network: Network, bank: Bank, drawn: Any, size: tuple[int, int], rate: float, seed: int) -> None:
    """Train for ``size`` (steps, pairs in a batch)."""
    torch.manual_seed(seed)
    for name, parameter in network.bert.embeddings.named_parameters():
        parameter.requires_grad = name.startswith("token_type")
    bert = [p for p in network.bert.parameters() if p.requires_grad]
    heads = [*network.token.parameters(), *network.mean.parameters()]
    groups = [{"params": bert, "lr": rate}, {"params": heads, "lr": rate * _HEAD_RATE}]
    optimizer: Any = torch.optim.AdamW(groups, weight_decay=0.01, fused=bank.device != "cpu")
    steps, many = size
    warm = max(1.0, _WARM_UP * steps)
    schedule: Any = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, max(0.02, (steps - step) / max(1.0, steps - warm)))
    )
    network.train()
    for rows in _batches(bank.lengths, drawn, steps, many, np.random.default_rng(seed)):
        loss = _loss(network, bank, rows)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def _loss(network: Network, bank: Bank, rows: Any) -> Any:
    """Return the log loss of the pairs, and half of that of the tokens of which it is known whether they are wrong."""
    tokens, mask, claim, marks = bank.batch(rows)
    with torch.autocast(bank.device.partition(":")[0], dtype=torch.bfloat16):
        logits, each = network(tokens, mask, claim)
    loss = _functional.binary_cross_entropy_with_logits(logits, bank.wrong[torch.from_numpy(rows).to(bank.device)])
    known = (marks >= 0).float()
    weight = torch.tensor(_TOKEN_WEIGHT, device=bank.device)
    told = _functional.binary_cross_entropy_with_logits(
        each, marks.clamp(min=0).float(), pos_weight=weight, reduction="none"
    )
    return loss + _TOKEN_SHARE * (told * known).sum() / known.sum().clamp(min=1)


def _some(rows: Any, told: Any, most: int, rng: np.random.Generator) -> Any:
    """Return what people labelled, and of the rest as much as there is room for."""
    sure, rest = rows[told[rows]], rows[~told[rows]]
    return np.concatenate([sure, rng.permutation(rest)[: max(0, most - len(sure))]])


def _batches(lengths: Any, drawn: Any, steps: int, many: int, rng: np.random.Generator) -> Iterator[Any]:
    """Yield batches of like length in an order of chance, pass after pass."""
    done = 0
    while done < steps:
        order = drawn(rng)
        for first in range(0, len(order), many * _SORTED_TOGETHER):
            part = order[first : first + many * _SORTED_TOGETHER]
            part = part[np.argsort(lengths[part], kind="stable")]
            own = [part[place : place + many] for place in range(0, len(part), many)]
            for place in rng.permutation(len(own)):
                if done < steps:
                    yield own[place]
                    done += 1


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
