"""The cross-encoder: the bundled sentence encoder's transformer, tuned to read a claim beside what should hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from transformers.models.bert.modeling_bert import BertModel
from transformers.utils.logging import disable_progress_bar

from inferwatch.detectors.encoder.folder import BUNDLED, model_folder
from inferwatch.detectors.hub.windows import clean
from inferwatch.detectors.sentences import Span
from inferwatch.schemas.errors import Misconfigured

PACKAGED = Path(__file__).with_name("entailment.npz")
RANK = 24
"""Of the differences of the weights to the encoder's, as many singular values are kept."""
_untyped: Any = (disable_progress_bar, BertModel)
_quiet, _Bert = _untyped
_MOST_TOKENS, _MOST_CLAIM_TOKENS = 144, 60
_NOTHING = -1e4


class Encoding(NamedTuple):
    """A pair as tokens: ``[CLS] premise [SEP] claim [SEP]``; the claim's begin at ``first``, with character ranges."""

    tokens: list[int]
    first: int
    ranges: list[tuple[int, int]]


class Network(torch.nn.Module):
    """Log odds for every token of the claim; those of the pair are their soft maximum, and a read of their mean."""

    def __init__(self, source: Path) -> None:
        super().__init__()
        _quiet()
        self.bert = _Bert.from_pretrained(
            source,
            attn_implementation="eager",
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
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
        mean = (found * own[..., None]).sum(1) / own.sum(1, keepdim=True)
        return soft + self.mean(mean)[:, 0], each


class CrossEncoder:
    """A network with its tokenizer; it reads in float32."""

    def __init__(self, network: Network, source: Path) -> None:
        self.network = network
        self._tokenizer: Any = Tokenizer.from_file(str(source / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._ends: list[int] = self._tokenizer.encode("").ids

    @classmethod
    def load(cls, path: Path = PACKAGED, model: str = BUNDLED) -> CrossEncoder:
        """Return the encoder's transformer with the differences of ``path`` added.

        Raises:
            Misconfigured: a file is missing, or the differences are not of this model.
        """
        source = model_folder(model)
        network = Network(source)
        try:
            with np.load(path) as held:
                network.load_state_dict(_restored(network.state_dict(), held))
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise Misconfigured(
                f"{path} is no cross-encoder on {source}: {error!r}; train one with hallucination/entailment/train.py"
            ) from error
        return cls(network.eval(), source)

    def encode(self, premise: str, claim: str) -> Encoding:
        """Return the tokens of a pair: at most 60 of the claim, and of the premise what fits into 144."""
        own = self._tokenizer.encode(claim, add_special_tokens=False)
        tokens, ranges = own.ids[:_MOST_CLAIM_TOKENS], own.offsets[:_MOST_CLAIM_TOKENS]
        room = _MOST_TOKENS - 3 - len(tokens)
        given = self._tokenizer.encode(premise, add_special_tokens=False).ids[:room]
        start, end = self._ends
        return Encoding([start, *given, end, *tokens, end], len(given) + 2, ranges)

    def read(self, premise: str, claim: str) -> tuple[float, Span]:
        """Return the log odds that ``claim`` is not supported, and the range of its token that speaks most for it.

        One pair a run, without padding: what is found does not depend on what else is read.
        """
        encoding = self.encode(clean(premise), clean(claim))
        if not encoding.ranges:
            return 0.0, (0, 0)
        with torch.inference_mode():
            logits, each = self.network(*batch([encoding]))
        own = each[0, encoding.first : encoding.first + len(encoding.ranges)]
        return float(logits[0]), encoding.ranges[int(own.argmax())]


def batch(encodings: Sequence[Encoding]) -> tuple[Any, Any, Any]:
    """Return (n, t) int64 tokens, mask and where the claim is, padded to the longest."""
    length = max(len(one.tokens) for one in encodings)
    tokens, mask, claim = (np.zeros((len(encodings), length), np.int64) for _ in range(3))
    for row, one in enumerate(encodings):
        tokens[row, : len(one.tokens)] = one.tokens
        mask[row, : len(one.tokens)] = 1
        claim[row, one.first : one.first + len(one.ranges)] = 1
    return torch.from_numpy(tokens), torch.from_numpy(mask), torch.from_numpy(claim)


def differences(network: Network, source: Path) -> dict[str, npt.NDArray[np.float16]]:
    """Return what training changed, as float16: matrices by their largest ``RANK`` singular values.

    Reference: E. Hu et al. (2022), "LoRA: low-rank adaptation of large language models", ICLR; here after training.
    """
    before = Network(source).state_dict()
    found = {}
    for name, value in network.state_dict().items():
        change = value - before[name] if name.startswith("bert.") else value
        if not change.any():
            continue
        if change.dim() == 2 and min(change.shape) > RANK:
            left, middle, right = torch.linalg.svd(change, full_matrices=False)
            root = middle[:RANK].sqrt()
            found[f"{name}/left"] = (left[:, :RANK] * root).numpy().astype(np.float16)
            found[f"{name}/right"] = (root[:, None] * right[:RANK]).numpy().astype(np.float16)
        else:
            found[name] = change.numpy().astype(np.float16)
    return found


def _restored(state: Mapping[str, Any], held: Mapping[str, npt.NDArray[np.float16]]) -> dict[str, Any]:
    found = dict(state)
    for name in held:
        key, _, part = name.partition("/")
        if part == "right":
            continue
        values = held[name].astype(np.float32)
        change = torch.from_numpy(values @ held[f"{key}/right"].astype(np.float32) if part else values)
        found[key] = state[key] + change if key.startswith("bert.") else change
    return found
