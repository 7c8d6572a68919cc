"""Train the cross-encoder: ``python -m inferwatch.detectors.hallucination.entailment.train DATA WORK [--out FILE]``.

DATA holds the data sets of corpora.py, which stay outside the repository; WORK keeps what is made on the way, so that a
run that was stopped goes on where it was. Two steps: pairs made of texts that are in no family (``made``), once; then,
for each half of the families left out and for none, the pairs of the others (``labelled``). Seeded; bfloat16 on a CPU
rounds by what the machine has. Log odds of every claim of the families left out go to WORK/left-out-*.npz, and decide
slopes and shifts.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inferwatch.detectors.base import Encoder
from inferwatch.detectors.encoder.cache import CachedEncoder
from inferwatch.detectors.encoder.folder import BUNDLED, model_folder
from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder
from inferwatch.detectors.hallucination.corpora import Examples, families
from inferwatch.detectors.hallucination.entailment.calibration import PACKAGED as CALIBRATION
from inferwatch.detectors.hallucination.entailment.calibration import Calibration, Claims
from inferwatch.detectors.hallucination.entailment.network import (
    PACKAGED,
    CrossEncoder,
    Encoding,
    Network,
    batch,
    differences,
)
from inferwatch.detectors.hallucination.entailment.pairs import (
    Pair,
    answers,
    labelled,
    made,
    phrases_of,
    premises_of,
)
from inferwatch.detectors.hallucination.entailment.rewrite import neighbours
from inferwatch.detectors.hallucination.fit import claims_of, fit_without
from inferwatch.detectors.hallucination.grounding import read
from inferwatch.detectors.hallucination.model import GroundingModel

HALVES = {
    "x": ("begin", "memnet", "summedits_news", "summedits_sales_call"),
    "y": ("anyscale", "summedits_samsum", "summedits_scitldr", "support"),
    "nothing": (),
}
"""Families that are left out together; BEGIN and memnet, which share passages, are in one."""
_BATCH, _SORTED_TOGETHER = 32, 24
_MADE, _MADE_TOKENS, _MADE_RATE = 7000, 84, 1.5e-4
_LABELLED, _LABELLED_TOKENS, _LABELLED_RATE = 3200, 112, 7e-5
_HEAD_RATE, _WARM_UP, _TOKEN_SHARE, _TOKEN_WEIGHT, _KEEP_EVERY = 5.0, 0.06, 0.5, 4.0, 25
_WORD = re.compile(r"[a-z0-9]+")
_functional: Any = torch.nn.functional


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--out", type=Path, default=PACKAGED)
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    encoder = CachedEncoder(SentenceTransformerEncoder(threads=1), 50_000)
    texts = answers(options.data)
    words = neighbours(texts, encoder)
    first = options.work / "made.pt"
    _train(made(texts, words), first, None, _MADE_TOKENS, _MADE_RATE)
    own, phrases = families(options.data), phrases_of(texts[:1500])
    pairs = {name: labelled(name, found, options.data, phrases, words, encoder) for name, found in own.items()}
    for half, left_out in HALVES.items():
        kept = options.work / f"without-{half}.pt"
        network = _train(
            [pair for name, found in pairs.items() if name not in left_out for pair in found],
            kept,
            first,
            _LABELLED_TOKENS,
            _LABELLED_RATE,
            _LABELLED * (1 if left_out else 2),
        )
        for name in left_out:
            np.savez(options.work / f"left-out-{name}.npz", **_test(network, own[name], encoder))
        if not left_out:
            np.savez_compressed(options.out, allow_pickle=False, **differences(network, model_folder(BUNDLED)))
    judged = [
        left_out_claims(name, own[name], options.data, options.work, encoder) for name in own if name != "support"
    ]
    Calibration.fit(judged).save(options.out.with_name(CALIBRATION.name))


def left_out_claims(name: str, examples: Examples, data: Path, work: Path, encoder: Encoder) -> Claims:
    """Return the claims of a family as models fitted without it judge them; ``work`` is that of a finished training."""
    fit_without(data, name, work)
    cheap = GroundingModel.load(work / f"hallucination-without-{name}.json")
    found = claims_of(examples, encoder)
    with np.load(work / f"left-out-{name}.npz") as held:
        return Claims(cheap(found.features), held["logits"], held["owners"], held["labels"])


def _train(pairs: Sequence[Pair], kept: Path, start: Path | None, longest: int, rate: float, most: int = 0) -> Network:
    """Return the network that ``kept`` holds, after one pass over ``pairs``, most recently from its checkpoint."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    source = model_folder(BUNDLED)
    network = Network(source)
    if kept.exists():
        network.load_state_dict(torch.load(kept))
        return network
    if start:
        network.load_state_dict(torch.load(start))
    for name, parameter in network.bert.embeddings.named_parameters():
        parameter.requires_grad = name.startswith("token_type")
    reader = CrossEncoder(network, source)
    encodings = [reader.encode(pair.premise, pair.hypothesis) for pair in pairs]
    short = [row for row, one in enumerate(encodings) if len(one.tokens) <= longest]
    rows = _some(pairs, short, most) if most else short[:_MADE]
    batches = _batches([encodings[row] for row in rows])
    bert = [p for p in network.bert.parameters() if p.requires_grad]
    heads = [*network.token.parameters(), *network.mean.parameters()]
    groups = [{"params": bert, "lr": rate}, {"params": heads, "lr": rate * _HEAD_RATE}]
    optimizer: Any = torch.optim.AdamW(groups, weight_decay=0.01)
    warm, steps = _WARM_UP * len(batches), len(batches)
    schedule: Any = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, max(0.02, (steps - step) / (steps - warm)))
    )
    checkpoint, done = kept.with_suffix(".going"), 0
    if checkpoint.exists():
        held = torch.load(checkpoint, weights_only=False)
        network.load_state_dict(held["network"])
        optimizer.load_state_dict(held["optimizer"])
        schedule.load_state_dict(held["schedule"])
        done = held["done"]
    network.train()
    for step in range(done, steps):
        chosen = [rows[place] for place in batches[step]]
        loss = _loss(network, [pairs[row] for row in chosen], [encodings[row] for row in chosen])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % _KEEP_EVERY == _KEEP_EVERY - 1:
            print(f"{kept.stem}: {step + 1} of {steps}, loss {float(loss.detach()):.3f}", flush=True)
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
            _keep(state | {"schedule": schedule.state_dict(), "done": step + 1}, checkpoint)
    _keep(network.state_dict(), kept)
    checkpoint.unlink(missing_ok=True)
    return network


