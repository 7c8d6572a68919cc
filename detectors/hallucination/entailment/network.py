"""The cross-encoder as it is trained: the bundled sentence encoder's transformer with two heads, in float32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers.models.bert.modeling_bert import BertModel
from transformers.utils.logging import disable_progress_bar

from inferwatch.detectors.hallucination.entailment.reader import Encoding

_untyped: Any = (disable_progress_bar, BertModel)
_quiet, _Bert = _untyped
_NOTHING = -1e4


class Network(torch.nn.Module):
    """Log odds for every token of the claim; those of the pair are their soft maximum, and a read of their mean."""

    def __init__(self, source: Path, dropout: float = 0.0) -> None:
        super().__init__()
        _quiet()
        self.bert = _Bert.from_pretrained(
            source,
            attn_implementation="sdpa" if dropout else "eager",
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            local_files_only=True,
        ).float()
        self.bert.pooler = None
        width = int(self.bert.config.hidden_size)
        self.token, self.mean = torch.nn.Linear(width, 1), torch.nn.Linear(width, 1)
        for layer, bias in ((self.token, -3.0), (self.mean, 0.0)):
            torch.nn.init.normal_(layer.weight, std=0.02)
            torch.nn.init.constant_(layer.bias, bias)

    def forward(self, tokens: Any, mask: Any, claim: Any) -> tuple[Any, Any]:
        """Return (n,) log odds that the claim is not supported and (n, t) log odds of each token, float32."""
        found = self.bert(input_ids=tokens, attention_mask=mask, token_type_ids=claim).last_hidden_state.float()
        each, own = self.token(found)[..., 0], claim.float()
        soft = torch.logsumexp(each.masked_fill(claim == 0, _NOTHING), 1)
        mean = (found * own[..., None]).sum(1) / own.sum(1, keepdim=True).clamp(min=1)
        return soft + self.mean(mean)[:, 0], each


def batch(encodings: Sequence[Encoding]) -> tuple[Any, Any, Any]:
    """Return (n, t) int64 tokens, mask and where the claim is, padded to the longest."""
    length = max(len(one.tokens) for one in encodings)
    tokens, mask, claim = (np.zeros((len(encodings), length), np.int64) for _ in range(3))
    for row, one in enumerate(encodings):
        tokens[row, : len(one.tokens)] = one.tokens
        mask[row, : len(one.tokens)] = 1
        claim[row, one.first : one.first + len(one.ranges)] = 1
    return torch.from_numpy(tokens), torch.from_numpy(mask), torch.from_numpy(claim)
