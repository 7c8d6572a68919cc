"""Prepared pairs where training reads them: on its device, in one array each, put together to batches there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inferwatch.detectors.hallucination.entailment.reader import MOST_CLAIM_TOKENS, MOST_TOKENS
from inferwatch.detectors.hallucination.entailment.tokens import Tokens

_START, _END = 101, 102


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
