"""One run of training and one of judging, whatever the pairs are and whoever chose them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from inferwatch.detectors.hallucination.entailment.bank import Bank
from inferwatch.detectors.hallucination.entailment.network import Network

F32 = npt.NDArray[np.float32]  # as in base.py, which needs more than there is where this runs
_JUDGED_TOGETHER, _SORTED_TOGETHER = 256, 24
_HEAD_RATE, _WARM_UP, _TOKEN_SHARE, _TOKEN_WEIGHT = 5.0, 0.06, 0.5, 4.0
_functional: Any = torch.nn.functional


def train(network: Network, bank: Bank, drawn: Any, size: tuple[int, int], rate: float, seed: int) -> None:
    """Train for ``size`` (steps, pairs in a batch) on what ``drawn`` draws for each pass; seeded."""
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


def judge(network: Network, bank: Bank, name: str) -> F32:
    """Return the log odds of the claims of one file, in float32."""
    rows = bank.rows[name]
    found = np.zeros(len(rows), np.float32)
    order = np.argsort(bank.lengths[rows], kind="stable")
    network.eval()
    with torch.inference_mode():
        for first in range(0, len(rows), _JUDGED_TOGETHER):
            part = order[first : first + _JUDGED_TOGETHER]
            tokens, mask, claim, _ = bank.batch(rows[part])
            found[part] = network(tokens, mask, claim)[0].cpu().numpy()
    return found