def _loss(network: Network, pairs: Sequence[Pair], encodings: Sequence[Encoding]) -> Any:
    """Return the log loss of the pairs, and half of that of the tokens of which it is known whether they are wrong."""
    tokens, mask, claim = batch(encodings)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, each = network(tokens, mask, claim)
    loss = _functional.binary_cross_entropy_with_logits(logits, torch.tensor([float(p.wrong) for p in pairs]))
    marks = torch.full(each.shape, -1.0)
    for row, (pair, encoding) in enumerate(zip(pairs, encodings, strict=True)):
        known = _marks(pair, encoding)
        if known is not None:
            marks[row, encoding.first : encoding.first + len(known)] = torch.tensor(known)
    if (marks >= 0).any():
        weight = torch.tensor(_TOKEN_WEIGHT)
        told = _functional.binary_cross_entropy_with_logits(each[marks >= 0], marks[marks >= 0], pos_weight=weight)
        loss = loss + _TOKEN_SHARE * told
    return loss


def _marks(pair: Pair, encoding: Encoding) -> list[float] | None:
    """Return for each token of the hypothesis 1 where it was made wrong, else 0; None where that is not known."""
    if pair.source in ("label", "original", "elsewhere"):
        return None
    if not pair.wrong:
        return [0.0] * len(encoding.ranges)
    said, old, given = (_WORD.findall(text.lower()) for text in (pair.hypothesis, pair.right, pair.premise))
    new = set(said) - set(old) - set(given)
    if not new:
        return None
    spans = [match.span() for match in _WORD.finditer(pair.hypothesis.lower()) if match.group() in new]
    return [float(any(start < last and end > first for first, last in spans)) for start, end in encoding.ranges]


def _some(pairs: Sequence[Pair], rows: Sequence[int], most: int) -> list[int]:
    """Return what people labelled, and of the rest as much as there is room for."""
    told = [row for row in rows if pairs[row].source == "label"]
    rest = [row for row in rows if pairs[row].source != "label"]
    drawn = np.random.default_rng(5).permutation(rest)[: max(0, most - len(told))]
    return sorted([*told, *drawn.tolist()])


def _batches(encodings: Sequence[Encoding]) -> list[list[int]]:
    """Return batches of like length in an order of chance."""
    rng = np.random.default_rng(1)
    order = rng.permutation(len(encodings)).tolist()
    found: list[list[int]] = []
    for start in range(0, len(order), _BATCH * _SORTED_TOGETHER):
        part = sorted(order[start : start + _BATCH * _SORTED_TOGETHER], key=lambda place: len(encodings[place].tokens))
        own = [part[first : first + _BATCH] for first in range(0, len(part), _BATCH)]
        found += [own[place] for place in rng.permutation(len(own))]
    return found


def _test(network: Network, examples: Examples, encoder: Encoder) -> dict[str, Any]:
    """Return the log odds of every claim, whose claims they are, and the labels of the answers."""
    readings = [read(item) for item in examples.items]
    pairs = [pair for own in readings for pair in zip(premises_of(own, encoder), own.claims, strict=True)]
    owners = np.repeat(np.arange(len(readings)), [len(own.claims) for own in readings])
    reader = CrossEncoder(network.eval(), model_folder(BUNDLED))
    logits = np.array([reader.read(*pair)[0] for pair in pairs], np.float32)
    return {"logits": logits, "owners": owners, "labels": examples.labels}


def _keep(state: Any, path: Path) -> None:
    torch.save(state, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


if __name__ == "__main__":
    main()
